"""How a product is cut, so that what it reads again and again stays in a cache.

The rows are in panels (panels.py), the weights in panels of WIDE columns (packed.py).  A task is some panels of columns
for one block of row panels: the block stays in the second-level cache, to be read for every such panel.  Where not all
inner terms of a block fit, they are cut into segments: the columns of the task take a segment, then the next one.
And a segment is multiplied in parts of some chunks, whose weights stay in the first-level cache for all rows.
"""

from ..simd.amx import AMX, PARTS
from ..simd.language import njit
from ..simd.target import TALL, WIDE, W
from .panels import PACKED_TALL, in_parts, tall_of

#: bytes of rows that stay in the second-level cache, and rows of a block at most: their sums stay there too
BLOCK_BYTES, MAX_ROWS = (700_000, 224) if AMX else (740_000, 240)
#: chunks of a part.  Tile registers: 16 KB of weights, because the second-level cache would not deliver both factors in
#: time; numbers in parts: 18 KB
MAX_CHUNKS, MAX_CHUNKS_TILES, MAX_CHUNKS_SPLIT = 768 // W, 8, 3
#: panels of columns that read the same rows one after the other, where not all inner terms of them fit into the cache
GROUP = 8
#: floats for the sums of a block, and for converted weights behind them
BLOCK_SUMS = (MAX_ROWS + PACKED_TALL) * WIDE * GROUP
SUMS = BLOCK_SUMS + max(MAX_CHUNKS, 2 * PARTS * MAX_CHUNKS_SPLIT) * W * WIDE
#: tasks of one product per thread, at least: a thread that is done early takes more
TASKS = 8


def group_of(images, n, width):
    """How many images of n rows go through the stages together: few long stages, but in the caches.

    At most 600 rows and 300,000 numbers: three images of Ti/16 or S/16, one of B/16.
    """
    return max(1, min(images, min(600, 300_000 // width) // max(n, 1)))


@njit(forceinline=True)
def blocking(kind, tiles, columns, chunks, panel, threads):
    # blocks of row panels, groups of column panels, segments of the inner terms, parts of a segment
    tall = tall_of(kind)
    tasks = (TASKS // 2 if in_parts(kind) else TASKS) * threads  # every block splits the weights again
    blocks = min(tiles, max(-(-tiles * tall // MAX_ROWS), -(-tasks // columns)))
    segments = -(-4 * panel * -(-tiles // blocks) // BLOCK_BYTES)
    # few long tasks, equally many per thread, where each reads all rows of its block again
    groups = columns if segments == 1 and not in_parts(kind) else -(-columns // (GROUP * threads)) * threads
    most = MAX_CHUNKS if tall == TALL else MAX_CHUNKS_SPLIT if in_parts(kind) else MAX_CHUNKS_TILES
    longest = -(-chunks // segments)
    return blocks, groups, segments, -(-longest // most)


@njit(forceinline=True)
def part_of(step, parts, columns, chunks, segments):
    # which column of a task comes at that step, and from which chunk to which
    turn, part = step // parts, step % parts
    segment, column = turn // columns, turn % columns
    start, end = chunks * segment // segments, chunks * (segment + 1) // segments
    return column, start + (end - start) * part // parts, start + (end - start) * (part + 1) // parts
