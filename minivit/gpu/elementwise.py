"""Kernels with one thread per element: copy a view or rows, add, scale.  They move numbers; models do little of it."""

from functools import cache

from .compat import cuda, uint32
from .formats import BFLOAT16, FLOAT32
from .launch import Checked, kernel

AXES = 6
THREADS = 256


@cache
def gather(source, target):
    """Copy a strided view, of `source` format, into a dense array of `target` format."""
    load, store = source.load, target.store
    numbers = ", ".join(["uint32"] * (2 + 2 * AXES))

    @kernel(f"{source.signature}, {target.signature}, {numbers}", THREADS)
    def gather(x, y, count, offset, n0, n1, n2, n3, n4, n5, s0, s1, s2, s3, s4, s5):
        # x[offset + a·s0 + b·s1 + c·s2 + d·s3 + e·s4 + f·s5] -> y (n0,n1,n2,n3,n4,n5), count numbers
        i = uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x)
        if i < count:
            f, rest = i % n5, i // n5
            e, rest = rest % n4, rest // n4
            d, rest = rest % n3, rest // n3
            c, rest = rest % n2, rest // n2
            b, a = rest % n1, rest // n1
            store(y, i, load(x, uint32(offset + a * s0 + b * s1 + c * s2 + d * s3 + e * s4 + f * s5)))

    return gather


@cache
def add(left, right, result):
    """Add, element by element; the right array is used again and again if it is smaller."""
    load_left, load_right, store = left.load, right.load, result.store

    @kernel(f"{left.signature}, {right.signature}, {result.signature}, uint32, uint32", THREADS)
    def add(x, y, z, count, period):
        # x (count,), y (period,) -> z (count,)
        i = uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x)
        if i < count:
            store(z, i, load_left(x, i) + load_right(y, i % period))

    return add


@cache
def scale(format):
    """Multiply by a number."""
    load, store = format.load, format.store

    @kernel(f"{format.signature}, {format.signature}, uint32, float32", THREADS)
    def scale(x, y, count, factor):
        # x (count,) -> y (count,)
        i = uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x)
        if i < count:
            store(y, i, load(x, i) * factor)

    return scale


@cache
def look_up(format):
    """Copy rows of a table."""
    load, store = format.load, format.store

    @kernel(f"{format.signature}, uint32[::1], {format.signature}, uint32, uint32", THREADS)
    def look_up(table, numbers, y, count, width):
        # table (V,D), numbers (n,) -> y (n,D): count numbers
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            store(y, i, load(table, uint32(numbers[uint32(i // width)] * width + i % width)))

    return look_up


KERNELS = [
    Checked("gather float32", gather(FLOAT32, FLOAT32), last=True),
    Checked("gather float32 to bfloat16", gather(FLOAT32, BFLOAT16), last=True),
    Checked("add float32", add(FLOAT32, FLOAT32, FLOAT32), last=True),
    Checked("scale bfloat16", scale(BFLOAT16), last=True),
    Checked("rows float32", look_up(FLOAT32), last=True),
]
