"""LayerNorm on the CPU.

v1  one loop over rows, three passes: the definition, compiled                                        1.1 × ref
v2  the same passes in vector registers, rows shared between threads                                  4 × ref
v3  written straight into the packed panels of the product that follows (normalise_pack): no pass of its own
"""

import numpy as np

from ...errors import InputError
from ..linear.panels import panel_size, quantise_row, tall_of
from ..simd.dots import INT8
from ..simd.kernel import kernel, learning_kernel
from ..simd.lanes import filled
from ..simd.language import njit
from ..simd.memory import load_part, store_part
from ..simd.stages import done, raise_flag, take, wait
from ..simd.target import W
from ..simd.team import team
from .rows import gradient_row, normalise_into_panel, normalise_row

ROWS, GRADIENT_ROWS = 8, 32  # rows of one task


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
def normalise_pack(work, stage, kind, x, rows, d, scale, bias, eps, a, scales, name, row):
    # x (rows,d) -> panels a: written as the product that follows wants it.  int8 needs all of a row first: it waits in
    # `row`, and `name` is raised as a flag if it is not finite
    tall, size = tall_of(kind), panel_size(kind, d)
    panels = -(-rows // tall)
    p = take(work, stage)
    while p < panels:
        for r in range(p * tall, min(rows, (p + 1) * tall)):
            panel, m = a + 4 * p * size, r - p * tall
            if kind == INT8:
                normalise_row(x + 4 * r * d, d, scale, bias, eps, row)
                if not quantise_row(row, d, panel, m, scales + 8 * r):
                    raise_flag(work, name)
            else:
                normalise_into_panel(kind, x + 4 * r * d, d, scale, bias, eps, panel, m)
        p = done(work, stage)
    wait(work, stage, panels)


@njit
def layernorm_gradient(work, stage, x, dy, rows, d, scale, eps, add, dx, dscale, dbias, parts):
    # x, dy (rows,d) -> dx (rows,d) [+ add]; dscale, dbias (d) += …; parts: 2·d numbers for every ROWS rows, added up
    # in the order of the rows, whoever made them
    tasks = -(-rows // GRADIENT_ROWS)
    i = take(work, stage)
    while i < tasks:
        own = parts + 8 * d * i
        for j in range(0, 2 * d, W):
            store_part(own, j, filled(0.0), 2 * d - j)
        for r in range(i * GRADIENT_ROWS, min(rows, (i + 1) * GRADIENT_ROWS)):
            at = 4 * r * d
            gradient_row(x + at, dy + at, d, scale, eps, add + at if add else 0, dx + at, own, own + 4 * d)
        i = done(work, stage)
    wait(work, stage, tasks)
    columns = -(-d // W)
    i = take(work, stage + 1)
    while i < columns:
        j, left = i * W, d - i * W
        a, b = load_part(dscale, j, left), load_part(dbias, j, left)
        for task in range(tasks):
            a = a + load_part(parts, 2 * d * task + j, left)
            b = b + load_part(parts, 2 * d * task + d + j, left)
        store_part(dscale, j, a, left)
        store_part(dbias, j, b, left)
        i = done(work, stage + 1)
    wait(work, stage + 1, columns)


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


@learning_kernel
def layernorm_backward_kernel(work, x, dy, rows, d, scale, eps: float, dx, dscale, dbias, parts):
    layernorm_gradient(work, 1, x, dy, rows, d, scale, eps, 0, dx, dscale, dbias, parts)


def layernorm_backward(dy, x, scale, eps):
    # dy, x (...,D), scale (D,) -> dx (...,D), dscale (D,), dbias (D,)
    dy, x, scale = (np.ascontiguousarray(v, np.float32) for v in (dy, x, scale))
    d = x.shape[-1]
    if dy.shape != x.shape or scale.size != d:
        raise InputError(f"layernorm_backward: dy {dy.shape} and {scale.size} scales do not fit x {x.shape}")
    rows, dx = x.size // d, np.empty_like(x)
    dscale, dbias = np.zeros(d, np.float32), np.zeros(d, np.float32)
    spaces = (2 * d * -(-rows // GRADIENT_ROWS),)
    team().run(layernorm_backward_kernel, x, dy, rows, d, scale, eps, dx, dscale, dbias, spaces=spaces)
    return dx, dscale, dbias


def layernorm_v1(x, scale, bias, eps):
    # x (...,D), scale (D,), bias (D,) -> (...,D)
    y = np.empty(x.shape, np.float32)
    loops_v1(np.ascontiguousarray(x, np.float32).reshape(-1, x.shape[-1]), scale, bias, eps, y.reshape(-1, x.shape[-1]))
    return y


LADDER = {"v1": layernorm_v1, "v2": layernorm}
