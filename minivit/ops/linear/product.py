"""A matrix product, for kernels to put together: multiply tiles, finish them.  How it is cut: blocking.py."""

from ..simd.language import njit
from ..simd.memory import number_at
from ..simd.stages import done, take, wait
from ..simd.target import TALL, WIDE, W
from ..simd.tile import AHEAD, AHEAD_TILES
from .blocking import BLOCK_SUMS, blocking, part_of
from .finish import finish
from .panels import chunks_of, in_parts, panel_size, tall_of
from .product_in_parts import product_in_parts
from .tiles import bytes_of_chunk, convert, converts, multiply


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
    if in_parts(kind):
        product_in_parts(work, stage, threads, kind, a, rows, k, n, b, bias, activation, y, to_panels, residual, c)
        return
    tall, columns, chunks, panel = tall_of(kind), -(-n // WIDE), chunks_of(kind, k), panel_size(kind, k)
    tiles, size, fetched = -(-rows // tall), bytes_of_chunk(kind), AHEAD if tall == TALL else AHEAD_TILES
    blocks, groups, segments, parts = blocking(kind, tiles, columns, chunks, panel, threads)
    tasks = blocks * groups
    i = take(work, stage)
    while i < tasks:
        block, group = i // groups, i % groups
        first, last = tiles * block // blocks, tiles * (block + 1) // blocks
        first_column, some = columns * group // groups, columns * (group + 1) // groups - columns * group // groups
        for step in range(segments * some * parts):
            turn, begin, stop = part_of(step, parts, some, chunks, segments)
            column = first_column + turn
            b_part = b + size * (column * chunks + begin)
            ahead = b + size * (chunks * ((column + (threads if some == 1 else 1)) % columns) + begin)
            if converts(kind):
                b_part = convert(kind, b_part, stop - begin, c + 4 * BLOCK_SUMS)
            for t in range(first, last):
                at = c + 4 * tall * WIDE * ((last - first) * turn + t - first if parts * segments > 1 else 0)
                count = min(tall, rows - t * tall)
                a_part = a + 4 * panel * t + 4 * panel // chunks * begin
                multiply(kind, count, a_part, b_part, at, WIDE, W, stop - begin, begin > 0, ahead)
                ahead += fetched * (stop - begin)
                if stop == chunks:
                    finish(
                        kind, at, count, t * tall, column * WIDE, n, sums, scales + 8 * t * tall, bias, activation,
                        y, to_panels, residual,
                    )  # fmt: skip
        i = done(work, stage)
    wait(work, stage, tasks)
