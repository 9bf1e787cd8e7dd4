"""tanh on the GPU: one thread per number, one vector per image.

float32 takes the exact function: the instruction MUFU.TANH is wrong by 2⁻¹¹, good enough for halves only.
"""

from functools import cache

from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, math, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel

THREADS = 128


@cache
def tanh_kernel(format):
    load, store = format.load, format.store

    @kernel(f"{format.signature}, {format.signature}, uint32", THREADS, format.fast)
    def tanh(x, y, count):
        # x (count,) -> y (count,)
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            store(y, i, math.tanh(load(x, i)))

    return tanh


def tanh(x):
    # x (...) -> (...)
    x = dense(on_device(x))
    y = empty(x.shape, x.format)
    tanh_kernel(x.format).launch(blocks(x.size, THREADS), x.flat, y.flat, x.size)
    return y


LADDER = {"v1": tanh}
KERNELS = [
    Checked("tanh float32", tanh_kernel(FLOAT32), last=True),
    Checked("tanh bfloat16", tanh_kernel(BFLOAT16), ("MUFU.TANH",), last=True),
]
