"""Prepended tokens on the GPU: one thread per number of the result.  A copy, limited by memory, once per forward."""

from functools import cache

from ...errors import InputError
from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel

THREADS = 256


@cache
def prepend_kernel(of_patches, of_prefix):
    load, load_prefix, store = of_patches.load, of_prefix.load, of_patches.store
    arrays = ", ".join(format.signature for format in (of_patches, of_prefix, of_patches))

    @kernel(f"{arrays}, uint32, uint32, uint32", THREADS)
    def prepend(patches, prefix, y, count, before, whole):
        # patches (B,G·D), prefix (T·D,) -> y (B,(T+G)·D): count numbers; before = T·D, whole = (T+G)·D
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            image, place = uint32(i // whole), uint32(i % whole)
            if place < before:
                store(y, i, load_prefix(prefix, place))
            else:
                store(y, i, load(patches, uint32(image * uint32(whole - before) + place - before)))

    return prepend


def prepend(patches, prefix):
    # patches (B,G,D), prefix (1,T,D) -> (B,T+G,D); every image gets the same ones
    patches, prefix = dense(on_device(patches)), dense(on_device(prefix))
    (B, G, D), T = patches.shape, prefix.shape[1]
    if prefix.shape != (1, T, D):
        raise InputError(f"prepend: the prefix has shape {prefix.shape}, expected (1, {T}, {D})")
    y = empty((B, T + G, D), patches.format)
    launch = prepend_kernel(patches.format, prefix.format).launch
    launch(blocks(y.size, THREADS), patches.flat, prefix.flat, y.flat, y.size, T * D, (T + G) * D)
    return y


LADDER = {"v1": prepend}
KERNELS = [
    Checked("prepend float32", prepend_kernel(FLOAT32, FLOAT32), last=True),
    Checked("prepend bfloat16", prepend_kernel(BFLOAT16, BFLOAT16), last=True),
]
