"""Linear layer on the GPU.

v1  one thread per output: every number of x and w is fetched again for every product                      5 TFLOP/s
v2  a block shares tiles of x and w in shared memory: each number that is fetched serves 16 products       9 TFLOP/s
v3  a thread keeps 8×8 sums in registers (gpu_register_tiles.py): 16 numbers from shared memory serve 64 products;
    global memory in 128-bit accesses.  The last rung of float32                                          40 TFLOP/s
v4  tensor cores (gpu_tensor_cores.py): a warp multiplies 16×16 by 16×8 in one instruction, halves in, float32 sums;
    tiles come by asynchronous copies, two ahead of their use, to where no two lanes meet in a bank      400 TFLOP/s
v5  v3 or v4, and where there are few rows, their inner sums in parts (gpu_parts.py): at batch 1 the second layer of
    B/16's MLP becomes three times as fast in float32, and twice in halves

(Expected of an H100, from what others measured with the same ideas; what ours reach: benchmarks/gpu.sh.)
Every rung takes any M, K, N: at the border tiles are filled up with zeros, and rows that do not start at a multiple of
16 bytes are read number by number.  Bias, GELU and the residual stream join the sums before they are written
(gpu/tiles.py), so they need no pass of their own.
"""

from functools import cache

from ...errors import InputError
from ...gpu.arrays import dense, empty, on_device
from ...gpu.compat import cuda, float32, uint32
from ...gpu.formats import BFLOAT16, FLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel
from ...gpu.tiles import Epilogue, choose, finish, grid, signature
from .gpu_parts import add_kernel, add_parts, parts_of
from .gpu_register_tiles import DEPTH as REGISTER_DEPTH
from .gpu_register_tiles import TILES as REGISTER_TILES
from .gpu_register_tiles import register_tiles
from .gpu_tensor_cores import DEPTH as TENSOR_DEPTH
from .gpu_tensor_cores import TILES as TENSOR_TILES
from .gpu_tensor_cores import tensor_cores

PLAIN = Epilogue(bias=False)


@cache
def thread_per_output(format, output, epilogue, side=16):
    load, store, end = format.load, output.store, finish(epilogue, format.fast)

    @kernel(signature(format, output), (side, side), format.fast)
    def linear_v1(x, w, b, residual, y, M, N, K):
        # x (M,K), w (K,N), b (N,), residual (M,N) -> y (M,N)
        column = uint32(cuda.blockIdx.x) * uint32(side) + uint32(cuda.threadIdx.x)
        row = uint32(cuda.blockIdx.y) * uint32(side) + uint32(cuda.threadIdx.y)
        if row < M and column < N:
            total, i = float32(0), uint32(0)
            while i < K:
                total += load(x, row * K + i) * load(w, i * N + column)
                i += uint32(1)
            store(y, row * N + column, end(total, b, residual, row * N + column, column))

    return linear_v1


@cache
def shared_tiles(format, output, epilogue, side=16):
    load, store, end = format.load, output.store, finish(epilogue, format.fast)

    @kernel(signature(format, output), (side, side), format.fast)
    def linear_v2(x, w, b, residual, y, M, N, K):
        # x (M,K), w (K,N), b (N,), residual (M,N) -> y (M,N)
        xs = cuda.shared.array((side, side), float32)
        ws = cuda.shared.array((side, side), float32)
        tx, ty = uint32(cuda.threadIdx.x), uint32(cuda.threadIdx.y)
        column, row = uint32(cuda.blockIdx.x) * uint32(side) + tx, uint32(cuda.blockIdx.y) * uint32(side) + ty
        total, start = float32(0), uint32(0)
        while start < K:
            xs[ty, tx] = load(x, row * K + start + tx) if row < M and start + tx < K else float32(0)
            ws[ty, tx] = load(w, (start + ty) * N + column) if start + ty < K and column < N else float32(0)
            cuda.syncthreads()  # both tiles are there
            for i in range(side):
                total += xs[ty, i] * ws[i, tx]
            cuda.syncthreads()  # nobody reads them any more
            start += uint32(side)
        if row < M and column < N:
            store(y, row * N + column, end(total, b, residual, row * N + column, column))

    return linear_v2


def v1(format, output, epilogue, M, N, K):
    return thread_per_output(format, output, epilogue), grid(M, N, 16, 16)


def v2(format, output, epilogue, M, N, K):
    return shared_tiles(format, output, epilogue), grid(M, N, 16, 16)


def v3(format, output, epilogue, M, N, K, in_parts=False):
    if format is not FLOAT32:
        raise InputError(f"linear v3 multiplies float32, not {format}; v4 does")
    tile = choose(REGISTER_TILES, M, N)
    kernel = register_tiles(output, epilogue, *tile, K % 4 == N % 4 == 0, in_parts=in_parts)
    return kernel, grid(M, N, *tile)


def v4(format, output, epilogue, M, N, K, in_parts=False):
    if format is FLOAT32:
        raise InputError("linear v4 multiplies float16 or bfloat16, not float32; v3 does")
    tile = choose(TENSOR_TILES, M, N)
    kernel = tensor_cores(format, output, epilogue, *tile, K % 8 == N % 8 == 0, in_parts=in_parts)
    return kernel, grid(M, N, *tile)


def v5(format, output, epilogue, M, N, K):
    whole, depth = (v3, REGISTER_DEPTH) if format is FLOAT32 else (v4, TENSOR_DEPTH)
    kernel, (across, down) = whole(format, output, epilogue, M, N, K)
    parts = parts_of(across * down, -(-K // depth))
    if parts == 1:
        return kernel, (across, down)
    return whole(format, FLOAT32, PLAIN, M, N, K, in_parts=True)[0], (across, down, parts)


@cache
def nothing():
    """An array that kernels are given, but do not read."""
    return on_device([0.0])


def product(x, w, b=None, gelu=None, residual=None, rung=v5):
    """x w + b, then GELU of that kind, then + residual, in one kernel; or two, for few rows.

    x (...,K), w (K,N), b (N,), residual (...,N) float32 -> (...,N); w's format is the one that is multiplied in.
    """
    w = dense(on_device(w))
    inputs, outputs = w.shape
    if x.shape[-1] != inputs:
        raise InputError(f"linear: x has {x.shape[-1]} numbers per row, expected {inputs}, the rows of w")
    x, output = dense(on_device(x, w.format), w.format), w.output or w.format
    bias, stream = (nothing() if v is None else dense(on_device(v), FLOAT32) for v in (b, residual))
    y, rows = empty((*x.shape[:-1], outputs), output), x.size // inputs
    epilogue = Epilogue(b is not None, gelu, residual is not None)
    kernel, blocks = rung(w.format, output, epilogue, rows, outputs, inputs)
    sums = y if len(blocks) == 2 else empty((blocks[2], rows, outputs), FLOAT32)
    kernel.launch(blocks, x.flat, w.flat, bias.flat, stream.flat, sums.flat, rows, outputs, inputs)
    if sums is not y:
        add_parts(sums, bias, stream, y, epilogue, w.format.fast)
    return y


def rung(version):
    def linear(x, w, b=None):
        # x (...,K), w (K,N), b (N,) -> (...,N)
        return product(x, w, b, rung=version)

    return linear


LADDER = {"v1": rung(v1), "v2": rung(v2), "v3": rung(v3), "v4": rung(v4), "v5": rung(v5)}
linear = rung(v5)

_MLP, _OUT = Epilogue(gelu="tanh"), Epilogue(residual=True)
_TENSOR = ("HMMA.16816.F32", "LDSM.16.M88.4", "LDSM.16.MT88.4", "LDGSTS.E.BYPASS")
KERNELS = [
    Checked("linear v1 float32", thread_per_output(FLOAT32, FLOAT32, Epilogue())),
    Checked("linear v2 float32", shared_tiles(FLOAT32, FLOAT32, Epilogue())),
    *(
        Checked(f"linear v3 {height}×{width} GELU", register_tiles(FLOAT32, _MLP, height, width, True),
                ("LDG.E.128", "LDS.128", "STG.E.128", "FFMA"), last=True)
        for height, width in REGISTER_TILES
    ),
    Checked("linear v3 128×128 any size", register_tiles(FLOAT32, Epilogue(), 128, 128, False), ("FFMA",)),
    *(
        Checked(f"linear v4 {tile[0]}×{tile[1]} {format} GELU", tensor_cores(format, format, _MLP, *tile, True),
                _TENSOR, last=True)
        for format in (FLOAT16, BFLOAT16) for tile in TENSOR_TILES
    ),
    Checked("linear v4 128×128 bfloat16 residual", tensor_cores(BFLOAT16, FLOAT32, _OUT, *TENSOR_TILES[0], True),
            _TENSOR, last=True),
    Checked("linear v4 128×128 bfloat16 any size",
            tensor_cores(BFLOAT16, BFLOAT16, Epilogue(), *TENSOR_TILES[0], False), _TENSOR[:3]),
    Checked("linear v5 32×64 in parts", register_tiles(FLOAT32, PLAIN, *REGISTER_TILES[-1], True, in_parts=True),
            ("LDG.E.128", "LDS.128", "STG.E.128", "FFMA"), last=True),
    Checked("linear v5 64×32 bfloat16 in parts", tensor_cores(BFLOAT16, FLOAT32, PLAIN, *TENSOR_TILES[-1], True,
            in_parts=True), _TENSOR, last=True),
    Checked("linear v5 parts added up", add_kernel(FLOAT32, _OUT, False), last=True),
]  # fmt: skip
