"""LayerNorm on the CPU.

v1  one loop over rows, three passes: the definition, compiled                                        1.1 × ref
v2  the same passes in vector registers, rows shared between threads                                  4 × ref
v3  written straight into the packed panels of the product that follows (normalise_pack): no pass of its own
"""

import numpy as np
from numba import njit

from ...errors import InputError
from ..linear.product import chunks_of, pack_row
from ..simd.kernel import kernel
from ..simd.lanes import filled, first_lanes, fma, sum_of
from ..simd.memory import load, load_part, store_part
from ..simd.target import TALL, W
from ..simd.team import done, raise_flag, take, team, wait

ROWS = 8  # rows of one task


@njit(nogil=True)
def loops_v1(x, scale, bias, eps, y):
    # x (M,D), scale (D,), bias (D,) -> y (M,D)
    for m in range(len(x)):
        mean, variance = np.float32(0), np.float32(0)
        for v in x[m]:
            mean += v
        mean /= np.float32(x.shape[1])
        for v in x[m]:
            variance += (v - mean) ** 2
        variance /= np.float32(x.shape[1])
        for j in range(x.shape[1]):
            y[m, j] = (x[m, j] - mean) / np.sqrt(variance + np.float32(eps)) * scale[j] + bias[j]


@njit
def moments(x, d, eps):
    # row x (d) -> mean, 1/√(variance + eps); two sums side by side, because each addition waits for the one before
    total, other = filled(0.0), filled(0.0)
    for j in range(0, d, 2 * W):
        total = total + load_part(x, j, d - j)
        other = other + load_part(x, j + W, max(d - j - W, 0))
    mean = sum_of(total + other) / np.float32(d)
    total, other = filled(0.0), filled(0.0)
    for j in range(0, d, 2 * W):
        centred, next_ = centre(x, j, d - j, mean), centre(x, j + W, d - j - W, mean)
        total, other = fma(centred, centred, total), fma(next_, next_, other)
    return mean, np.float32(1) / np.sqrt(sum_of(total + other) / np.float32(d) + eps)


@njit(forceinline=True)
def centre(x, j, left, mean):
    if left >= W:
        return load(x, j) - mean
    return first_lanes(load_part(x, j, max(left, 0)) - mean, left, 0.0)


@njit(forceinline=True)
def normalise_row(x, d, scale, bias, eps, y):
    # row x (d) -> y (d)
    mean, inverse = moments(x, d, eps)
    for j in range(0, d, W):
        v = (load_part(x, j, d - j) - mean) * inverse
        store_part(y, j, v * load_part(scale, j, d - j) + load_part(bias, j, d - j), d - j)


@njit
def normalise_pack(work, stage, kind, x, rows, d, scale, bias, eps, a, scales, name, row):
    # x (rows,d) -> panels a: written as the product that follows wants it; `row` is scratch for one row
    panels = -(-rows // TALL)
    size = chunks_of(kind, d) * W * TALL
    p = take(work, stage)
    while p < panels:
        for r in range(p * TALL, min(rows, (p + 1) * TALL)):
            normalise_row(x + 4 * r * d, d, scale, bias, eps, row)
            if not pack_row(kind, row, d, a + 4 * p * size, r - p * TALL, scales + 8 * r):
                raise_flag(work, name)
        p = done(work, stage)
    wait(work, stage, panels)


@kernel
def layernorm_kernel(work, x, rows, d, scale, bias, eps: float, y):
    tasks = -(-rows // ROWS)
    i = take(work, 0)
    while i < tasks:
        for r in range(i * ROWS, min(rows, (i + 1) * ROWS)):
            normalise_row(x + 4 * r * d, d, scale, bias, eps, y + 4 * r * d)
        i = done(work, 0)
    wait(work, 0, tasks)


def layernorm(x, scale, bias, eps):
    # x (...,D), scale (D,), bias (D,) -> (...,D)
    x, scale, bias = (np.ascontiguousarray(v, np.float32) for v in (x, scale, bias))
    y, d = np.empty_like(x), x.shape[-1]
    if not scale.size == bias.size == d:
        raise InputError(f"layernorm: {scale.size} scales and {bias.size} biases, expected {d}, the width of x")
    team().run(layernorm_kernel, x, x.size // d, d, scale, bias, eps, y)
    return y


def layernorm_v1(x, scale, bias, eps):
    # x (...,D), scale (D,), bias (D,) -> (...,D)
    y = np.empty(x.shape, np.float32)
    loops_v1(np.ascontiguousarray(x, np.float32).reshape(-1, x.shape[-1]), scale, bias, eps, y.reshape(-1, x.shape[-1]))
    return y


LADDER = {"v1": layernorm_v1, "v2": layernorm}
