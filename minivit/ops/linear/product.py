"""A matrix product, for kernels to put together: multiply tiles, finish them.

The rows are in panels (panels.py), the weights in panels of WIDE columns (packed.py).  A task of `product` is one panel
of columns for one block of row panels: the block stays in the second-level cache, to be read for every such panel.
"""

from numba import njit

from ..simd.amx import AMX, PARTS, SPLIT, SPLIT_HALF
from ..simd.dots import BFLOAT16, FLOAT16, FLOAT32, INT8
from ..simd.functions import gelu_erf, gelu_erf_slope, gelu_tanh, gelu_tanh_slope
from ..simd.lanes import filled, fma
from ..simd.memory import get, leading, load, load_half, load_part, load_whole, number_at, halves, store, store_part
from ..simd.target import TALL, VECS, WIDE, W
from ..simd.team import done_near, take_near, wait
from ..simd.tile import AHEAD, AHEAD_SPLIT, AHEAD_TILES, make_tile
from .panels import (
    BFLOAT16_T,
    FLOAT32_T,
    PACKED_TALL,
    chunks_of,
    panel_size,
    place_of,
    put_number,
    shares_of,
    tall_of,
    terms_of,
)

#: what `finish` does with a sum; the last two multiply it by the slope of GELU at `residual`, for the backward pass
PLAIN, GELU_TANH, GELU_ERF, SLOPE_TANH, SLOPE_ERF = range(5)
#: bytes of rows that stay in the second-level cache, and rows of a block at most: their sums stay there too
BLOCK_BYTES, MAX_ROWS = (700_000, 224) if AMX else (740_000, 240)
#: chunks of a panel of columns that are multiplied at once.  Tile registers: 16 KB of weights, which stay in the first
#: level, because the second one would not deliver both factors in time; numbers in parts are half as many
MAX_CHUNKS, MAX_CHUNKS_TILES, MAX_CHUNKS_SPLIT = 768 // W, 8, 3
#: panels of columns that read the same rows one after the other, where not all inner terms of them fit into the cache
GROUP = 8
#: floats for the sums of a block, and for weights in parts behind them
BLOCK_SUMS = (MAX_ROWS + PACKED_TALL) * WIDE * GROUP
SUMS = BLOCK_SUMS + (PARTS * MAX_CHUNKS_SPLIT * W * WIDE if AMX else 0)
#: tasks of one product per thread, at least: a thread that is done early takes more
TASKS = 8

f32_tile, f32_half = make_tile(FLOAT32, TALL), make_tile(FLOAT32, TALL // 2)
f16_tile, f16_half = make_tile(FLOAT16, TALL), make_tile(FLOAT16, TALL // 2)
bf16_tile, bf16_half = make_tile(BFLOAT16, PACKED_TALL), make_tile(BFLOAT16, PACKED_TALL // 2)
int8_tile, int8_half = make_tile(INT8, PACKED_TALL), make_tile(INT8, PACKED_TALL // 2)
split_tile, split_half = (make_tile(SPLIT if AMX else BFLOAT16, rows) for rows in (PACKED_TALL, PACKED_TALL // 2))
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
    elif kind >= SPLIT:
        if whole:
            split_tile(a, 0, b, c, row, vector, chunks, add, ahead)
        else:
            split_half(a, 0, b, c, row, vector, chunks, add, ahead)
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
    panel, padded = y + 4 * (r // tall_of(kind) * panel_size(kind, n)), chunks_of(kind, n) * W * terms_of(kind)
    for j in range(VECS):
        at, left = col + j * W, n - col - j * W
        if left > 0 or (to_panels and at < padded):  # padding too: it meets zeros, but 0·NaN is not zero
            left = max(left, 0)
            b = load_part(bias, at, left) if bias else filled(0.0)
            scale, total = (load_part(columns, at, left), load_part(columns, n + at, left)) if kind == INT8 else (b, b)
            for m in range(rows):
                v = activate(sum_at(kind, c, m * WIDE + j * W, scale, total, scales, m) + b, activation)
                if to_panels:
                    put_number(kind, panel, place_of(kind, at, m), v)
                elif residual:
                    other = load_part(residual, (r + m) * n + at, left)
                    store_part(y, (r + m) * n + at, join(v, other, activation), left)
                else:
                    store_part(y, (r + m) * n + at, v, left)


@njit(forceinline=True)
def blocking(kind, tiles, columns, chunks, panel, threads):
    # how a product is cut: blocks of row panels, groups of column panels, segments of the inner terms, chunks at once
    tall = tall_of(kind)
    blocks = min(tiles, max(-(-tiles * tall // MAX_ROWS), -(-TASKS * threads // columns)))
    segments = -(-4 * panel * -(-tiles // blocks) // BLOCK_BYTES)
    groups = columns if segments == 1 else max(-(-columns // GROUP), min(columns, 4 * threads))
    most = MAX_CHUNKS if tall == TALL else MAX_CHUNKS_SPLIT if kind >= SPLIT else MAX_CHUNKS_TILES
    return blocks, groups, segments, most


@njit(forceinline=True)
def bytes_of_chunk(kind):
    """Bytes of a chunk of a panel of columns."""
    items = WIDE * W
    if kind >= SPLIT:
        return items * (8 if kind == SPLIT else 4)
    return items * (2 if kind == FLOAT16 or (kind == BFLOAT16 and terms_of(kind) == 1) else 4)


@njit(forceinline=True)
def weights(kind, b, i):
    """W weights of a panel of float32 or float16, from the i-th on."""
    return load_half(b, i) if kind == SPLIT_HALF else load(b, i)


@njit
def split(kind, b, chunks, parts):
    # panel b (chunks·2W, WIDE) -> parts (chunks, 3, W, WIDE, 2) in bfloat16; gives their address
    for item in range(chunks * W):
        place = (item // W * PARTS * W + item % W) * WIDE
        for j in range(0, WIDE, W):
            one, two = weights(kind, b, 2 * item * WIDE + j), weights(kind, b, (2 * item + 1) * WIDE + j)
            for part in range(PARTS):
                first, second = leading(one), leading(two)
                store(parts, place + part * W * WIDE + j, halves(first, second))
                one, two = one - first, two - second
    return parts


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
    tall, columns, chunks, panel = tall_of(kind), -(-n // WIDE), chunks_of(kind, k), panel_size(kind, k)
    tiles, ahead_per_chunk = -(-rows // tall), AHEAD if tall == TALL else AHEAD_SPLIT if kind >= SPLIT else AHEAD_TILES
    shares = shares_of(kind, rows, k * n, threads)
    blocks, groups, segments, most = blocking(kind, tiles, columns, chunks, panel, threads)
    blocks, step = -(-blocks // shares) * shares, 1 if shares > 1 else threads
    tasks, size = blocks * groups, bytes_of_chunk(kind)
    i = take_near(work, stage, tasks, shares, c)
    while i < tasks:
        block, col, last_col = i // groups, columns * (i % groups) // groups, columns * (i % groups + 1) // groups
        first, last, some = tiles * block // blocks, tiles * (block + 1) // blocks, last_col - col
        for turn in range(segments * some):  # all columns of a segment, then the next segment
            segment, column = turn // some, col + turn % some
            start, end = chunks * segment // segments, chunks * (segment + 1) // segments
            parts = -(-(end - start) // most)
            kept = c + 4 * tall * WIDE * (last - first) * (column - col)
            following = b + size * chunks * ((column + step) % columns)
            for part in range(parts):
                begin, stop = start + (end - start) * part // parts, start + (end - start) * (part + 1) // parts
                b_part = b + size * (column * chunks + begin)
                if kind >= SPLIT:
                    b_part = split(kind, b_part, stop - begin, c + 4 * BLOCK_SUMS)
                for t in range(first, last):
                    at = kept + 4 * tall * WIDE * (t - first if parts * segments > 1 else 0)
                    count = min(tall, rows - t * tall)
                    ahead = following + size * begin + ahead_per_chunk * (t - first) * (stop - begin)
                    a_part = a + 4 * panel * t + 4 * panel // chunks * begin
                    multiply(kind, count, a_part, b_part, at, WIDE, W, stop - begin, begin > 0, ahead)
                    if stop == chunks:
                        r, row_scales = t * tall, scales + 8 * t * tall
                        finish(
                            kind, at, count, r, column * WIDE, n, sums, row_scales, bias, activation, y, to_panels,
                            residual,
                        )  # fmt: skip
        i = done_near(work, stage, tasks, shares, c)
    wait(work, stage, tasks)
