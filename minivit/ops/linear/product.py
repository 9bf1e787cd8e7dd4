"""The stages of a matrix product, for kernels to put together: pack the rows, multiply tiles, finish them.

Rows are packed in panels of TALL rows, weights in panels of WIDE columns (packed.py).  A task of `product` is one panel
of columns for one block of row panels: the block stays in the second-level cache, to be read for every such panel.
"""

import numpy as np
from numba import njit

from ..simd.dots import BFLOAT16, BYTE_OFFSET, FLOAT16, FLOAT32, INT8, TERMS
from ..simd.functions import gelu_erf, gelu_erf_slope, gelu_tanh, gelu_tanh_slope
from ..simd.lanes import filled, fma, larger, largest_of, smaller, sum_of
from ..simd.memory import get, load, load_part, load_whole, number_at, put, store, store_bfloat, store_bytes, store_part
from ..simd.target import TALL, VECS, WIDE, W
from ..simd.team import done, raise_flag, take, wait
from ..simd.tile import make_tile

#: what `finish` does with a sum; the last two multiply it by the slope of GELU at `residual`, for the backward pass
PLAIN, GELU_TANH, GELU_ERF, SLOPE_TANH, SLOPE_ERF = range(5)
#: products whose rows lie transposed, (inner terms, TALL): gradient.py
FLOAT32_T, BFLOAT16_T = 4, 5
TILE = TALL * WIDE  # floats
#: row tiles of one block, and the part of the inner terms done at once: two thirds of a 1 MB second-level cache
MAX_TILES, MAX_CHUNKS = 240 // TALL, 768 // W
#: tasks of one product per thread, at least: a thread that is done early takes more
TASKS = 8

f32_tile, f32_half = make_tile(FLOAT32, TALL), make_tile(FLOAT32, TALL // 2)
f16_tile, f16_half = make_tile(FLOAT16, TALL), make_tile(FLOAT16, TALL // 2)
bf16_tile, bf16_half = make_tile(BFLOAT16, TALL), make_tile(BFLOAT16, TALL // 2)
int8_tile, int8_half = make_tile(INT8, TALL), make_tile(INT8, TALL // 2)
f32_tile_t, f32_half_t = make_tile(FLOAT32, TALL, True), make_tile(FLOAT32, TALL // 2, True)
bf16_tile_t, bf16_half_t = make_tile(BFLOAT16, TALL, True), make_tile(BFLOAT16, TALL // 2, True)
BF16_TERMS = TERMS[BFLOAT16]


def group_of(images, n, width):
    """How many images of n rows go through the stages together: few long stages, but in the caches.

    At most 600 rows and 300,000 numbers: three images of Ti/16 or S/16, one of B/16.
    """
    return max(1, min(images, min(600, 300_000 // width) // max(n, 1)))


@njit
def multiply(kind, rows, a, b, c, row, vector, chunks, add, ahead):
    """The micro-kernel for that kind of numbers and that many rows."""
    whole = rows > TALL // 2
    if kind == FLOAT32:
        if whole:
            f32_tile(a, 0, b, c, row, vector, chunks, add, ahead)
        else:
            f32_half(a, 0, b, c, row, vector, chunks, add, ahead)
    elif kind == BFLOAT16:
        if whole:
            bf16_tile(a, 0, b, c, row, vector, chunks, add, ahead)
        else:
            bf16_half(a, 0, b, c, row, vector, chunks, add, ahead)
    elif kind == INT8:
        if whole:
            int8_tile(a, 0, b, c, row, vector, chunks, add, ahead)
        else:
            int8_half(a, 0, b, c, row, vector, chunks, add, ahead)
    elif kind == FLOAT32_T:
        if whole:
            f32_tile_t(a, TALL, b, c, row, vector, chunks, add, ahead)
        else:
            f32_half_t(a, TALL, b, c, row, vector, chunks, add, ahead)
    elif kind == BFLOAT16_T:
        if whole:
            bf16_tile_t(a, TALL, b, c, row, vector, chunks, add, ahead)
        else:
            bf16_half_t(a, TALL, b, c, row, vector, chunks, add, ahead)
    elif whole:
        f16_tile(a, 0, b, c, row, vector, chunks, add, ahead)
    else:
        f16_half(a, 0, b, c, row, vector, chunks, add, ahead)


@njit(forceinline=True)
def terms_of(kind):
    return 4 if kind == INT8 else BF16_TERMS if kind in (BFLOAT16, BFLOAT16_T) else 1


@njit(forceinline=True)
def chunks_of(kind, k):
    return -(-k // (terms_of(kind) * W))


@njit(forceinline=True)
def place_in_panel(k, m, terms):
    """Where inner term k of row m stands in a panel, counted in its own size (4/terms bytes)."""
    if terms == 1:  # by constants, so that LLVM shifts: a division costs as much as the rest of a loop
        return (k // W * TALL + m) * W + k % W
    if terms == 2:
        return (k // (2 * W) * TALL + m) * (2 * W) + k % (2 * W)
    return (k // (4 * W) * TALL + m) * (4 * W) + k % (4 * W)


@njit(forceinline=True)
def put_number(kind, y, i, v):
    """W numbers from the i-th on, in the numbers that `kind` multiplies."""
    if terms_of(kind) == 2:
        store_bfloat(y, i, v)
    else:
        store(y, i, v)


@njit
def quantise_row(x, k, a, m, scales):
    # row x (k) -> uint8 q, row m of panel a: x = (q − zero)·scale.  scale, zero -> `scales`.  False if not finite
    low, high, odd = filled(0.0), filled(0.0), filled(0.0)
    for j in range(0, k, W):
        v = load_part(x, j, k - j)
        low, high, odd = smaller(v, low), larger(v, high), fma(v, 0.0, odd)
    least, most = -largest_of(0.0 - low), largest_of(high)
    scale = max((most - least) / np.float32(255), np.float32(1e-30))
    inverse = np.float32(1) / scale
    zero = np.rint(-least * inverse) - np.float32(BYTE_OFFSET)
    for j in range(0, k, W):
        store_bytes(a, place_in_panel(j, m, 4), fma(load_part(x, j, k - j), inverse, zero))
    put(scales, 0, scale)
    put(scales, 1, zero)
    return sum_of(odd) == np.float32(0)


@njit
def pack_row(kind, x, k, a, m, scales):
    # row x (k) -> row m of panel a, in the numbers that `kind` multiplies; False if int8 cannot hold them
    if kind == INT8:
        return quantise_row(x, k, a, m, scales)
    for j in range(0, chunks_of(kind, k) * terms_of(kind) * W, W):
        put_number(kind, a, place_in_panel(j, m, terms_of(kind)), load_part(x, j, max(k - j, 0)))
    return True


@njit
def pack(work, stage, kind, x, ld, rows, k, a, scales, name):
    # x (rows,k), one row every ld numbers -> panels a; `name` is raised as a flag if a number is not finite
    panels = -(-rows // TALL)
    size = chunks_of(kind, k) * W * TALL
    p = take(work, stage)
    while p < panels:
        for r in range(p * TALL, min(rows, (p + 1) * TALL)):
            if not pack_row(kind, x + 4 * r * ld, k, a + 4 * p * size, r - p * TALL, scales + 8 * r):
                raise_flag(work, name)
        p = done(work, stage)
    wait(work, stage, panels)


@njit(forceinline=True)
def sum_at(kind, c, place, scale, total, scales, m):
    """W sums of row m of a tile as float32; int8: Σ(q − zero)·w = Σ q·w − zero·Σ w, times both scales."""
    if kind == INT8:
        return fma(total, -get(scales, 2 * m + 1), load_whole(c, place)) * (scale * get(scales, 2 * m))
    return load(c, place)


@njit(forceinline=True)
def activate(v, kind):
    if kind == GELU_TANH:
        return gelu_tanh(v)
    return gelu_erf(v) if kind == GELU_ERF else v


@njit(forceinline=True)
def join(v, other, kind):
    """A sum and the `residual` number of its place."""
    if kind == SLOPE_TANH:
        return v * gelu_tanh_slope(other)
    return v * gelu_erf_slope(other) if kind == SLOPE_ERF else v + other


@njit
def finish(kind, c, rows, r, col, n, columns, scales, bias, activation, y, to_panels, residual):
    # y = activation(tile c + bias) + residual, rows r…, columns col…: y (·,n), or panels for a product of that kind
    # (backward: tile c times the slope of GELU at residual)
    terms, size = terms_of(kind), chunks_of(kind, n) * W * TALL
    for j in range(VECS):
        at, left = col + j * W, n - col - j * W
        if left > 0 or (to_panels and at * TALL < size * terms):  # padding too: it meets zeros, but 0·NaN is not zero
            left = max(left, 0)
            b = load_part(bias, at, left) if bias else filled(0.0)
            scale, total = (load_part(columns, at, left), load_part(columns, n + at, left)) if kind == INT8 else (b, b)
            for m in range(rows):
                v = activate(sum_at(kind, c, m * WIDE + j * W, scale, total, scales, m) + b, activation)
                if to_panels:
                    panel = y + 4 * ((r + m) // TALL * size)
                    put_number(kind, panel, place_in_panel(at, (r + m) % TALL, terms), v)
                elif residual:
                    other = load_part(residual, (r + m) * n + at, left)
                    store_part(y, (r + m) * n + at, join(v, other, activation), left)
                else:
                    store_part(y, (r + m) * n + at, v, left)


@njit
def product(work, stage, threads, a, scales, rows, w, bias, activation, y, to_panels, residual, c):
    # panels a, packed matrix w (K,N) -> y (rows,N), or panels for the next product
    product_of(
        work, stage, threads, number_at(w, 0), a, scales, rows, number_at(w, 1), number_at(w, 2), number_at(w, 3),
        number_at(w, 4), bias, activation, y, to_panels, residual, c,
    )  # fmt: skip


@njit
def product_of(
    work, stage, threads, kind, a, scales, rows, k, n, b, sums, bias, activation, y, to_panels, residual, c
):  # fmt: skip
    # panels a (rows,k), panels b (k,n): what `product` reads from a packed matrix
    tiles, columns, chunks = -(-rows // TALL), -(-n // WIDE), chunks_of(kind, k)
    b_bytes = (2 if kind == FLOAT16 or (kind == BFLOAT16 and terms_of(kind) == 1) else 4) * WIDE * W
    blocks = min(tiles, max(-(-tiles // MAX_TILES), -(-TASKS * threads // columns)))
    parts = -(-chunks // MAX_CHUNKS)
    i = take(work, stage)
    while i < blocks * columns:
        block, col = i // columns, i % columns
        first, last = tiles * block // blocks, tiles * (block + 1) // blocks
        following = b + b_bytes * chunks * ((col + threads) % columns)
        for part in range(parts):
            start, stop = chunks * part // parts, chunks * (part + 1) // parts
            for t in range(first, last):
                at = c + 4 * TILE * (t - first if parts > 1 else 0)
                count = min(TALL, rows - t * TALL)
                ahead = following + b_bytes * start + 128 * (t - first) * (stop - start)
                a_t, b_t = a + 4 * TALL * W * (t * chunks + start), b + b_bytes * (col * chunks + start)
                multiply(kind, count, a_t, b_t, at, WIDE, W, stop - start, part > 0, ahead)
                if part == parts - 1:
                    r, row_scales = t * TALL, scales + 8 * t * TALL
                    finish(
                        kind, at, count, r, col * WIDE, n, sums, row_scales, bias, activation, y, to_panels, residual
                    )
        i = done(work, stage)
    wait(work, stage, blocks * columns)
