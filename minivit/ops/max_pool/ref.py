"""Max-pooling in NumPy."""

import numpy as np

from ..conv.ref import outputs, pad, padding, shifted


def max_pool(x, side, stride):
    # x (B,h,w,C) -> (B,⌈h/stride⌉,⌈w/stride⌉,C)
    padded, (rows, columns) = pad(x, side, stride, -np.inf), outputs(x, stride)
    y = np.full((len(x), rows, columns, x.shape[-1]), -np.inf, x.dtype)
    for m, n in np.ndindex(side, side):
        np.maximum(y, shifted(padded, m, n, rows, columns, stride), out=y)
    return y


def max_pool_backward(dy, x, y, side, stride):
    # dy, y (B,⌈h/stride⌉,⌈w/stride⌉,C), x (B,h,w,C) -> dx (B,h,w,C)
    padded, (rows, columns) = pad(x, side, stride, -np.inf), outputs(x, stride)
    dpadded, left = np.zeros_like(padded), np.ones(y.shape, bool)
    for m, n in np.ndindex(side, side):
        hit = left & (shifted(padded, m, n, rows, columns, stride) == y)
        shifted(dpadded, m, n, rows, columns, stride)[...] += dy * hit
        left &= ~hit
    top, start = padding(x.shape[1], side, stride)[0], padding(x.shape[2], side, stride)[0]
    return dpadded[:, top : top + x.shape[1], start : start + x.shape[2]]
