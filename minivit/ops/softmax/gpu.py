"""Softmax on the GPU.  Attention has its own inside (ops/attention); this one runs when somebody looks at the matrix.

v1  one thread per row, three passes; neighbouring threads read a whole row apart: about a tenth of the bandwidth
v2  one warp per row: lanes read neighbouring numbers, maximum and sum meet in five shuffles each: three reads, two of
    them from the cache: about half of the bandwidth
v3  the row stays in registers: read once, written once.  Rows of N numbers start anywhere (N = 197), so there is no
    128-bit access; a warp's load is still one stretch of memory: three quarters of the bandwidth or more

(Expected; what ours reach: benchmarks/gpu.sh.)
"""

from functools import cache

from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, float32, math, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel
from ...gpu.warps import warp_max, warp_sum

THREADS = 128
WARPS = THREADS // 32
#: the longest row that a warp keeps in its registers: 64 numbers per lane
IN_REGISTERS = 2048
#: below every score, so exp(LOWEST − maximum) is 0; not −∞, which approximate arithmetic may take for impossible
LOWEST = -1e30


def _signature(format):
    return f"{format.signature}, {format.signature}, uint32"


@cache
def thread_per_row(n, format):
    load, store, N, lowest = format.load, format.store, uint32(n), float32(LOWEST)

    @kernel(_signature(format), THREADS, format.fast)
    def softmax_v1(x, y, rows):
        # x (rows,N) -> y (rows,N)
        row = uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x)
        if row < rows:
            start, top, total = uint32(row * N), lowest, float32(0)
            for j in range(n):
                top = max(top, load(x, start + uint32(j)))
            for j in range(n):
                total += math.exp(load(x, start + uint32(j)) - top)
            for j in range(n):
                store(y, start + uint32(j), math.exp(load(x, start + uint32(j)) - top) / total)

    return softmax_v1


@cache
def warp_per_row(n, format):
    load, store, N, lowest = format.load, format.store, uint32(n), float32(LOWEST)

    @kernel(_signature(format), THREADS, format.fast)
    def softmax_v2(x, y, rows):
        # x (rows,N) -> y (rows,N)
        lane = uint32(cuda.threadIdx.x) % uint32(32)
        row = uint32(cuda.blockIdx.x) * uint32(WARPS) + uint32(cuda.threadIdx.x) // uint32(32)
        if row < rows:  # the whole warp, or none of it: all lanes meet in the shuffles
            start, top, total = uint32(row * N), lowest, float32(0)
            for j in range(lane, n, 32):
                top = max(top, load(x, start + uint32(j)))
            top = warp_max(top)
            for j in range(lane, n, 32):
                total += math.exp(load(x, start + uint32(j)) - top)
            inverse = float32(1) / warp_sum(total)
            for j in range(lane, n, 32):
                store(y, start + uint32(j), math.exp(load(x, start + uint32(j)) - top) * inverse)

    return softmax_v2


@cache
def row_in_registers(n, format):
    load, store, N, lowest = format.load, format.store, uint32(n), float32(LOWEST)
    chunks = -(-n // 32)

    @kernel(_signature(format), THREADS, format.fast)
    def softmax_v3(x, y, rows):
        # x (rows,N) -> y (rows,N); lane l has columns l, l + 32, …
        v = cuda.local.array(chunks, float32)
        lane = uint32(cuda.threadIdx.x) % uint32(32)
        row = uint32(cuda.blockIdx.x) * uint32(WARPS) + uint32(cuda.threadIdx.x) // uint32(32)
        if row < rows:
            start, top, total = uint32(row * N) + lane, lowest, float32(0)
            for i in range(chunks):
                inside = lane + uint32(32 * i) < N
                v[i] = load(x, start + uint32(32 * i)) if inside else lowest
                top = max(top, v[i])
            top = warp_max(top)
            for i in range(chunks):
                v[i] = math.exp(v[i] - top)
                total += v[i]
            inverse = float32(1) / warp_sum(total)
            for i in range(chunks):
                if lane + uint32(32 * i) < N:
                    store(y, start + uint32(32 * i), v[i] * inverse)

    return softmax_v3


def _launch(kernel_of, rows_of_a_block, x):
    # x (...,N) -> (...,N)
    x, n = dense(on_device(x)), x.shape[-1]
    y, rows = empty(x.shape, x.format), x.size // n
    kernel_of(n, x.format).launch(blocks(rows, rows_of_a_block), x.flat, y.flat, rows)
    return y


def softmax_v1(x):
    # x (...,N) -> (...,N)
    return _launch(thread_per_row, THREADS, x)


def softmax_v2(x):
    # x (...,N) -> (...,N)
    return _launch(warp_per_row, WARPS, x)


def softmax(x):
    # x (...,N) -> (...,N)
    return _launch(row_in_registers, WARPS, x) if x.shape[-1] <= IN_REGISTERS else softmax_v2(x)


LADDER = {"v1": softmax_v1, "v2": softmax_v2, "v3": softmax}
KERNELS = [
    Checked("softmax v1 float32", thread_per_row(197, FLOAT32)),
    Checked("softmax v2 float32", warp_per_row(197, FLOAT32), ("SHFL",)),
    Checked("softmax v3 float32", row_in_registers(197, FLOAT32), ("SHFL", "MUFU.EX2"), last=True),
    Checked("softmax v3 bfloat16", row_in_registers(197, BFLOAT16), ("SHFL", "MUFU.EX2"), last=True),
]
