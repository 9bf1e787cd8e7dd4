"""What gpu.py measures, and what is expected of it: a list of cases, needed without a GPU too, for the table.

Expected figures are for an H100 or H200: what others measured with the same ideas, or a share of the card's limits
(67 TFLOP/s float32, 990 TFLOP/s halves, 4.3 TB/s for a copy on an H200).  Sources are named beside them.
"""

from dataclasses import dataclass, replace

#: by others, on an H100 at 8192³, TFLOP/s (waynehacking8/blackwell-tensorcore-kernels): naive 5.2, tiles
#: 9.2, cuBLAS float32 47–50, FlashAttention-2 with mma.sync 388; steps in between by the ratios of siboehm/SGEMM_CUDA
COPY = 4300.0  # GB/s


@dataclass(frozen=True)
class Case:
    """A rung of a ladder at one size.  Its speed is in TFLOP/s, or in GB/s of the least that it must move."""

    op: str
    rung: str
    dtype: str
    shape: tuple
    expected: float
    gains: str  # why it is faster than the rung before

    @property
    def key(self):
        return f"{self.op} {self.rung} {self.dtype} {'×'.join(map(str, self.shape))}"

    @property
    def unit(self):
        return "TFLOP/s" if self.op in ("linear", "patch_embed", "attention", "conv") else "GB/s"


#: linear: rows, inputs, outputs (FC1 of B/16, 64 images; FC2, one image) · attention: B, H, N, K · patch_embed: images,
#: P, D · conv: images, rows and columns of the map, channels, side of the windows, outputs (of R50) · groupnorm,
#: max_pool: images, rows and columns, channels · others: rows, columns
FC1, FEW, ROWS, SCORES = (12608, 768, 3072), (197, 3072, 768), (50432, 768), (151296, 197)
CONV, MAP, ROOT = (64, 28, 128, 3, 128), (64, 56, 256), (64, 112, 64)
CASES = (
    Case("linear", "v1", "float32", FC1, 5, "one thread per output"),
    Case("linear", "v2", "float32", FC1, 9, "tiles in shared memory"),
    Case("linear", "v3", "float32", FC1, 40, "8×8 sums in registers, 128-bit access"),
    Case("linear", "v4", "float16", FC1, 400, "tensor cores, asynchronous copies"),
    Case("linear", "v4", "bfloat16", FC1, 400, "the same in bfloat16"),
    Case("linear", "v3", "float32", FEW, 8, "one image, FC2: 84 blocks of a warp for 132 multiprocessors"),
    Case("linear", "v5", "float32", FEW, 25, "its inner sums in six parts"),
    Case("linear", "v4", "bfloat16", FEW, 60, "one image, FC2: 96 blocks"),
    Case("linear", "v5", "bfloat16", FEW, 110, "its inner sums in three parts"),
    Case("attention", "v1", "float32", (64, 12, 197, 64), 3, "scores, softmax and mix, one after the other"),
    Case("attention", "v2", "float32", (64, 12, 197, 64), 20, "online softmax: no N×N numbers in memory"),
    Case("attention", "v3", "bfloat16", (64, 12, 197, 64), 200, "tensor cores; of the last tile little is used"),
    Case("attention", "v3", "bfloat16", (4, 12, 4096, 64), 350, "the same, where all tiles are full"),
    Case("patch_embed", "v1", "float32", (64, 16, 768), 5, "one thread per output"),
    Case("patch_embed", "v2", "float32", (64, 16, 768), 35, "linear v3 that reads from the image"),
    Case("patch_embed", "v3", "bfloat16", (64, 16, 768), 150, "linear v4 that rounds on the way"),
    Case("layernorm", "v1", "float32", ROWS, 0.1 * COPY, "one thread per row"),
    Case("layernorm", "v2", "float32", ROWS, 0.5 * COPY, "a warp per row, shuffles"),
    Case("layernorm", "v3", "float32", ROWS, 0.85 * COPY, "the row in registers, 128-bit access"),
    Case("softmax", "v1", "float32", SCORES, 0.1 * COPY, "one thread per row"),
    Case("softmax", "v2", "float32", SCORES, 0.5 * COPY, "a warp per row, shuffles"),
    Case("softmax", "v3", "float32", SCORES, 0.75 * COPY, "the row in registers"),
    Case("gelu", "v1", "float32", ROWS, 0.7 * COPY, "one thread per number"),
    Case("gelu", "v2", "float32", ROWS, 0.9 * COPY, "four numbers per access"),
    Case("conv", "v1", "float32", CONV, 4, "one thread per output"),
    Case("conv", "v2", "float32", CONV, 35, "linear v3 that reads windows from the map"),
    Case("conv", "v3", "float16", CONV, 110, "linear v4 on two halves: three products for one"),
    Case("conv", "v3", "bfloat16", CONV, 110, "the same in bfloat16"),
    Case("groupnorm", "v1", "float32", MAP, 0.02 * COPY, "one thread per group"),
    Case("groupnorm", "v2", "float32", MAP, 0.2 * COPY, "a warp per group, shuffles"),
    Case("groupnorm", "v3", "float32", MAP, 0.6 * COPY, "lines read whole, twice: moments first"),
    Case("max_pool", "v1", "float32", ROOT, 0.5 * COPY, "one thread per number"),
    Case("max_pool", "v2", "float32", ROOT, 0.8 * COPY, "four numbers per access"),
    Case("relu", "v1", "float32", ROWS, 0.7 * COPY, "one thread per number"),
    Case("relu", "v2", "float32", ROWS, 0.9 * COPY, "four numbers per access"),
)
#: whole models: (variant, dtype, batch) and the milliseconds expected of it; what matters most comes first
MODELS = (
    ("B/16", "bfloat16", 256, 27.0), ("B/16", "bfloat16", 1, 0.6), ("B/16", "float32", 256, 240.0),
    ("B/16", "float32", 32, 31.0), ("B/16", "float32", 1, 1.2), ("B/16", "bfloat16", 32, 3.6),
    ("R50+B/16", "bfloat16", 32, 19.0), ("R50+B/16", "bfloat16", 1, 2.4),
    ("R50+B/16", "float32", 32, 65.0), ("R50+B/16", "float32", 1, 3.7),
)  # fmt: skip


def tiny_cases():
    """The same rungs at sizes that a simulator can do: to try the script."""
    sizes = {"linear": (9, 16, 8), "attention": (1, 1, 5, 16), "patch_embed": (1, 4, 8), "conv": (1, 4, 8, 3, 8)}
    sizes |= {"groupnorm": (1, 3, 64), "max_pool": (1, 4, 8)}
    return [replace(case, shape=sizes.get(case.op, (5, 8))) for case in CASES]


def tiny_models():
    from minivit.config import HybridConfig, Stem, ViTConfig

    sizes = {"width": 16, "blocks": 1, "heads": 2, "mlp": 32, "classes": 4, "image": (8, 8)}
    return ViTConfig("tiny", patch=4, **sizes), HybridConfig("tiny+", patch=1, stem=Stem((1,), 8, 4), **sizes)


def work(case):
    """(floating-point operations, bytes that must be read or written) of one run."""
    size, shape = {"float32": 4}.get(case.dtype, 2), case.shape
    if case.op == "linear":
        rows, inputs, outputs = shape
        return 2 * rows * inputs * outputs, size * (rows * inputs + inputs * outputs + rows * outputs)
    if case.op == "attention":
        B, H, N, K = shape
        return 4 * B * H * N * N * K, size * 4 * B * H * N * K
    if case.op == "patch_embed":
        images, side, D = shape
        pixels = images * (224 // side * side) ** 2 * 3
        return 2 * pixels * D, 4 * pixels + 4 * images * (224 // side) ** 2 * D
    if case.op == "conv":
        images, rows, channels, k, outputs = shape
        pixels = images * rows * rows
        # maps are float32, or two halves
        return 2 * pixels * k * k * channels * outputs, 4 * (pixels * (channels + outputs) + k * k * channels * outputs)
    if case.op in ("groupnorm", "max_pool"):
        images, rows, channels = shape
        count = images * rows * rows * channels
        return (8 * count, 4 * 2 * count) if case.op == "groupnorm" else (9 * count / 4, 4 * count * 5 / 4)
    rows, columns = shape
    return {"layernorm": 8, "softmax": 5, "gelu": 10, "relu": 1}[case.op] * rows * columns, 2 * size * rows * columns


def speed(case, seconds):
    """In the unit of the case."""
    flops, moved = work(case)
    return flops / seconds / 1e12 if case.unit == "TFLOP/s" else moved / seconds / 1e9
