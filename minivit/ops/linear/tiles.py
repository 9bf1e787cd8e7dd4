"""The micro-kernels by kind of number (simd/tile.py), and weights that become what a micro-kernel multiplies.

Weights in half precision are widened, and those for tile registers split in three parts (simd/amx.py), some chunks of a
panel at a time: done once, it serves all rows of a block.
"""

from ..simd.amx import PARTS, SPLIT, SPLIT_HALF
from ..simd.dots import BF16_DOT, BFLOAT16, FLOAT16, FLOAT32, INT8
from ..simd.language import njit
from ..simd.memory import halves, leading, load, load_bfloat, load_half, store
from ..simd.target import TALL, WIDE, W
from ..simd.tile import make_tile
from .panels import FLOAT32_T, PACKED_TALL, in_parts, tall_of, terms_of

f32_tile, f32_half = make_tile(FLOAT32, TALL), make_tile(FLOAT32, TALL // 2)
bf16_tile, bf16_half = make_tile(BFLOAT16, PACKED_TALL), make_tile(BFLOAT16, PACKED_TALL // 2)
int8_tile, int8_half = make_tile(INT8, PACKED_TALL), make_tile(INT8, PACKED_TALL // 2)
f32_tile_t, f32_half_t = make_tile(FLOAT32, TALL, True), make_tile(FLOAT32, TALL // 2, True)
split_tile, split_half = make_tile(SPLIT, PACKED_TALL), make_tile(SPLIT, PACKED_TALL // 2)
bf16_tile_t, bf16_half_t = make_tile(BFLOAT16, TALL, True), make_tile(BFLOAT16, TALL // 2, True)


@njit
def multiply(kind, rows, a, b, c, row, vector, chunks, add, ahead):
    """The micro-kernel for that kind of numbers and that many rows."""
    whole = rows > tall_of(kind) // 2
    if kind in (FLOAT32, FLOAT16):
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
    elif kind == SPLIT:
        if whole:
            split_tile(a, 0, b, c, row, vector, chunks, add, ahead)
        else:
            split_half(a, 0, b, c, row, vector, chunks, add, ahead)
    elif kind == FLOAT32_T:
        if whole:
            f32_tile_t(a, TALL, b, c, row, vector, chunks, add, ahead)
        else:
            f32_half_t(a, TALL, b, c, row, vector, chunks, add, ahead)
    elif whole:
        bf16_tile_t(a, TALL, b, c, row, vector, chunks, add, ahead)
    else:
        bf16_half_t(a, TALL, b, c, row, vector, chunks, add, ahead)


@njit(forceinline=True)
def bytes_of_chunk(kind):
    """Bytes of a chunk of a panel of columns."""
    items = WIDE * W
    if in_parts(kind):
        return items * (8 if kind == SPLIT else 4)
    return items * (2 if kind == FLOAT16 or (kind == BFLOAT16 and terms_of(kind) == 1) else 4)


@njit(forceinline=True)
def converts(kind):
    """Whether weights of that kind are widened before they are multiplied."""
    return kind == FLOAT16 or (kind == BFLOAT16 and not BF16_DOT)


@njit
def convert(kind, b, chunks, room):
    # some chunks of a panel of columns in half precision -> float32; gives their address
    for i in range(0, chunks * W * WIDE, W):
        store(room, i, load_half(b, i) if kind == FLOAT16 else load_bfloat(b, i))
    return room


@njit(forceinline=True)
def weights(kind, b, i):
    """W weights of a panel of float32 or float16, from the i-th on."""
    return load_half(b, i) if kind == SPLIT_HALF else load(b, i)


@njit(forceinline=True)
def split(kind, b, first, last, parts):
    # pairs first…last of panel b (pairs, 2, WIDE) -> of parts (pairs/W, 3, W, WIDE, 2) in bfloat16
    for item in range(first, last):
        place = (item // W * PARTS * W + item % W) * WIDE
        for j in range(0, WIDE, W):
            one, two = weights(kind, b, 2 * item * WIDE + j), weights(kind, b, (2 * item + 1) * WIDE + j)
            store_parts(one, two, parts, place + j)


@njit(forceinline=True)
def store_parts(one, two, parts, place):
    # two inner terms of W columns -> the pairs of their parts
    for part in range(PARTS):
        first, second = leading(one), leading(two)
        store(parts, place + part * W * WIDE, halves(first, second))
        one, two = one - first, two - second
