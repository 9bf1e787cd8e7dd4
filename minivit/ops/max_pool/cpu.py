"""Max-pooling on the CPU.

v1  loops over windows
v2  vector registers, rows shared between threads; in the hybrids it normalises and passes ReLU on the way (ops/stem)
"""

import numpy as np

from ..conv.ref import outputs, padding
from ..conv.windows import relu_of
from ..groupnorm.cpu import normalised
from ..simd.kernel import kernel_of
from ..simd.lanes import filled
from ..simd.language import njit, vec, vector_function
from ..simd.memory import load_part, store_part
from ..simd.stages import done, take, wait
from ..simd.target import W
from ..simd.team import team
from ..simd.vector import VF, call


@vector_function((vec, vec), vec)
def maximum(builder, a, b):
    """max(a, b), NaN if one of them is."""
    return call(builder, f"llvm.maximum.v{W}f32", VF, a, b)


@njit(nogil=True)
def loops_v1(x, side, stride, top, left, y):
    # x (B,h,w,C) -> y (B,rows,columns,C)
    for b in range(len(x)):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                y[b, i, j] = -np.inf
                for m in range(max(0, top - i * stride), min(side, x.shape[1] + top - i * stride)):
                    for n in range(max(0, left - j * stride), min(side, x.shape[2] + left - j * stride)):
                        for c in range(x.shape[3]):
                            y[b, i, j, c] = max(x[b, i * stride + m - top, j * stride + n - left, c], y[b, i, j, c])


@njit
def largest(x, h, w, c, side, line, column, norm, y):
    # the window of the map x (h,w,c) whose corner is at (line, column) -> y (c); norm: as in conv/windows.py
    for j in range(0, c, W):
        most, left = filled(-np.inf), c - j
        for i in range(max(line, 0), min(line + side, h)):
            for k in range(max(column, 0), min(column + side, w)):
                v = load_part(x, (i * w + k) * c + j, left)
                if norm:
                    v = normalised(v, norm, j, c)
                most = maximum(most, v)
        store_part(y, j, relu_of(most) if norm else most, left)


@njit
def pool_maps(work, stage, images, x, h, w, c, side, stride, norm, y):
    # maps x (images,h,w,c) -> y (images,⌈h/stride⌉,⌈w/stride⌉,c), a line of y per task
    down, across = -(-h // stride), -(-w // stride)
    top, start = max((down - 1) * stride + side - h, 0) // 2, max((across - 1) * stride + side - w, 0) // 2
    i = take(work, stage)
    while i < images * down:
        image, line = i // down, i % down * stride - top
        mine = norm + 12 * c * image if norm else 0
        for j in range(across):
            to = y + 4 * (i * across + j) * c
            largest(x + 4 * image * h * w * c, h, w, c, side, line, j * stride - start, mine, to)
        i = done(work, stage)
    wait(work, stage, images * down)


@kernel_of("hybrid")
def max_pool_kernel(work, images, x, h, w, c, side, stride, y):
    pool_maps(work, 1, images, x, h, w, c, side, stride, 0, y)


def max_pool(x, side, stride):
    # x (B,h,w,C) -> (B,⌈h/stride⌉,⌈w/stride⌉,C)
    x = np.ascontiguousarray(x, np.float32)
    y = np.empty((len(x), *outputs(x, stride), x.shape[-1]), np.float32)
    team().run(max_pool_kernel, *x.shape[:1], x, *x.shape[1:], side, stride, y)
    return y


def max_pool_v1(x, side, stride):
    # x (B,h,w,C) -> (B,⌈h/stride⌉,⌈w/stride⌉,C)
    y = np.empty((len(x), *outputs(x, stride), x.shape[-1]), np.float32)
    (top, _), (left, _) = (padding(size, side, stride) for size in x.shape[1:3])
    loops_v1(np.ascontiguousarray(x, np.float32), side, stride, top, left, y)
    return y


LADDER = {"v1": max_pool_v1, "v2": max_pool}
