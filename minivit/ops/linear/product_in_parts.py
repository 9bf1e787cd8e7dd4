"""A product of float32 rows in tile registers, every number in three parts (simd/amx.py).

The weights are split just before they are multiplied.  Tile registers and vector registers are worked on by different
units of a core, which go on at the same time if what they have to do is at most some hundred instructions apart.  So
after every chunk that is multiplied, some weights of the next part (blocking.py) are split.
"""

from ..simd.amx import HIGH, PARTS, make_steps
from ..simd.language import njit
from ..simd.memory import fetch_second
from ..simd.stages import done, take, wait
from ..simd.target import WIDE, W
from .blocking import BLOCK_SUMS, MAX_CHUNKS_SPLIT, blocking, part_of
from .finish import finish
from .panels import PACKED_TALL, chunks_of, panel_size
from .tiles import bytes_of_chunk, split

#: bytes of the sums of a tile, of a chunk of columns in parts, and of the weights of a part
TILE, CHUNK = 4 * PACKED_TALL * WIDE, 4 * W * WIDE * PARTS
PART = MAX_CHUNKS_SPLIT * CHUNK
#: lines of the next panel of columns that are fetched per chunk: if 7 tiles read this one, all of it
AHEAD = 10

start_tile, add_chunk, end_tile = make_steps(2 * HIGH)
start_half, add_half, end_half = make_steps(HIGH)


@njit
def product_in_parts(work, stage, threads, kind, a, rows, k, n, b, bias, activation, y, to_panels, residual, c):
    # panels a (rows,k), panels b (k,n) -> y (rows,n), or panels for the next product
    columns, chunks, panel, tiles = -(-n // WIDE), chunks_of(kind, k), panel_size(kind, k), -(-rows // PACKED_TALL)
    blocks, groups, segments, parts = blocking(kind, tiles, columns, chunks, panel, threads)
    tasks, size, room = blocks * groups, bytes_of_chunk(kind), c + 4 * BLOCK_SUMS
    i = take(work, stage)
    while i < tasks:
        block, group = i // groups, i % groups
        first, last = tiles * block // blocks, tiles * (block + 1) // blocks
        first_column, some = columns * group // groups, columns * (group + 1) // groups - columns * group // groups
        steps = segments * some * parts
        split(kind, b + size * first_column * chunks, 0, part_of(0, parts, some, chunks, segments)[2] * W, room)
        for step in range(steps):
            turn, begin, stop = part_of(step, parts, some, chunks, segments)
            column = first_column + turn
            following, next_begin, next_stop = part_of(min(step + 1, steps - 1), parts, some, chunks, segments)
            unsplit = b + size * ((first_column + following) * chunks + next_begin)
            items, item = (next_stop - next_begin) * W if step + 1 < steps else 0, 0
            share = -(-items // ((last - first) * (stop - begin)))
            ahead = b + size * (chunks * ((column + (threads if some == 1 else 1)) % columns) + begin)
            for t in range(first, last):
                at = c + TILE * ((last - first) * (turn if segments > 1 else 0) + t - first)
                count, a_part = min(PACKED_TALL, rows - t * PACKED_TALL), a + 4 * (panel * t + panel // chunks * begin)
                if count > HIGH:
                    start_tile(at, begin > 0)
                else:
                    start_half(at, begin > 0)
                for chunk in range(stop - begin):
                    a_chunk, b_chunk = a_part + 4 * panel // chunks * chunk, room + PART * (step % 2) + CHUNK * chunk
                    if count > HIGH:
                        add_chunk(a_chunk, b_chunk)
                    else:
                        add_half(a_chunk, b_chunk)
                    for line in range(AHEAD):
                        fetch_second(ahead + 64 * line)
                    ahead += 64 * AHEAD
                    split(kind, unsplit, item, min(item + share, items), room + PART * ((step + 1) % 2))
                    item += share
                if count > HIGH:
                    end_tile(at)
                else:
                    end_half(at)
                if stop == chunks:
                    finish(
                        kind, at, count, t * PACKED_TALL, column * WIDE, n, 0, 0, bias, activation, y, to_panels,
                        residual,
                    )  # fmt: skip
        i = done(work, stage)
    wait(work, stage, tasks)
