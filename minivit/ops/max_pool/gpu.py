"""Max-pooling on the GPU.  It is limited by memory; windows that overlap find each other's numbers in the cache.

v1  one thread per number of the result; neighbouring threads have neighbouring channels: about half of the bandwidth
v2  four channels per thread, 128 bits per access: a quarter of the instructions that find a window's pixels.  It may
    write what it finds in two halves, for the convolution behind it (ops/conv): 80 % of the bandwidth

(Expected; what ours reach: benchmarks/gpu.sh.)
"""

from functools import cache

from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, device, float32, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel
from ...gpu.tiles import load_four
from ..conv.gpu_halves import filled_up, putting
from ..conv.gpu_windows import Windows, finding

THREADS = 256
LOWEST = float("-inf")  # outside of the map


@device
def larger(a, b):
    return a if a > b or a != a else b  # a NaN stays


@cache
def thread_per_number(windows):
    find, cells, lowest, C = finding(windows), windows.side**2, float32(LOWEST), uint32(windows.channels)

    @kernel(f"{FLOAT32.signature}, {FLOAT32.signature}, uint32", THREADS)
    def max_pool_v1(x, y, count):
        # x (pixels,C) -> y (windows,C): count numbers
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            row, column, most = uint32(i // C), uint32(i % C), lowest
            for cell in range(cells):
                inside, pixel = find(row, uint32(cell))
                if inside:
                    most = larger(x[uint32(pixel * C + column)], most)
            y[i] = most

    return max_pool_v1


@cache
def four_per_thread(windows, output):
    find, cells, lowest, C = finding(windows), windows.side**2, float32(LOWEST), uint32(windows.channels)
    aligned = windows.channels % 4 == 0
    read, write = load_four(aligned), putting(output, aligned)

    @kernel(f"{FLOAT32.signature}, {output.signature}, uint32, uint32, uint32", THREADS)
    def max_pool_v2(x, y, count, fours, width):
        # x (pixels,C) -> y (windows,width), or in two halves: count groups of four channels, `fours` per window
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            row, column = uint32(i // fours), uint32(i % fours * uint32(4))
            a, b, c, d = lowest, lowest, lowest, lowest
            if column >= C:  # channels that fill up
                a, b, c, d = float32(0), float32(0), float32(0), float32(0)
            for cell in range(cells):
                inside, pixel = find(row, uint32(cell))
                if inside:
                    e, f, g, h = read(x, pixel, column, uint32(pixel + uint32(1)), C)
                    a, b, c, d = larger(e, a), larger(f, b), larger(g, c), larger(h, d)
            write(y, row, column, width, a, b, c, d)

    return max_pool_v2


def max_pool_v1(x, side, stride):
    # x (B,h,w,C) -> (B,⌈h/stride⌉,⌈w/stride⌉,C)
    x = dense(on_device(x), FLOAT32)
    windows = Windows(*x.shape[1:], side, stride)
    y = empty((len(x), windows.down, windows.across, windows.channels), FLOAT32)
    thread_per_number(windows).launch(blocks(y.size, THREADS), x.flat, y.flat, y.size)
    return y


def pooled(x, side, stride, output=FLOAT32):
    # x (B,h,w,C) -> (B,⌈h/stride⌉,⌈w/stride⌉,C); output: another format than float32 for two halves (…,2,C filled up)
    x = dense(on_device(x), FLOAT32)
    windows = Windows(*x.shape[1:], side, stride)
    two = output is not FLOAT32
    width = filled_up(windows.channels) if two else windows.channels
    y = empty((len(x), windows.down, windows.across, *((2,) if two else ()), width), output)
    fours = -(-width // 4)
    count = len(x) * windows.down * windows.across * fours
    four_per_thread(windows, output).launch(blocks(count, THREADS), x.flat, y.flat, count, fours, width)
    return y


def max_pool(x, side, stride):
    # x (B,h,w,C) -> (B,⌈h/stride⌉,⌈w/stride⌉,C)
    return pooled(x, side, stride)


LADDER = {"v1": max_pool_v1, "v2": max_pool}
_MAP = Windows(112, 112, 64, 3, 2)
KERNELS = [
    Checked("max_pool v1", thread_per_number(_MAP)),
    Checked("max_pool v2", four_per_thread(_MAP, FLOAT32), ("LDG.E.128", "STG.E.128"), last=True),
    Checked("max_pool v2, in two halves", four_per_thread(_MAP, BFLOAT16), ("LDG.E.128", "STG.E.64"), last=True),
]
