"""Linear layer for few rows: its inner sums in parts, so that every multiprocessor has work.

One image of B/16 are 197 rows.  By 768 columns that makes 84 blocks of the smallest tile of v3, of one warp each, and
96 of v4's, for 132 multiprocessors; and in the second layer of the MLP each of them adds up 3072 terms.  So the third
axis of the grid takes a part of the terms each, and a second kernel adds the parts up.  Bias, GELU and the residual
stream, which need the whole sum, wait for it.
"""

from functools import cache

from ...gpu.arrays import blocks
from ...gpu.compat import cuda, float32, multiprocessors, uint32
from ...gpu.formats import FLOAT32
from ...gpu.launch import kernel
from ...gpu.tiles import finish

THREADS = 256
BUSY = 4  # blocks that a multiprocessor may get
LEAST = 32  # steps of a part: fewer would not pay for the second kernel


def parts_of(count, steps):
    """How many parts, for so many blocks and steps of each; 1 where every multiprocessor has a block already."""
    if count >= multiprocessors():
        return 1
    return max(1, min(steps // LEAST, BUSY * multiprocessors() // count))


@cache
def add_kernel(output, epilogue, fast):
    store, end = output.store, finish(epilogue, fast)
    arrays = ", ".join([FLOAT32.signature] * 3 + [output.signature])

    @kernel(f"{arrays}, uint32, uint32, uint32", THREADS, fast)
    def add_parts(several, b, residual, y, count, columns, parts):
        # several (parts,M·N), b (N,), residual (M·N,) -> y (M·N,): count numbers
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            total = float32(0)
            for part in range(parts):
                total += several[uint32(uint32(part) * count + i)]
            store(y, i, end(total, b, residual, i, uint32(i % columns)))

    return add_parts


def add_parts(several, b, residual, y, epilogue, fast):
    # several (parts,M,N), b (N,), residual (...,N) -> y (...,N), on the device
    parts, _, columns = several.shape
    add_kernel(y.format, epilogue, fast).launch(
        blocks(y.size, THREADS), several.flat, b.flat, residual.flat, y.flat, y.size, columns, parts
    )
