"""Rows in panels, as the micro-kernel reads them: the left factor of a product, for kernels to put together.

    panels  (rows/tall, k/(terms·W), parts, tall, W, terms): `terms` numbers of W·terms columns are 32 bits
            (simd/tile.py); one part, or the three of a float32 for tile registers (simd/amx.py)

Rows are packed where they are made, by LayerNorm, GELU or attention, or by `pack` from a matrix.
"""

import numpy as np

from ..simd.amx import AMX, HIGH, PARTS, SPLIT, SPLIT_HALF
from ..simd.dots import BFLOAT16, BYTE_OFFSET, FLOAT32, INT8, TERMS
from ..simd.lanes import filled, fma, larger, largest_of, smaller, sum_of
from ..simd.language import njit, register_jitable
from ..simd.memory import leading, load_part, put, store, store_bfloat, store_bfloats, store_bytes, store_upper
from ..simd.stages import done, raise_flag, take, wait
from ..simd.target import TALL, W

#: kinds of products whose rows lie transposed, (inner terms, TALL): gradient.py
FLOAT32_T, BFLOAT16_T = 4, 5
BF16_TERMS = TERMS[BFLOAT16]
#: rows of a panel of bfloat16, int8 or numbers in parts
PACKED_TALL = 2 * HIGH if AMX else TALL


def panel_floats(rows, k, kinds=(FLOAT32, BFLOAT16, INT8, SPLIT)):
    """Floats of memory that rows × k numbers of one of these kinds take in panels."""
    return max(-(-rows // tall_of(kind)) * panel_size(kind, k) for kind in kinds)


@register_jitable
def in_parts(kind):
    return AMX and kind >= SPLIT


@register_jitable
def parts_in(kind):
    """Parts of a number."""
    return PARTS if in_parts(kind) else 1


@register_jitable
def terms_of(kind):
    return 4 if kind == INT8 else BF16_TERMS if kind in (BFLOAT16, BFLOAT16_T) else 2 if in_parts(kind) else 1


@register_jitable
def tall_of(kind):
    """Rows of a panel, which are multiplied at a time."""
    return PACKED_TALL if kind in (BFLOAT16, INT8, SPLIT, SPLIT_HALF) else TALL


@register_jitable
def panel_size(kind, k):
    """Floats that a panel of rows of k numbers takes."""
    return chunks_of(kind, k) * W * tall_of(kind) * parts_in(kind)


@register_jitable
def chunks_of(kind, k):
    return -(-k // (terms_of(kind) * W))


@njit(forceinline=True)
def place_in_panel(tall, k, m, terms):
    """Where inner term k of row m stands in a panel of `tall` rows, counted in its own size (4/terms bytes)."""
    if terms == 1:  # by constants, so that LLVM shifts: a division costs as much as the rest of a loop
        return (k // W * tall + m) * W + k % W
    if terms == 2:
        return (k // (2 * W) * tall + m) * (2 * W) + k % (2 * W)
    return (k // (4 * W) * tall + m) * (4 * W) + k % (4 * W)


@njit(forceinline=True)
def place_of(kind, k, m):
    """Where inner term k of row m stands in a panel of that kind (its first part)."""
    return place_in_panel(tall_of(kind) * parts_in(kind), k, m, terms_of(kind))


@njit(forceinline=True)
def put_number(kind, y, i, v):
    """W numbers from the i-th on, in the numbers that `kind` multiplies."""
    if in_parts(kind):
        part = PACKED_TALL * 2 * W
        first = leading(v)
        second = leading(v - first)
        store_bfloat(y, i, first)
        store_bfloat(y, i + part, second)
        store_bfloat(y, i + 2 * part, v - first - second)
    elif terms_of(kind) == 2:
        store_bfloat(y, i, v)
    else:
        store(y, i, v)


@njit(forceinline=True)
def put_pairs(kind, y, i, v, w):
    """2·W numbers from the i-th on, where `kind` multiplies pairs."""
    if in_parts(kind):
        part = PACKED_TALL * 2 * W
        for p in range(PARTS):
            first, second = leading(v), leading(w)
            store_upper(y, i + part * p, first, second)
            v, w = v - first, w - second
    else:
        store_bfloats(y, i, v, w)


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
        store_bytes(a, place_in_panel(PACKED_TALL, j, m, 4), fma(load_part(x, j, k - j), inverse, zero))
    put(scales, 0, scale)
    put(scales, 1, zero)
    return sum_of(odd) == np.float32(0)


@njit
def pack_row(kind, x, k, a, m, scales):
    # row x (k) -> row m of panel a, in the numbers that `kind` multiplies; False if int8 cannot hold them
    if kind == INT8:
        return quantise_row(x, k, a, m, scales)
    for j in range(0, chunks_of(kind, k) * terms_of(kind) * W, W):
        put_number(kind, a, place_of(kind, j, m), load_part(x, j, max(k - j, 0)))
    return True


@njit
def pack(work, stage, kind, x, ld, rows, k, a, scales, name):
    # x (rows,k), one row every ld numbers -> panels a; `name` is raised as a flag if a number is not finite
    tall, size = tall_of(kind), panel_size(kind, k)
    panels = -(-rows // tall)
    p = take(work, stage)
    while p < panels:
        for r in range(p * tall, min(rows, (p + 1) * tall)):
            if not pack_row(kind, x + 4 * r * ld, k, a + 4 * p * size, r - p * tall, scales + 8 * r):
                raise_flag(work, name)
        p = done(work, stage)
    wait(work, stage, panels)
