"""LayerNorm of one row, and its gradient: the parts that kernels are put together from."""

import numpy as np

from ..linear.panels import chunks_of, place_of, put_number, put_pairs, terms_of
from ..simd.lanes import filled, first_lanes, fma, sum_of
from ..simd.language import njit
from ..simd.memory import load, load_part, store_part
from ..simd.target import W


@njit
def moments(x, d, eps):
    # row x (d) -> mean, 1/√(variance + eps); four sums side by side, because each addition waits for the one before
    t0, t1, t2, t3 = filled(0.0), filled(0.0), filled(0.0), filled(0.0)
    for j in range(0, d, 4 * W):
        t0 = t0 + load_part(x, j, d - j)
        t1 = t1 + load_part(x, j + W, max(d - j - W, 0))
        t2 = t2 + load_part(x, j + 2 * W, max(d - j - 2 * W, 0))
        t3 = t3 + load_part(x, j + 3 * W, max(d - j - 3 * W, 0))
    mean = sum_of((t0 + t1) + (t2 + t3)) / np.float32(d)
    t0, t1, t2, t3 = filled(0.0), filled(0.0), filled(0.0), filled(0.0)
    for j in range(0, d, 4 * W):
        v0, v1 = centre(x, j, d - j, mean), centre(x, j + W, d - j - W, mean)
        v2, v3 = centre(x, j + 2 * W, d - j - 2 * W, mean), centre(x, j + 3 * W, d - j - 3 * W, mean)
        t0, t1, t2, t3 = fma(v0, v0, t0), fma(v1, v1, t1), fma(v2, v2, t2), fma(v3, v3, t3)
    return mean, np.float32(1) / np.sqrt(sum_of((t0 + t1) + (t2 + t3)) / np.float32(d) + eps)


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
        store_part(y, j, normalised(x, j, d - j, mean, inverse, scale, bias), d - j)


@njit(forceinline=True)
def normalised(x, j, left, mean, inverse, scale, bias):
    """W numbers of a row from the j-th on, of which `left` are there."""
    return (load_part(x, j, left) - mean) * inverse * load_part(scale, j, left) + load_part(bias, j, left)


@njit(forceinline=True)
def normalise_into_panel(kind, x, d, scale, bias, eps, a, m):
    # row x (d) -> row m of panel a, and zeros behind its end
    mean, inverse = moments(x, d, eps)
    if terms_of(kind) == 2:
        for j in range(0, chunks_of(kind, d) * 2 * W, 2 * W):
            v = normalised(x, j, max(d - j, 0), mean, inverse, scale, bias)
            w = normalised(x, j + W, max(d - j - W, 0), mean, inverse, scale, bias)
            put_pairs(kind, a, place_of(kind, j, m), v, w)
    else:
        for j in range(0, chunks_of(kind, d) * W, W):
            put_number(kind, a, place_of(kind, j, m), normalised(x, j, max(d - j, 0), mean, inverse, scale, bias))


@njit
def gradient_row(x, dy, d, scale, eps, add, dx, dscale, dbias):
    # x̂ = (x − mean)/σ, g = dy·scale:  dx = (g − mean g − x̂·mean(g·x̂))/σ + add, dscale += dy·x̂, dbias += dy
    mean, inverse = moments(x, d, eps)
    total, other = filled(0.0), filled(0.0)
    for j in range(0, d, W):
        g = load_part(dy, j, d - j) * load_part(scale, j, d - j)
        total, other = total + g, fma(g, (load_part(x, j, d - j) - mean) * inverse, other)
    of_g, of_gx = sum_of(total) / np.float32(d), sum_of(other) / np.float32(d)
    for j in range(0, d, W):
        v, normal = load_part(dy, j, d - j), (load_part(x, j, d - j) - mean) * inverse
        store_part(dscale, j, fma(v, normal, load_part(dscale, j, d - j)), d - j)
        store_part(dbias, j, load_part(dbias, j, d - j) + v, d - j)
        g = (v * load_part(scale, j, d - j) - of_g - normal * of_gx) * inverse
        store_part(dx, j, g + load_part(add, j, d - j) if add else g, d - j)
