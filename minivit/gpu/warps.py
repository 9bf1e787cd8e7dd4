"""Sums and maxima over the 32 lanes of a warp: five shuffles, no shared memory, no barrier; every lane gets them."""

from .compat import cuda, device

ALL_LANES = 0xFFFFFFFF


@device
def warp_sum(value):
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(ALL_LANES, value, distance)
    return value


@device
def warp_max(value):
    for distance in (16, 8, 4, 2, 1):
        value = max(value, cuda.shfl_xor_sync(ALL_LANES, value, distance))
    return value
