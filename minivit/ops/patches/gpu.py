"""Patch embedding on the GPU: a matrix product whose left side is never made.  Pixels come straight from the images.

v1  one thread per output, with the loops of the convolution: a pixel is fetched once per output channel   5 TFLOP/s
v2  the kernel of linear v3, 8×8 sums in registers; only its reader differs: it finds number i of a patch in the image.
    The last rung of float32                                                                            40 TFLOP/s
v3  the kernel of linear v4, tensor cores: the reader rounds the pixels to halves on their way to shared memory.  It has
    to wait for them, because cp.async copies bits and cannot round                                   200 TFLOP/s

(Expected of an H100; what ours reach: benchmarks/gpu.sh.)  The size of the images is part of the kernel, so the
divisions that find a pixel are by constants.
"""

from dataclasses import dataclass
from functools import cache

from ...errors import InputError
from ...gpu.arrays import dense, empty, on_device
from ...gpu.compat import cuda, device, float32, uint32
from ...gpu.formats import BFLOAT16, FLOAT16, FLOAT32
from ...gpu.intrinsics import load4
from ...gpu.launch import Checked, kernel
from ...gpu.tiles import Epilogue, choose, grid, signature
from ..linear.gpu_register_tiles import TILES as REGISTER_TILES
from ..linear.gpu_register_tiles import register_tiles
from ..linear.gpu_tensor_cores import TILES as TENSOR_TILES
from ..linear.gpu_tensor_cores import tensor_cores

SIDE = 16  # of a block of v1


@dataclass(frozen=True)
class Images:
    """How images lie in memory, and how patches are cut from them."""

    height: int
    width: int
    channels: int
    patch: int

    @property
    def patches(self):
        return (self.height // self.patch) * (self.width // self.patch)

    @property
    def inputs(self):
        """Numbers of a patch."""
        return self.patch**2 * self.channels

    def in_fours(self):
        """Whether four neighbouring numbers of a patch, from a multiple of four on, can be read at once."""
        return self.patch * self.channels % 4 == self.width * self.channels % 4 == 0


@cache
def finding(images):
    """The device function (row, i) -> where number i of patch `row` is; rows count the patches of all images."""
    of_image, of_line = uint32(images.height * images.width * images.channels), uint32(images.width * images.channels)
    strip, side = uint32(images.patch * images.channels), uint32(images.patch)  # a patch is `side` strips, a line apart
    patches, across = uint32(images.patches), uint32(images.width // images.patch)

    @device
    def find(row, i):
        image, patch = uint32(row // patches), uint32(row % patches)
        line = uint32(patch // across * side + i // strip)
        return uint32(image * of_image + line * of_line + patch % across * strip + i % strip)

    return find


@cache
def reading(images):
    """`load_x` of linear v3: four numbers of a patch, zeros outside of the matrix."""
    find = finding(images)

    @device
    def together(x, row, i, rows, columns):
        if row < rows and i < columns:
            return load4(x, find(row, i))
        return float32(0), float32(0), float32(0), float32(0)

    @device
    def one_by_one(x, row, i, rows, columns):
        a, b, c, d = float32(0), float32(0), float32(0), float32(0)
        if row < rows:
            if i < columns:
                a = x[find(row, i)]
            if i + uint32(1) < columns:
                b = x[find(row, uint32(i + uint32(1)))]
            if i + uint32(2) < columns:
                c = x[find(row, uint32(i + uint32(2)))]
            if i + uint32(3) < columns:
                d = x[find(row, uint32(i + uint32(3)))]
        return a, b, c, d

    return together if images.in_fours() else one_by_one


@cache
def rounding(images, format):
    """`copy_x` of linear v4: eight numbers of a patch, as halves, to shared memory."""
    read, store = reading(images), format.store

    @device
    def put(x, xs, place, row, i, rows, columns):
        for h in range(2):
            a, b, c, d = read(x, row, uint32(i + uint32(4 * h)), rows, columns)
            at = uint32(place + uint32(4 * h))
            store(xs, at, a)
            store(xs, at + uint32(1), b)
            store(xs, at + uint32(2), c)
            store(xs, at + uint32(3), d)

    return put


@cache
def thread_per_output(images, format, output):
    find, load, store = finding(images), format.load, output.store

    @kernel(signature(format, output, FLOAT32), (SIDE, SIDE))
    def patch_embed_v1(x, w, b, _, y, rows, outputs, inputs):
        # x images, w (inputs,outputs), b (outputs,) -> y (rows,outputs), a row per patch
        column = uint32(uint32(cuda.blockIdx.x) * uint32(SIDE) + uint32(cuda.threadIdx.x))
        row = uint32(uint32(cuda.blockIdx.y) * uint32(SIDE) + uint32(cuda.threadIdx.y))
        if row < rows and column < outputs:
            total = b[column]
            for i in range(inputs):
                total += x[find(row, uint32(i))] * load(w, uint32(uint32(i) * outputs + column))
            store(y, uint32(row * outputs + column), total)

    return patch_embed_v1


def v1(images, format, output, rows, outputs):
    return thread_per_output(images, format, output), grid(rows, outputs, SIDE, SIDE)


def v2(images, format, output, rows, outputs):
    if format is not FLOAT32:
        raise InputError(f"patch_embed v2 multiplies float32, not {format}; v3 does")
    tile = choose(REGISTER_TILES, rows, outputs)
    return register_tiles(output, Epilogue(), *tile, outputs % 4 == 0, reading(images)), grid(rows, outputs, *tile)


def v3(images, format, output, rows, outputs):
    if format is FLOAT32:
        raise InputError("patch_embed v3 multiplies float16 or bfloat16, not float32; v2 does")
    tile, copy_x = choose(TENSOR_TILES, rows, outputs), rounding(images, format)
    return tensor_cores(format, output, Epilogue(), *tile, outputs % 8 == 0, FLOAT32, copy_x), grid(
        rows, outputs, *tile
    )


def last(images, format, output, rows, outputs):
    return (v2 if format is FLOAT32 else v3)(images, format, output, rows, outputs)


def rung(version):
    def patch_embed(images, w, b):
        # images (B,h,w,c), w (P,P,c,D), b (D,) -> (B,G,D); w's format is the one that is multiplied in
        x, w = dense(on_device(images), FLOAT32), dense(on_device(w))
        b, output = dense(on_device(b), FLOAT32), w.output or w.format
        (count, height, width, channels), (P, _, _, outputs) = x.shape, w.shape
        if w.shape[:3] != (P, P, channels):
            raise InputError(f"patch_embed: the images have {channels} channels, w has shape {w.shape}")
        layout = Images(height, width, channels, P)
        y, rows = empty((count, layout.patches, outputs), output), count * layout.patches
        kernel, blocks = version(layout, w.format, output, rows, outputs)
        kernel.launch(blocks, x.flat, w.flat, b.flat, b.flat, y.flat, rows, outputs, layout.inputs)
        return y

    return patch_embed


LADDER = {"v1": rung(v1), "v2": rung(v2), "v3": rung(v3)}
patch_embed = rung(last)

_B16, _TENSOR = Images(224, 224, 3, 16), ("HMMA.16816.F32", "LDSM.16.M88.4", "LDG.E.128")
KERNELS = [
    Checked("patch_embed v1 float32", thread_per_output(_B16, FLOAT32, FLOAT32)),
    Checked("patch_embed v2 128×128", register_tiles(FLOAT32, Epilogue(), *REGISTER_TILES[0], True, reading(_B16)),
            ("LDG.E.128", "LDS.128", "STG.E.128"), last=True),
    *(
        Checked(f"patch_embed v3 128×128 {format}", tensor_cores(format, FLOAT32, Epilogue(), *TENSOR_TILES[0], True,
                FLOAT32, rounding(_B16, format)), _TENSOR, last=True)
        for format in (FLOAT16, BFLOAT16)
    ),
]  # fmt: skip
