"""Pooling on the GPU.  "token" is a view: nothing moves.

"gap"  one thread per channel of an image: neighbouring threads read neighbouring channels, a token at a time.
       Limited by memory, and done once per forward pass
"""

from functools import cache

from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, float32, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel

THREADS = 128


@cache
def mean_kernel(format):
    load, store = format.load, format.store

    @kernel(f"{format.signature}, {format.signature}, {', '.join(['uint32'] * 4)}", THREADS)
    def mean(x, y, count, tokens, prefix, width):
        # x (B,N,D) -> y (B,D): count numbers, each the mean of the tokens behind the prefix
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            total, start = float32(0), uint32(i // width * tokens * width + i % width)
            for token in range(prefix, tokens):
                total += load(x, uint32(start + uint32(token) * width))
            store(y, i, total / float32(tokens - prefix))

    return mean


def pool(x, how, prefix):
    # x (B,N,D) -> (B,D) or, unpooled, (B,N,D); prefix: tokens in front that are not patches
    x = on_device(x)
    if how == "token":
        return x[:, 0]
    if how != "gap":
        return x
    x, (B, N, D) = dense(x), x.shape
    y = empty((B, D), x.format)
    mean_kernel(x.format).launch(blocks(y.size, THREADS), x.flat, y.flat, y.size, N, prefix, D)
    return y


LADDER = {"v1": pool}
KERNELS = [
    Checked("pool float32", mean_kernel(FLOAT32), last=True),
    Checked("pool bfloat16", mean_kernel(BFLOAT16), last=True),
]
