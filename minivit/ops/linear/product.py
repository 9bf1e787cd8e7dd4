"""A matrix product, for kernels to put together: multiply tiles, finish them.

The rows are in panels (panels.py), the weights in panels of WIDE columns (packed.py).  A task of `product` is one panel
of columns for one block of row panels: the block stays in the second-level cache, to be read for every such panel.
"""

from ..simd.amx import AMX, PARTS
from ..simd.language import njit
from ..simd.memory import number_at
from ..simd.stages import done, take, wait
from ..simd.target import TALL, WIDE, W
from ..simd.tile import AHEAD, AHEAD_SPLIT, AHEAD_TILES
from .finish import finish
from .panels import PACKED_TALL, chunks_of, in_parts, panel_size, tall_of
from .tiles import bytes_of_chunk, convert, converts, multiply

#: bytes of rows that stay in the second-level cache, and rows of a block at most: their sums stay there too
BLOCK_BYTES, MAX_ROWS = (700_000, 224) if AMX else (740_000, 240)
#: chunks of a panel of columns that are multiplied at once.  Tile registers: 16 KB of weights, which stay in the first
#: level, because the second one would not deliver both factors in time; numbers in parts are half as many
MAX_CHUNKS, MAX_CHUNKS_TILES, MAX_CHUNKS_SPLIT = 768 // W, 8, 3
#: panels of columns that read the same rows one after the other, where not all inner terms of them fit into the cache
GROUP = 8
#: floats for the sums of a block, and for converted weights behind them
BLOCK_SUMS = (MAX_ROWS + PACKED_TALL) * WIDE * GROUP
SUMS = BLOCK_SUMS + max(MAX_CHUNKS, PARTS * MAX_CHUNKS_SPLIT) * W * WIDE
#: tasks of one product per thread, at least: a thread that is done early takes more
TASKS = 8


def group_of(images, n, width):
    """How many images of n rows go through the stages together: few long stages, but in the caches.

    At most 600 rows and 300,000 numbers: three images of Ti/16 or S/16, one of B/16.
    """
    return max(1, min(images, min(600, 300_000 // width) // max(n, 1)))


@njit(forceinline=True)
def blocking(kind, tiles, columns, chunks, panel, threads):
    # how a product is cut: blocks of row panels, groups of column panels, segments of the inner terms, chunks at once
    tall = tall_of(kind)
    tasks = (TASKS // 2 if in_parts(kind) else TASKS) * threads  # every block splits the weights again
    blocks = min(tiles, max(-(-tiles * tall // MAX_ROWS), -(-tasks // columns)))
    segments = -(-4 * panel * -(-tiles // blocks) // BLOCK_BYTES)
    groups = columns if segments == 1 else max(-(-columns // GROUP), min(columns, 4 * threads))
    most = MAX_CHUNKS if tall == TALL else MAX_CHUNKS_SPLIT if in_parts(kind) else MAX_CHUNKS_TILES
    return blocks, groups, segments, most


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
    tiles, ahead_per_chunk = -(-rows // tall), AHEAD if tall == TALL else AHEAD_SPLIT if in_parts(kind) else AHEAD_TILES
    blocks, groups, segments, most = blocking(kind, tiles, columns, chunks, panel, threads)
    tasks, size = blocks * groups, bytes_of_chunk(kind)
    i = take(work, stage)
    while i < tasks:
        block, col, last_col = i // groups, columns * (i % groups) // groups, columns * (i % groups + 1) // groups
        first, last, some = tiles * block // blocks, tiles * (block + 1) // blocks, last_col - col
        for turn in range(segments * some):  # all columns of a segment, then the next segment
            segment, column = turn // some, col + turn % some
            start, end = chunks * segment // segments, chunks * (segment + 1) // segments
            parts = -(-(end - start) // most)
            kept = c + 4 * tall * WIDE * (last - first) * (column - col)
            following = b + size * chunks * ((column + threads) % columns)
            for part in range(parts):
                begin, stop = start + (end - start) * part // parts, start + (end - start) * (part + 1) // parts
                b_part = b + size * (column * chunks + begin)
                if converts(kind):
                    b_part = convert(kind, b_part, stop - begin, c + 4 * BLOCK_SUMS)
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
        i = done(work, stage)
    wait(work, stage, tasks)
