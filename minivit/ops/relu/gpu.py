"""ReLU on the GPU.

v1  one thread per number: read, compare, write; 4 bytes (2 for halves) per thread and access
v2  four numbers per thread in one access: a quarter of the instructions
v3  where GroupNorm writes, with the sum of both paths (ops/groupnorm): no pass of its own

Limited by memory: 8 bytes per number in float32.
"""

from functools import cache

from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, device, float32, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel

THREADS = 256


@device
def relu_of(x):
    return float32(0) if x < float32(0) else x  # a NaN stays


@cache
def relu_v1(format):
    load, store = format.load, format.store

    @kernel(f"{format.signature}, {format.signature}, uint32", THREADS)
    def relu_v1(x, y, count):
        # x (count,) -> y (count,)
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            store(y, i, relu_of(load(x, i)))

    return relu_v1


@cache
def relu_v2(format):
    load, store, load4, store4 = format.load, format.store, format.load4, format.store4

    @kernel(f"{format.signature}, {format.signature}, uint32", THREADS)
    def relu_v2(x, y, count):
        # x (count,) -> y (count,); the last thread may have fewer than four
        i = uint32(uint32(4) * (uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x)))
        if i + uint32(4) <= count:
            a, b, c, d = load4(x, i)
            store4(y, i, relu_of(a), relu_of(b), relu_of(c), relu_of(d))
        else:
            while i < count:
                store(y, i, relu_of(load(x, i)))
                i += uint32(1)

    return relu_v2


def rung(kernel, numbers):
    def relu(x):
        # x (...) -> (...)
        x = dense(on_device(x))
        y = empty(x.shape, x.format)
        kernel(x.format).launch(blocks(x.size, numbers * THREADS), x.flat, y.flat, x.size)
        return y

    return relu


LADDER = {"v1": rung(relu_v1, 1), "v2": rung(relu_v2, 4)}
relu = LADDER["v2"]

KERNELS = [
    Checked("relu v1 float32", relu_v1(FLOAT32)),
    Checked("relu v2 float32", relu_v2(FLOAT32), ("LDG.E.128", "STG.E.128"), last=True),
    Checked("relu v2 bfloat16", relu_v2(BFLOAT16), ("LDG.E.64", "STG.E.64"), last=True),
]
