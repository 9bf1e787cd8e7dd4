"""Convolution on the CPU.

v1  the definition as loops, a sum at a time
v2  all windows written down (im2col, ref.py), one product on packed panels
v3  some windows at a time, straight into the panels of that product, in the caches (windows.py)
"""

import numpy as np

from ...errors import InputError
from ..linear.blocking import SUMS
from ..linear.cpu import linear, linear_backward
from ..linear.packed import PackedMatrix
from ..simd.kernel import kernel_of
from ..simd.language import njit
from ..simd.stages import my_part
from ..simd.team import team
from . import ref
from .packed import StandardisedLater
from .windows import Layer, convolve


@njit(nogil=True)
def loops_v1(x, w, stride, top, left, y):
    # x (B,h,w,c), w (k,k,c,O) -> y (B,rows,columns,O)
    side = len(w)
    for b in range(len(x)):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                y[b, i, j] = 0
                for m in range(max(0, top - i * stride), min(side, x.shape[1] + top - i * stride)):
                    for n in range(max(0, left - j * stride), min(side, x.shape[2] + left - j * stride)):
                        for c in range(x.shape[3]):
                            number = x[b, i * stride + m - top, j * stride + n - left, c]
                            for o in range(y.shape[3]):
                                y[b, i, j, o] += number * w[m, n, c, o]


@kernel_of("hybrid")
def conv_kernel(work, threads, layer, images, x, y, a, scratch, size):
    convolve(work, 1, threads, layer, images, x, 0, y, a, my_part(work, scratch, size))


def conv(x, w, stride):
    # x (B,h,w,c), w (k,k,c,O) packed or not -> (B,⌈h/stride⌉,⌈w/stride⌉,O)
    x = np.ascontiguousarray(x, np.float32)
    w = w if isinstance(w, PackedMatrix) else PackedMatrix(np.asarray(w))
    if w.shape[0] != w.shape[1] or w.shape[2] != x.shape[3]:
        raise InputError(f"conv: the map has {x.shape[3]} channels, w has shape {w.shape}; expected (k,k,channels,·)")
    layer, crew = Layer(w, stride, len(x), x.shape[1:3]), team()
    y = np.empty((len(x), *layer.size, layer.outputs), np.float32)
    crew.run(
        conv_kernel, crew.threads, np.array(layer.fields), len(x), x, y, keep=layer,
        stages=1 + layer.stages, spaces=(layer.room,), scratch=max(SUMS, w.inputs),
    )  # fmt: skip
    return y


def conv_backward(dy, x, w, stride):
    # dy (B,⌈h/stride⌉,⌈w/stride⌉,O), x (B,h,w,c), w (k,k,c,O) packed or not -> dx (B,h,w,c), dw (k,k,c,O)
    dwindows, dw, _ = linear_backward(dy, ref.windows(x, w.shape[0], stride), w)
    return ref.from_windows(dwindows, x.shape, w.shape[0], stride), dw.reshape(w.shape)


def standardise(w, eps, eps_on):
    # w (k,k,c,O), prepared (ops.prepare) or not -> (k,k,c,O), packed if it was prepared; eps_on "std" | "variance"
    if isinstance(w, StandardisedLater):
        return w.standardised(eps, eps_on)
    return ref.standardise(w, eps, eps_on)


def standardise_backward(dy, w, eps, eps_on):
    # dy (k,k,c,O), w (k,k,c,O) prepared or not -> dw (k,k,c,O)
    return ref.standardise_backward(dy, w.unpacked() if isinstance(w, StandardisedLater) else w, eps, eps_on)


def conv_v1(x, w, stride):
    # x (B,h,w,c), w (k,k,c,O) not packed -> (B,⌈h/stride⌉,⌈w/stride⌉,O)
    y = np.empty((len(x), *ref.outputs(x, stride), w.shape[-1]), np.float32)
    (top, _), (left, _) = (ref.padding(size, len(w), stride) for size in x.shape[1:3])
    loops_v1(np.ascontiguousarray(x, np.float32), np.ascontiguousarray(w, np.float32), stride, top, left, y)
    return y


def conv_v2(x, w, stride):
    # x (B,h,w,c), w (k,k,c,O) packed or not -> (B,⌈h/stride⌉,⌈w/stride⌉,O)
    return linear(ref.windows(x, w.shape[0], stride), w)


LADDER = {"v1": conv_v1, "v2": conv_v2, "v3": conv}
