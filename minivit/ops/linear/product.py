"""A matrix product, for kernels to put together: multiply tiles, finish them.

The rows are in panels (panels.py), the weights in panels of WIDE columns (packed.py).  A task of `product` is one panel
of columns for one block of row panels: the block stays in the second-level cache, to be read for every such panel.
"""

from ..simd.amx import AMX
from ..simd.dots import BFLOAT16, FLOAT16, FLOAT32, INT8
from ..simd.functions import gelu_erf, gelu_erf_slope, gelu_tanh, gelu_tanh_slope
from ..simd.lanes import filled, fma
from ..simd.language import njit
from ..simd.memory import get, load, load_part, load_whole, number_at, store_part
from ..simd.target import TALL, VECS, WIDE, W
from ..simd.team import done_near, take_near, wait
from ..simd.tile import AHEAD, AHEAD_TILES, make_tile
from .panels import (
    BFLOAT16_T,
    FLOAT32_T,
    PACKED_TALL,
    chunks_of,
    place_in_panel,
    put_number,
    shares_of,
    tall_of,
    terms_of,
)

#: what `finish` does with a sum; the last two multiply it by the slope of GELU at `residual`, for the backward pass
PLAIN, GELU_TANH, GELU_ERF, SLOPE_TANH, SLOPE_ERF = range(5)
#: rows of one block, and the part of the inner terms done at once: two thirds of a 1 MB second-level cache
MAX_ROWS, MAX_CHUNKS = 240, 768 // W
#: … by tile registers: 1.8 of 2 MB; in so small parts that those of a panel of columns (16 KB) stay in the first level,
#: because the second one would not deliver both factors in time
MAX_BYTES_TILES, MAX_ROWS_TILES, MAX_CHUNKS_TILES = 1_800_000, 1024, 8
#: floats for the sums of a block
SUMS = (MAX_ROWS_TILES if AMX else MAX_ROWS) * WIDE
#: tasks of one product per thread, at least: a thread that is done early takes more
TASKS = 8

f32_tile, f32_half = make_tile(FLOAT32, TALL), make_tile(FLOAT32, TALL // 2)
f16_tile, f16_half = make_tile(FLOAT16, TALL), make_tile(FLOAT16, TALL // 2)
bf16_tile, bf16_half = make_tile(BFLOAT16, PACKED_TALL), make_tile(BFLOAT16, PACKED_TALL // 2)
int8_tile, int8_half = make_tile(INT8, PACKED_TALL), make_tile(INT8, PACKED_TALL // 2)
f32_tile_t, f32_half_t = make_tile(FLOAT32, TALL, True), make_tile(FLOAT32, TALL // 2, True)
bf16_tile_t, bf16_half_t = make_tile(BFLOAT16, TALL, True), make_tile(BFLOAT16, TALL // 2, True)


def group_of(images, n, width):
    """How many images of n rows go through the stages together: few long stages, but in the caches.

    At most 600 rows and 300,000 numbers: three images of Ti/16 or S/16, one of B/16.
    """
    return max(1, min(images, min(600, 300_000 // width) // max(n, 1)))


@njit
def multiply(kind, rows, a, b, c, row, vector, chunks, add, ahead):
    """The micro-kernel for that kind of numbers and that many rows."""
    whole = rows > tall_of(kind) // 2
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
    terms, tall, size = terms_of(kind), tall_of(kind), chunks_of(kind, n) * W * tall_of(kind)
    panel = y + 4 * (r // tall * size)
    for j in range(VECS):
        at, left = col + j * W, n - col - j * W
        if left > 0 or (to_panels and at * tall < size * terms):  # padding too: it meets zeros, but 0·NaN is not zero
            left = max(left, 0)
            b = load_part(bias, at, left) if bias else filled(0.0)
            scale, total = (load_part(columns, at, left), load_part(columns, n + at, left)) if kind == INT8 else (b, b)
            for m in range(rows):
                v = activate(sum_at(kind, c, m * WIDE + j * W, scale, total, scales, m) + b, activation)
                if to_panels:
                    put_number(kind, panel, place_in_panel(tall, at, m, terms), v)
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
    tall, columns, chunks = tall_of(kind), -(-n // WIDE), chunks_of(kind, k)
    tiles, ahead_per_chunk = -(-rows // tall), AHEAD_TILES if tall > TALL else AHEAD
    b_bytes = (2 if kind == FLOAT16 or (kind == BFLOAT16 and terms_of(kind) == 1) else 4) * WIDE * W
    most, parts = MAX_ROWS // tall, -(-chunks // MAX_CHUNKS)
    if tall > TALL:
        most = max(1, min(MAX_ROWS_TILES // tall, MAX_BYTES_TILES // (4 * tall * W * chunks)))
        parts = -(-chunks // MAX_CHUNKS_TILES)
    blocks = min(tiles, max(-(-tiles // most), -(-TASKS * threads // columns)))
    shares = shares_of(kind, rows, k * n, threads)
    blocks, step = -(-blocks // shares) * shares, 1 if shares > 1 else threads
    tasks = blocks * columns
    i = take_near(work, stage, tasks, shares, c)
    while i < tasks:
        block, col = i // columns, i % columns
        first, last = tiles * block // blocks, tiles * (block + 1) // blocks
        following = b + b_bytes * chunks * ((col + step) % columns)
        for part in range(parts):
            start, stop = chunks * part // parts, chunks * (part + 1) // parts
            for t in range(first, last):
                at = c + 4 * tall * WIDE * (t - first if parts > 1 else 0)
                count = min(tall, rows - t * tall)
                ahead = following + b_bytes * start + ahead_per_chunk * (t - first) * (stop - start)
                a_t, b_t = a + 4 * tall * W * (t * chunks + start), b + b_bytes * (col * chunks + start)
                multiply(kind, count, a_t, b_t, at, WIDE, W, stop - start, part > 0, ahead)
                if part == parts - 1:
                    r, row_scales = t * tall, scales + 8 * t * tall
                    finish(
                        kind, at, count, r, col * WIDE, n, sums, row_scales, bias, activation, y, to_panels, residual
                    )
        i = done_near(work, stage, tasks, shares, c)
    wait(work, stage, tasks)
