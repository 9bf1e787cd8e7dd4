"""LayerNorm on the GPU.  It is limited by memory: a version is as good as the bytes per second that it moves.

v1  one thread per row, three passes over it.  Neighbouring threads read numbers a whole row apart, so every load of a
    warp touches 32 lines of memory and uses 4 bytes of each: about a tenth of the bandwidth
v2  one warp per row: its lanes read neighbouring numbers, one line per load, and add up in five shuffles.  The row is
    still read three times, from the cache after the first: about half of the bandwidth
v3  the row stays in registers, 128 bits per access: read once, written once, nothing else: 85 % of the bandwidth

(Expected; what ours reach: benchmarks/gpu.sh.)
"""

from functools import cache

from ...errors import InputError
from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, device, float32, math, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel
from ...gpu.warps import warp_sum

THREADS = 128
WARPS = THREADS // 32
#: the widest row that a warp keeps in its registers: 64 numbers per lane
IN_REGISTERS = 2048


def _signature(source, target):
    return f"{source.signature}, {FLOAT32.signature}, {FLOAT32.signature}, {target.signature}, uint32, float32"


@cache
def thread_per_row(width, source, target):
    load, store, D = source.load, target.store, uint32(width)

    @kernel(_signature(source, target), THREADS, target.fast)
    def layernorm_v1(x, scale, bias, y, rows, eps):
        # x (rows,D), scale (D,), bias (D,) -> y (rows,D)
        row = uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x)
        if row < rows:
            start, mean, variance = uint32(row * D), float32(0), float32(0)
            for j in range(width):
                mean += load(x, start + uint32(j))
            mean /= float32(width)
            for j in range(width):
                centred = load(x, start + uint32(j)) - mean
                variance += centred * centred
            inverse = float32(1) / math.sqrt(variance / float32(width) + eps)
            for j in range(width):
                v = (load(x, start + uint32(j)) - mean) * inverse
                store(y, start + uint32(j), v * scale[j] + bias[j])

    return layernorm_v1


@cache
def warp_per_row(width, source, target):
    load, store, D = source.load, target.store, uint32(width)

    @kernel(_signature(source, target), THREADS, target.fast)
    def layernorm_v2(x, scale, bias, y, rows, eps):
        # x (rows,D), scale (D,), bias (D,) -> y (rows,D)
        lane = uint32(cuda.threadIdx.x) % uint32(32)
        row = uint32(cuda.blockIdx.x) * uint32(WARPS) + uint32(cuda.threadIdx.x) // uint32(32)
        if row < rows:  # the whole warp, or none of it: all lanes meet in the shuffles
            start, total, squares = uint32(row * D), float32(0), float32(0)
            for j in range(lane, width, 32):
                total += load(x, start + uint32(j))
            mean = warp_sum(total) / float32(width)
            for j in range(lane, width, 32):
                centred = load(x, start + uint32(j)) - mean
                squares += centred * centred
            inverse = float32(1) / math.sqrt(warp_sum(squares) / float32(width) + eps)
            for j in range(lane, width, 32):
                v = (load(x, start + uint32(j)) - mean) * inverse
                store(y, start + uint32(j), v * scale[j] + bias[j])

    return layernorm_v2


@cache
def row_in_registers(width, source, target):
    chunks, D, aligned = -(-width // 128), uint32(width), width % 4 == 0  # so that every row starts at a multiple of 4
    read, write = (source.load4, target.store4) if aligned else _one_by_one(width, source, target)
    read_vector = FLOAT32.load4 if aligned else _one_by_one(width, FLOAT32, FLOAT32)[0]

    @kernel(_signature(source, target), THREADS, target.fast)
    def layernorm_v3(x, scale, bias, y, rows, eps):
        # x (rows,D), scale (D,), bias (D,) -> y (rows,D); lane l has columns 4l … 4l+3, then 128 further on, …
        v = cuda.local.array((chunks, 4), float32)
        lane = uint32(cuda.threadIdx.x) % uint32(32)
        row = uint32(cuda.blockIdx.x) * uint32(WARPS) + uint32(cuda.threadIdx.x) // uint32(32)
        if row < rows:
            start, total, squares = uint32(row * D), float32(0), float32(0)
            for i in range(chunks):
                column = uint32(i) * uint32(128) + lane * uint32(4)
                if column < D:
                    v[i, 0], v[i, 1], v[i, 2], v[i, 3] = read(x, start + column)
                    total += (v[i, 0] + v[i, 1]) + (v[i, 2] + v[i, 3])
            mean = warp_sum(total) / float32(width)
            for i in range(chunks):
                for e in range(4):
                    if uint32(i) * uint32(128) + lane * uint32(4) + uint32(e) < D:
                        v[i, e] -= mean
                        squares += v[i, e] * v[i, e]
            inverse = float32(1) / math.sqrt(warp_sum(squares) / float32(width) + eps)
            for i in range(chunks):
                column = uint32(i) * uint32(128) + lane * uint32(4)
                if column < D:
                    s0, s1, s2, s3 = read_vector(scale, column)
                    b0, b1, b2, b3 = read_vector(bias, column)
                    write(
                        y, start + column, v[i, 0] * inverse * s0 + b0, v[i, 1] * inverse * s1 + b1,
                        v[i, 2] * inverse * s2 + b2, v[i, 3] * inverse * s3 + b3,
                    )  # fmt: skip

    return layernorm_v3


def _one_by_one(width, source, target):
    # load4 and store4 where the address may be any; columns past the end of the row read as zero
    load, store, D = source.load, target.store, uint32(width)

    @device
    def read(x, at):
        left = D - at % D
        b = load(x, at + uint32(1)) if left > uint32(1) else float32(0)
        c = load(x, at + uint32(2)) if left > uint32(2) else float32(0)
        d = load(x, at + uint32(3)) if left > uint32(3) else float32(0)
        return load(x, at), b, c, d

    @device
    def write(y, at, a, b, c, d):
        left = D - at % D
        store(y, at, a)
        if left > uint32(1):
            store(y, at + uint32(1), b)
        if left > uint32(2):
            store(y, at + uint32(2), c)
        if left > uint32(3):
            store(y, at + uint32(3), d)

    return read, write


def _launch(kernel_of, rows_of_a_block, x, scale, bias, eps):
    # x (...,D), scale (D,), bias (D,) -> (...,D)
    x, width, target = dense(on_device(x)), x.shape[-1], getattr(scale, "output", None)
    scale, bias = (dense(on_device(v), FLOAT32) for v in (scale, bias))
    if not scale.size == bias.size == width:
        raise InputError(f"layernorm: {scale.size} scales and {bias.size} biases, expected {width}, the width of x")
    y, rows = empty(x.shape, target or x.format), x.size // width
    launch = kernel_of(width, x.format, y.format).launch
    launch(blocks(rows, rows_of_a_block), x.flat, scale.flat, bias.flat, y.flat, rows, eps)
    return y


def layernorm_v1(x, scale, bias, eps):
    # x (...,D), scale (D,), bias (D,) -> (...,D)
    return _launch(thread_per_row, THREADS, x, scale, bias, eps)


def layernorm_v2(x, scale, bias, eps):
    # x (...,D), scale (D,), bias (D,) -> (...,D)
    return _launch(warp_per_row, WARPS, x, scale, bias, eps)


def layernorm(x, scale, bias, eps):
    # x (...,D), scale (D,), bias (D,) -> (...,D)
    if x.shape[-1] > IN_REGISTERS:
        return layernorm_v2(x, scale, bias, eps)
    return _launch(row_in_registers, WARPS, x, scale, bias, eps)


LADDER = {"v1": layernorm_v1, "v2": layernorm_v2, "v3": layernorm}
KERNELS = [
    Checked("layernorm v1 float32", thread_per_row(768, FLOAT32, FLOAT32)),
    Checked("layernorm v2 float32", warp_per_row(768, FLOAT32, FLOAT32), ("SHFL",)),
    Checked("layernorm v3 float32", row_in_registers(768, FLOAT32, FLOAT32), ("LDG.E.128", "SHFL"), last=True),
    Checked("layernorm v3 float32, odd width", row_in_registers(197, FLOAT32, FLOAT32), ("SHFL",), last=True),
    Checked("layernorm v3 to bfloat16", row_in_registers(768, FLOAT32, BFLOAT16), ("LDG.E.128", "STG.E.64"), last=True),
]
