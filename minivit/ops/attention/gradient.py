"""The backward pass of attention, one (image, head) at a time; everything of a head stays in the second-level cache.

The probabilities are computed again from q and k:  P = softmax(q kᵀ/√K), z = P v.  Then, with dP = dz vᵀ,

    dv = Pᵀ dz     dS = P∘(dP − Σ dP∘P)/√K     dq = dS k     dk = dSᵀ q
"""

import numpy as np

from ..linear.panels import place_in_panel
from ..linear.tiles import f32_half_t, f32_tile_t, multiply
from ..simd.dots import FLOAT32
from ..simd.lanes import filled, first_lanes, fma, sum_of
from ..simd.language import njit, register_jitable
from ..simd.memory import load, load_part, store
from ..simd.stages import done, take, wait
from ..simd.target import TALL, WIDE, W
from ..softmax.cpu import exponentials
from .heads import ROW_BY_ROW, pack_keys, pack_queries, pack_values, put_row, weigh


@register_jitable
def gradient_sizes(n, width):
    """Floats of scratch: keys and values as columns, three packed as values, a panel, P, dP, a tile."""
    columns = -(-n // WIDE) * WIDE
    keys, values = columns * (-(-width // W) * W), columns * (-(-width // WIDE) * WIDE)
    rows = -(-n // TALL) * TALL + W
    return keys, values, TALL * max(-(-width // W) * W, columns), rows * columns, TALL * WIDE


def gradient_scratch(n, width):
    keys, values, panel, square, tile = gradient_sizes(n, width)
    return 2 * keys + 3 * values + panel + 2 * square + tile


@njit
def rows_of_scores(a, rows, n, width, keys, s, ld):
    # panel a (rows,width), packed keys -> s, row by row, ld numbers each
    items = -(-width // W) * W
    for p in range(-(-n // WIDE)):
        b = keys + 4 * p * items * WIDE
        multiply(FLOAT32, rows, a, b, s + 4 * p * WIDE, ld, W, items // W, False, b)


@njit
def softmax_gradient_row(s, g, n, ld, factor):
    # scores s -> probabilities; dP g -> dS·factor; both padded with zeros up to ld
    inverse, total = exponentials(s, s, n, W), filled(0.0)
    for j in range(0, ld, W):
        p = load(s, j) * inverse
        d = load(g, j)
        if n - j < W:
            p, d = first_lanes(p, n - j, 0.0), first_lanes(d, n - j, 0.0)
        store(s, j, p)
        store(g, j, d)
        total = fma(p, d, total)
    dot = sum_of(total)
    for j in range(0, ld, W):
        store(g, j, load(s, j) * (load(g, j) - dot) * factor)


@njit
def weigh_transposed(square, ld, n, width, values, c, z, z_ld):
    # square (n,ld) -> z (n,width) = squareᵀ · values; rows n…, up to a multiple of W, are zero
    items = -(-n // W) * W
    for t in range(0, n, TALL):
        rows = min(TALL, n - t)
        for p in range(-(-width // WIDE)):
            b = values + 4 * p * items * WIDE
            if rows > TALL // 2:
                f32_tile_t(square + 4 * t, ld, b, c, WIDE, W, items // W, False, b)
            else:
                f32_half_t(square + 4 * t, ld, b, c, WIDE, W, items // W, False, b)
            for m in range(rows):
                put_row(c + 4 * m * WIDE, min(WIDE, width - p * WIDE), z, ROW_BY_ROW, z_ld, t + m, p * WIDE)


@njit
def head_gradient(q, k, v, ld, dz, dz_ld, n, width, dq, dk, dv, d_ld, scratch):
    # q, k, v (n,width), a token every ld numbers, dz every dz_ld -> dq, dk, dv, every d_ld
    keys_size, values_size, panel_size, square_size, _ = gradient_sizes(n, width)
    keys, columns = scratch, scratch + 4 * keys_size
    k_values = columns + 4 * keys_size
    q_values, z_values = k_values + 4 * values_size, k_values + 8 * values_size
    a = z_values + 4 * values_size
    s = a + 4 * panel_size
    g = s + 4 * square_size
    c = g + 4 * square_size
    padded, factor = -(-n // WIDE) * WIDE, np.float32(1) / np.float32(np.sqrt(width))

    pack_keys(FLOAT32, k, ld, n, width, a, keys)
    pack_keys(FLOAT32, v, ld, n, width, a, columns)
    pack_values(FLOAT32, k, ld, n, width, k_values)
    pack_values(FLOAT32, q, ld, n, width, q_values)
    pack_values(FLOAT32, dz, dz_ld, n, width, z_values)
    for t in range(0, n, TALL):
        rows, at = min(TALL, n - t), 4 * t * padded
        pack_queries(FLOAT32, q + 4 * t * ld, ld, rows, width, a)
        rows_of_scores(a, rows, n, width, keys, s + at, padded)
        pack_slice(dz + 4 * t * dz_ld, dz_ld, rows, width, a)
        rows_of_scores(a, rows, n, width, columns, g + at, padded)
        for m in range(rows):
            softmax_gradient_row(s + at + 4 * m * padded, g + at + 4 * m * padded, n, padded, factor)
        pack_slice(g + at, padded, rows, padded, a)
        weigh(FLOAT32, a, rows, n, width, k_values, c, dq + 4 * t * d_ld, ROW_BY_ROW, d_ld, 0, 0)
    for r in range(n, -(-n // W) * W):
        for j in range(0, padded, W):
            store(s, r * padded + j, filled(0.0))
            store(g, r * padded + j, filled(0.0))
    weigh_transposed(s, padded, n, width, z_values, c, dv, d_ld)
    weigh_transposed(g, padded, n, width, q_values, c, dk, d_ld)


@njit
def pack_slice(x, ld, rows, width, a):
    # x (rows,width), a row every ld numbers -> panel a
    for m in range(rows):
        for i in range(0, width, W):
            store(a, place_in_panel(TALL, i, m, 1), load_part(x, m * ld + i, width - i))


@njit
def heads_gradient(work, stage, qkv, dz, images, heads, n, d, dqkv, scratch):
    # qkv (images,n,3d), dz (images,n,d) -> dqkv (images,n,3d)
    width = d // heads
    i = take(work, stage)
    while i < images * heads:
        token, column = i // heads * n, i % heads * width
        x, y = qkv + 4 * (token * 3 * d + column), dqkv + 4 * (token * 3 * d + column)
        head_gradient(
            x, x + 4 * d, x + 8 * d, 3 * d, dz + 4 * (token * d + column), d, n, width,
            y, y + 4 * d, y + 8 * d, 3 * d, scratch,
        )  # fmt: skip
        i = done(work, stage)
    wait(work, stage, images * heads)
