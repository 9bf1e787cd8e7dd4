"""GELU on the GPU.

v1  one thread per number: read, compute, write; 4 bytes (2 for halves) per thread and access
v2  four numbers per thread in one access: a quarter of the instructions, so that memory is busy all the time
v3  in the epilogue of the product before it (ops/linear/gpu.py): no pass of its own

Limited by memory: 8 bytes per number in float32, so v2 should reach the bandwidth of a copy.
"""

from functools import cache

from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, device, float32, math, uint32
from ...gpu.formats import BFLOAT16, FLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel

THREADS = 256


@cache
def activation(kind, fast):
    """The function "tanh" or "erf" of one float32; kind None: the identity.  fast: the GPU's approximate tanh."""

    @device(fast=fast)
    def none(x):
        return x

    @device(fast=fast)
    def erf(x):
        return float32(0.5) * x * (float32(1) + math.erf(x * float32(0.7071067811865476)))

    @device(fast=fast)
    def tanh(x):
        inner = float32(0.7978845608028654) * (x + float32(0.044715) * x * x * x)
        return float32(0.5) * x * (float32(1) + math.tanh(inner))

    return {None: none, "erf": erf, "tanh": tanh}[kind]


@cache
def gelu_v1(format, kind):
    load, store, gate = format.load, format.store, activation(kind, format.fast)

    @kernel(f"{format.signature}, {format.signature}, uint32", THREADS, format.fast)
    def gelu_v1(x, y, count):
        # x (count,) -> y (count,)
        i = uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x)
        if i < count:
            store(y, i, gate(load(x, i)))

    return gelu_v1


@cache
def gelu_v2(format, kind):
    load, store, load4, store4 = format.load, format.store, format.load4, format.store4
    gate = activation(kind, format.fast)

    @kernel(f"{format.signature}, {format.signature}, uint32", THREADS, format.fast)
    def gelu_v2(x, y, count):
        # x (count,) -> y (count,); the last thread may have fewer than four
        i = uint32(4) * (uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i + uint32(4) <= count:
            a, b, c, d = load4(x, i)
            store4(y, i, gate(a), gate(b), gate(c), gate(d))
        else:
            while i < count:
                store(y, i, gate(load(x, i)))
                i += uint32(1)

    return gelu_v2


def rung(kernel, numbers):
    def gelu(x, kind):
        # x (...) -> (...); kind "tanh" | "erf"
        x = dense(on_device(x))
        y = empty(x.shape, x.format)
        kernel(x.format, kind).launch(blocks(x.size, numbers * THREADS), x.flat, y.flat, x.size)
        return y

    return gelu


LADDER = {"v1": rung(gelu_v1, 1), "v2": rung(gelu_v2, 4)}
gelu = LADDER["v2"]

KERNELS = [
    Checked("gelu v1 float32 tanh", gelu_v1(FLOAT32, "tanh")),
    Checked("gelu v2 float32 tanh", gelu_v2(FLOAT32, "tanh"), shows=("LDG.E.128", "STG.E.128"), last=True),
    Checked("gelu v2 float32 erf", gelu_v2(FLOAT32, "erf"), shows=("LDG.E.128", "STG.E.128"), last=True),
    Checked("gelu v2 float16 tanh", gelu_v2(FLOAT16, "tanh"), shows=("LDG.E.64", "MUFU.TANH"), last=True),
    Checked("gelu v2 bfloat16 tanh", gelu_v2(BFLOAT16, "tanh"), shows=("LDG.E.64", "MUFU.TANH"), last=True),
]
