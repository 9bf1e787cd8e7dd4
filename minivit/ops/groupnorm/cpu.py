"""GroupNorm on the CPU.

v1  the definition as loops, three passes over every group
v2  moments of some rows at a time in vector registers, put together in float64; then a pass of its own
v3  only the moments: the rest happens on the way into the next convolution (ops/conv/windows.py, ops/stem)
"""

import numpy as np

from ...errors import InputError
from ..simd.kernel import kernel_of
from ..simd.lanes import filled, fma
from ..simd.language import njit
from ..simd.memory import get, load_part, put, store_part
from ..simd.stages import done, take, wait
from ..simd.target import W
from ..simd.team import team

ROWS = 64  # rows of one task


@njit(nogil=True)
def loops_v1(x, scale, bias, groups, eps, y):
    # x (B,rows,C), scale (C,), bias (C,) -> y (B,rows,C)
    width = x.shape[2] // groups
    for b in range(len(x)):
        for g in range(groups):
            channels = slice(g * width, (g + 1) * width)
            mean = variance = 0.0
            for row in x[b]:
                mean += row[channels].sum()
            mean /= len(x[b]) * width
            for row in x[b]:
                for v in row[channels]:
                    variance += (v - mean) ** 2
            variance /= len(x[b]) * width
            for r in range(len(x[b])):
                for c in range(g * width, (g + 1) * width):
                    y[b, r, c] = (x[b, r, c] - mean) / np.sqrt(variance + eps) * scale[c] + bias[c]


@njit
def moments_of_rows(x, rows, c, means, squares):
    # x (rows,c) -> per channel its mean (c), and the sum of squared distances from it (c)
    for j in range(0, c, W):
        total, left = filled(0.0), c - j
        for r in range(rows):
            total = total + load_part(x, r * c + j, left)
        mean, total = total * (np.float32(1) / np.float32(rows)), filled(0.0)
        for r in range(rows):
            centred = load_part(x, r * c + j, left) - mean
            total = fma(centred, centred, total)
        store_part(means, j, mean, left)
        store_part(squares, j, total, left)


@njit
def join_moments(parts, tasks, rows, c, first, last, eps):
    # the parts of one image, channels first…last -> mean and 1/√(variance + eps) of the group
    mean, squares, numbers = 0.0, 0.0, rows * (last - first)
    for t in range(tasks):
        count = min(ROWS, rows - t * ROWS)
        for j in range(first, last):
            mean += get(parts, 2 * t * c + j) * count / numbers
    for t in range(tasks):
        count = min(ROWS, rows - t * ROWS)
        for j in range(first, last):
            squares += get(parts, (2 * t + 1) * c + j) + count * (get(parts, 2 * t * c + j) - mean) ** 2
    return mean, 1 / np.sqrt(squares / numbers + eps)


@njit
def group_moments(work, stage, x, images, rows, c, groups, scale, bias, eps, parts, norm):
    # x (images,rows,c) -> norm (images,3,c): mean, factor and bias of every channel, what `normalised` reads.  Two
    # stages; parts: 2·c numbers for every ROWS rows
    tasks = -(-rows // ROWS)
    i = take(work, stage)
    while i < images * tasks:
        image, t = i // tasks, i % tasks
        own = parts + 8 * c * i
        moments_of_rows(x + 4 * (image * rows + t * ROWS) * c, min(ROWS, rows - t * ROWS), c, own, own + 4 * c)
        i = done(work, stage)
    wait(work, stage, images * tasks)
    i = take(work, stage + 1)
    while i < images * groups:
        image, first, last = i // groups, i % groups * (c // groups), (i % groups + 1) * (c // groups)
        mean, inverse = join_moments(parts + 8 * c * tasks * image, tasks, rows, c, first, last, eps)
        for j in range(first, last):
            put(norm, 3 * c * image + j, np.float32(mean))
            put(norm, (3 * image + 1) * c + j, np.float32(get(scale, j) * inverse))
            put(norm, (3 * image + 2) * c + j, get(bias, j))
        i = done(work, stage + 1)
    wait(work, stage + 1, images * groups)


@njit(forceinline=True)
def normalised(v, norm, j, c):
    # W numbers of x, channels j… of c -> (x − mean) · factor + bias
    left = c - j
    factor, bias = load_part(norm, c + j, left), load_part(norm, 2 * c + j, left)
    return fma(v - load_part(norm, j, left), factor, bias)


def moments_room(images, rows, c):
    """Numbers that `parts` of group_moments holds."""
    return images * -(-rows // ROWS) * 2 * c


@kernel_of("hybrid")
def groupnorm_kernel(work, x, images, rows, c, groups, scale, bias, eps: float, y, parts, norm):
    group_moments(work, 1, x, images, rows, c, groups, scale, bias, eps, parts, norm)
    tasks = -(-rows // ROWS)
    i = take(work, 3)
    while i < images * tasks:
        image, t = i // tasks, i % tasks
        own = norm + 12 * c * image
        for r in range(image * rows + t * ROWS, image * rows + min(rows, (t + 1) * ROWS)):
            for j in range(0, c, W):
                v = load_part(x, r * c + j, c - j)
                store_part(y, r * c + j, normalised(v, own, j, c), c - j)
        i = done(work, 3)
    wait(work, 3, images * tasks)


def groupnorm(x, scale, bias, groups, eps):
    # x (B,h,w,C), scale (C,), bias (C,) -> (B,h,w,C)
    x, scale, bias = (np.ascontiguousarray(v, np.float32) for v in (x, scale, bias))
    images, rows, c = len(x), x.shape[1] * x.shape[2], x.shape[3]
    if not scale.size == bias.size == c or c % groups:
        raise InputError(f"groupnorm: {c} channels, {scale.size} scales, {bias.size} biases and {groups} groups")
    y = np.empty_like(x)
    team().run(
        groupnorm_kernel, x, images, rows, c, groups, scale, bias, eps, y,
        stages=4, spaces=(moments_room(images, rows, c), images * 3 * c),
    )  # fmt: skip
    return y


def groupnorm_v1(x, scale, bias, groups, eps):
    # x (B,h,w,C), scale (C,), bias (C,) -> (B,h,w,C)
    rows, y = x.reshape(len(x), -1, x.shape[-1]), np.empty(x.shape, np.float32)
    loops_v1(rows, scale, bias, groups, eps, y.reshape(rows.shape))
    return y


LADDER = {"v1": groupnorm_v1, "v2": groupnorm}
