"""The parts of attention that work on one (image, head): pack, score a few queries, weigh the values.

`kind` is FLOAT32, SPLIT (float32 in three parts, where there are tile registers) or BFLOAT16 (where the CPU multiplies
pairs of it); the softmax is float32 in all.
"""

import numpy as np

from ..linear.panels import (
    PACKED_TALL,
    in_parts,
    parts_in,
    place_in_panel,
    place_of,
    put_number,
    put_pairs,
    tall_of,
    terms_of,
)
from ..linear.tiles import multiply, store_parts
from ..simd.functions import exp
from ..simd.lanes import filled, first_lanes, larger, largest_of, sum_of
from ..simd.language import njit, register_jitable
from ..simd.memory import load, load_part, paired, store, store_part, transpose
from ..simd.target import VECS, WIDE, W

#: where a result is not for panels of some kind, but row by row
ROW_BY_ROW = -1


@njit(forceinline=True)
def padded(kind, n):
    return -(-n // (W * terms_of(kind))) * W * terms_of(kind)


@register_jitable
def sizes(kind, n, width):
    """Floats of scratch for packed keys, packed values, queries, scores, one tile."""
    tall = tall_of(kind)
    wide, long = -(-width // (2 * W)) * 2 * W, -(-n // (2 * W)) * 2 * W
    half = 3 if in_parts(kind) else 2  # halves of a float that a number takes
    packed, queries, scores = long * wide // 2 * half, tall * wide // 2 * half, tall * long // 2 * half
    return packed, packed, queries, scores, tall * WIDE


def scratch_size(kind, n, width):
    return sum(sizes(kind, n, width))


@njit
def pack_keys(kind, k, ld, n, width, row, panels):
    # k (n,width), a token every ld numbers -> (n/WIDE, chunks, parts, W, WIDE): keys become columns; `row` is scratch
    terms, parts = terms_of(kind), parts_in(kind)
    items = padded(kind, width) // terms * parts
    for token in range(0, -(-n // WIDE) * WIDE, W):
        out = panels + 4 * (token // WIDE * items * WIDE + token % WIDE)
        for i in range(0, padded(kind, width), W * terms):
            for t in range(W):
                for j in range(0, W * terms, W):
                    put_number(kind, row, t * terms * W + j, value(k, ld, token + t, i + j, n, width))
            for part in range(parts):
                place = (i // terms * parts + part * W) * WIDE
                transpose(row + 4 * part * PACKED_TALL * W, W, out + 4 * place, WIDE)


@njit
def pack_values(kind, v, ld, n, width, panels):
    # v (n,width) -> (width/WIDE, chunks, parts, W, WIDE, terms)
    items, parts = padded(kind, n) // terms_of(kind), parts_in(kind)
    for p in range(-(-width // WIDE)):
        for i in range(items):
            for j in range(VECS):
                column, place = p * WIDE + j * W, ((p * items + i - i % W) * parts + i % W) * WIDE + j * W
                if terms_of(kind) == 2:
                    first, second = value(v, ld, 2 * i, column, n, width), value(v, ld, 2 * i + 1, column, n, width)
                    if in_parts(kind):
                        store_parts(first, second, panels, place)
                    else:
                        store(panels, place, paired(first, second))
                else:
                    store(panels, place, value(v, ld, i, column, n, width))


@njit(forceinline=True)
def value(v, ld, token, column, n, width):
    return load_part(v, token * ld + column, width - column) if token < n and column < width else filled(0.0)


@njit
def pack_queries(kind, q, ld, rows, width, a):
    # q (rows,width) / √width -> panel a
    scale = np.float32(1 / np.sqrt(width))
    for m in range(rows):
        for i in range(0, padded(kind, width), W):
            v = load_part(q, m * ld + i, max(width - i, 0)) * scale
            put_number(kind, a, place_of(kind, i, m), v)


@njit
def score(kind, a, rows, n, width, keys, s):
    # queries a (rows,width), packed keys -> s (n/W, tall, W) float32
    tall, items = tall_of(kind), padded(kind, width) // terms_of(kind)
    for p in range(-(-n // WIDE)):
        b = keys + 4 * p * items * parts_in(kind) * WIDE
        multiply(kind, rows, a, b, s + 4 * p * VECS * tall * W, W, tall * W, items // W, False, b)


@njit
def weigh(kind, probs, rows, n, width, values, c, z, z_kind, step, r, column):
    # panel probs (rows,n), packed values -> rows r…, columns `column`… of z
    items = padded(kind, n) // terms_of(kind)
    for p in range(-(-width // WIDE)):
        b = values + 4 * p * items * parts_in(kind) * WIDE
        multiply(kind, rows, probs, b, c, WIDE, W, items // W, False, b)
        for m in range(rows):
            put_row(c + 4 * m * WIDE, min(WIDE, width - p * WIDE), z, z_kind, step, r + m, column + p * WIDE)


@njit
def put_row(x, n, y, kind, step, r, column):
    # x (n) -> row r of y from that column on: row by row, `step` numbers apart, or in panels of that kind and `step`
    # numbers, where n and `column` are multiples of W
    for j in range(0, n, W):
        if kind == ROW_BY_ROW:
            store_part(y, r * step + column + j, load(x, j), n - j)
        else:
            tall = tall_of(kind)
            put_number(kind, y + 4 * (r // tall * step), place_of(kind, column + j, r % tall), load(x, j))


@njit
def softmax_pack(kind, s, rows, n, probs, c):
    # scores s (n/W, tall, W) -> panel of probabilities; they may be the same place.  As ops/softmax/cpu.py does it, but
    # all rows side by side: a row's sums wait for one another, those of different rows do not.  c: scratch
    tops, sums = c, c + 4 * tall_of(kind) * W
    for m in range(rows):
        store(tops, m * W, filled(-np.inf))
        store(sums, m * W, filled(0.0))
    for i in range(0, n, W):
        for m in range(rows):
            v = load(s, place_in_panel(tall_of(kind), i, m, 1))
            store(tops, m * W, larger(v if n - i >= W else first_lanes(v, n - i, -np.inf), load(tops, m * W)))
    for m in range(rows):
        store(tops, m * W, filled(largest_of(load(tops, m * W))))
    for i in range(0, n, W):
        for m in range(rows):
            e = exp(load(s, place_in_panel(tall_of(kind), i, m, 1)) - load(tops, m * W))
            e = e if n - i >= W else first_lanes(e, n - i, 0.0)
            store(s, place_in_panel(tall_of(kind), i, m, 1), e)
            store(sums, m * W, load(sums, m * W) + e)
    for m in range(rows):
        store(sums, m * W, filled(np.float32(1) / sum_of(load(sums, m * W))))
    scale_pack(kind, s, rows, n, probs, sums)


@njit
def scale_pack(kind, s, rows, n, probs, factors):
    # scores s (n/W, tall, W) times factors (tall, W) -> panel; they may be the same place: parts take more room than
    # the scores and are written from the end, other numbers from the beginning
    tall, terms, last = tall_of(kind), terms_of(kind), padded(kind, n) - W * terms_of(kind)
    for chunk in range(0, last + 1, W * terms):
        i = last - chunk if in_parts(kind) else chunk
        for m in range(rows):
            factor = load(factors, m * W)
            v = load(s, place_in_panel(tall, i, m, 1)) * factor
            if terms == 2:
                w = load(s, place_in_panel(tall, i + W, m, 1)) * factor if i + W < n else filled(0.0)
                put_pairs(kind, probs, place_of(kind, i, m), v, w)
            else:
                put_number(kind, probs, place_of(kind, i, m), v)


@njit
def pack_probs(kind, x, n, rows, probs):
    # x (rows,n) row by row -> panel of probabilities
    for m in range(rows):
        for i in range(0, padded(kind, n), W):
            put_number(kind, probs, place_of(kind, i, m), load_part(x, m * n + i, max(n - i, 0)))


@njit
def unpack_scores(kind, s, rows, n, y):
    # s (n/W, tall, W) -> y (rows,n) row by row
    for m in range(rows):
        for i in range(0, n, W):
            store_part(y, m * n + i, load(s, place_in_panel(tall_of(kind), i, m, 1)), n - i)
