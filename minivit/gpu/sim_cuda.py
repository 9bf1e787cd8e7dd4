"""What kernels know as `cuda` and `math`, in the simulator."""

import math as _math
from types import SimpleNamespace

import numpy as np

from .sim import ALL_LANES, WARP, KernelError, current, poisoned

SHARED_BYTES = 48 * 1024  # what a block may declare without asking the driver for more


class _Cuda:
    """What kernels know as `cuda`."""

    threadIdx = property(lambda self: current().threadIdx)
    blockIdx = property(lambda self: current().block.blockIdx)
    blockDim = property(lambda self: current().block.blockDim)
    gridDim = property(lambda self: current().block.gridDim)
    laneid = property(lambda self: np.uint32(current().lane))

    def __init__(self):
        self.shared = SimpleNamespace(array=_shared_array)
        self.local = SimpleNamespace(array=poisoned)

    def syncthreads(self):
        current().wait(("block", None))

    def syncwarp(self, mask=ALL_LANES):
        current().exchange(None, mask)

    def shfl_sync(self, mask, value, lane):
        return _from_lane(mask, value, int(lane) % WARP)

    def shfl_xor_sync(self, mask, value, bits):
        return _from_lane(mask, value, current().lane ^ int(bits))

    def shfl_down_sync(self, mask, value, distance):
        return _from_lane(mask, value, current().lane + int(distance))

    def shfl_up_sync(self, mask, value, distance):
        return _from_lane(mask, value, current().lane - int(distance))

    def any_sync(self, mask, condition):
        return any(current().exchange(condition, mask).values())

    def all_sync(self, mask, condition):
        return all(current().exchange(condition, mask).values())


def _shared_array(shape, dtype, alignment=None):
    # the n-th array that a thread declares is the n-th of its block; alignment: in bytes, see shared_address
    thread = current()
    arrays, n = thread.block.shared, thread.shared_arrays
    thread.shared_arrays += 1
    if n == len(arrays):
        arrays.append(poisoned(shape, dtype))
        thread.block.alignment[id(arrays[n])] = alignment or np.dtype(dtype).itemsize
        size = sum(array.nbytes for array in arrays)
        if size > SHARED_BYTES:
            raise KernelError(f"a block declares {size} bytes of shared memory, but may have {SHARED_BYTES}")
    return arrays[n]


def _from_lane(mask, value, lane):
    return current().exchange(value, mask).get(lane, value)  # a lane that is not there: one's own value


cuda = _Cuda()
#: as on a GPU: float32 in, float32 out, infinities instead of errors
math = SimpleNamespace(
    pi=_math.pi,
    exp=lambda x: np.exp(np.float32(x)),
    sqrt=lambda x: np.sqrt(np.float32(x)),
    tanh=lambda x: np.tanh(np.float32(x)),
    erf=lambda x: np.float32(_math.erf(x)),
)
