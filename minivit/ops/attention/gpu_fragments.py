"""What v3 of attention does with a tile: bring it into shared memory, and calculate with it in fragments.

A fragment is 16×8 or 16×16 numbers spread over the lanes of a warp, as mma.sync wants it: a lane has rows g = lane/4
and g + 8, and of every 8 columns 2·(lane % 4) and the next.  q[m,step] are 16 queries × 16 columns, s[m,b] 16 queries ×
8 keys (elements 0 and 1 in row g, 2 and 3 in row g + 8), result[m,b] 16 queries × 8 columns.
"""

from ...gpu.compat import cuda, device, float32, uint16, uint32
from ...gpu.intrinsics import copy_async, exp2, load_matrices, load_matrices_transposed, shared_address
from ..softmax.gpu import LOWEST

WARPS = 4
THREADS = 32 * WARPS
ALL_LANES = 0xFFFFFFFF
#: what a block may declare: 48 kB of shared memory
HALVES = 24 * 1024
LOG2_E = 1.4426950408889634


def sizes(width):
    """(columns with padding to whole products, distance of rows, keys per tile, most fragments of queries per warp).

    Rows of a tile lie 16 bytes further apart than they are long, so that the eight rows that ldmatrix reads at once
    come from different banks.  Four tiles must fit: two of keys, two of values.
    """
    padded = -(-width // 16) * 16
    keys = 64 if 4 * 64 * (padded + 8) <= HALVES else 32
    return padded, padded + 8, keys, 2 if width <= 64 else 1


def fetching(width, aligned):
    """The function that brings rows into a tile.  aligned: they start at multiples of 16 bytes, as cp.async needs."""
    padded, row, _, _ = sizes(width)
    ROW, CHUNKS, bring = uint32(row), uint32(padded // 8), _copying(width) if aligned else _moving(width)

    @device
    def fetch(x, start, first, n, token, tile, at, rows):
        # rows first … first+rows-1 of x, `token` numbers apart from `start` on -> tile, from `at` on; zeros past row n
        items = uint32(rows * CHUNKS)
        for i in range(uint32(items + uint32(THREADS - 1)) // uint32(THREADS)):
            item = uint32(uint32(i) * uint32(THREADS) + uint32(cuda.threadIdx.x))
            if items % uint32(THREADS) == uint32(0) or item < items:  # the first is known when it is compiled
                r, column = uint32(item // CHUNKS), uint32(item % CHUNKS * uint32(8))
                j = uint32(first + r)
                from_here = uint32(start + min(j, uint32(n - uint32(1))) * token)
                bring(x, from_here, j < n, column, tile, uint32(at + r * ROW + column))

    return fetch


def _copying(width):
    K, LAST = uint32(width), uint32(max(width - 8, 0))

    @device
    def copy(x, start, inside, column, tile, at):
        # eight numbers from `column` on, or zeros
        count = uint32(16) * uint32(inside & (column < K))
        copy_async(shared_address(tile, at), x, uint32(start + min(column, LAST)), count)

    return copy


def _moving(width):
    K = uint32(width)

    @device
    def move(x, start, inside, column, tile, at):
        # the same, number by number
        for e in range(8):
            there = inside and column + uint32(e) < K
            tile[at + uint32(e)] = x[start + column + uint32(e)] if there else uint16(0)

    return move


def _multiplying(format):
    mma = format.mma

    @device(fast=True)
    def multiply(a, m, step, b0, b1, c, b):
        # c[m,b] += a[m,step] · (b0, b1)
        c[m, b, 0], c[m, b, 1], c[m, b, 2], c[m, b, 3] = mma(
            a[m, step, 0], a[m, step, 1], a[m, step, 2], a[m, step, 3], b0, b1,
            c[m, b, 0], c[m, b, 1], c[m, b, 2], c[m, b, 3],
        )  # fmt: skip

    return multiply


def taking(width, fragments):
    """address, here and below: where in a tile the row is that this lane loads of the first four 8×8 matrices."""
    steps, row = sizes(width)[0] // 16, sizes(width)[1]

    @device(fast=True)
    def take(q, address):
        # the queries of this warp -> q
        for m in range(fragments):
            for step in range(steps):
                q[m, step, 0], q[m, step, 1], q[m, step, 2], q[m, step, 3] = load_matrices(
                    address + uint32(32 * (m * row + step))
                )

    return take


def scoring(width, format, fragments):
    padded, row, keys, _ = sizes(width)
    multiply, steps, pairs = _multiplying(format), padded // 16, keys // 16

    @device(fast=True)
    def score(q, address, s):
        # s = q · the keys of the tile, 16 at a time
        for m in range(fragments):
            for b in range(2 * pairs):
                for e in range(4):
                    s[m, b, e] = float32(0)
        for step in range(steps):
            for pair in range(pairs):
                b0, b1, b2, b3 = load_matrices(address + uint32(32 * (pair * row + step)))
                for m in range(fragments):
                    multiply(q, m, step, b0, b1, s, 2 * pair)
                    multiply(q, m, step, b2, b3, s, 2 * pair + 1)

    return score


def hiding(width, fragments):
    keys, lowest = sizes(width)[2], float32(LOWEST)
    blocks, KEYS = keys // 8, uint32(keys)

    @device(fast=True)
    def hide(s, first, n, lane):
        # keys past the last one get no weight
        if uint32(first + KEYS) > n:
            for b in range(blocks):
                for e in range(4):
                    if uint32(first + uint32(8 * b + e % 2) + lane % uint32(4) * uint32(2)) >= n:
                        for m in range(fragments):
                            s[m, b, e] = lowest

    return hide


def softening(width):
    columns, blocks = sizes(width)[0] // 8, sizes(width)[2] // 8
    factor = float32(width**-0.5 * LOG2_E)  # 2 to the power of this times the score

    @device(fast=True)
    def soften(s, m, half, largest, total, result):
        # scores of rows g (half 0) or g + 8 (half 1) -> weights; what was there shrinks if the maximum grew
        top = largest[m, half]
        for b in range(blocks):
            top = max(top, max(s[m, b, 2 * half], s[m, b, 2 * half + 1]))
        top = max(top, cuda.shfl_xor_sync(ALL_LANES, top, 1))  # four lanes share a row
        top = max(top, cuda.shfl_xor_sync(ALL_LANES, top, 2))
        shrink = exp2((largest[m, half] - top) * factor)
        shift, largest[m, half] = top * factor, top
        total[m, half] *= shrink
        for b in range(blocks):
            for e in range(2 * half, 2 * half + 2):
                s[m, b, e] = exp2(s[m, b, e] * factor - shift)
                total[m, half] += s[m, b, e]
        for b in range(columns):
            result[m, b, 2 * half] *= shrink
            result[m, b, 2 * half + 1] *= shrink

    return soften


def weighing(width, format, fragments):
    padded, row, keys, _ = sizes(width)
    multiply, pack, steps, pairs = _multiplying(format), format.pack, padded // 16, keys // 16

    @device(fast=True)
    def weigh(s, p, address, result):
        # result += weights s, as halves p, · the values of the tile, 16 at a time
        for step in range(pairs):
            for m in range(fragments):
                p[m, 0, 0] = pack(s[m, 2 * step, 0], s[m, 2 * step, 1])
                p[m, 0, 1] = pack(s[m, 2 * step, 2], s[m, 2 * step, 3])
                p[m, 0, 2] = pack(s[m, 2 * step + 1, 0], s[m, 2 * step + 1, 1])
                p[m, 0, 3] = pack(s[m, 2 * step + 1, 2], s[m, 2 * step + 1, 3])
            for pair in range(steps):
                b0, b1, b2, b3 = load_matrices_transposed(address + uint32(32 * (step * row + pair)))
                for m in range(fragments):
                    multiply(p, m, 0, b0, b1, result, 2 * pair)
                    multiply(p, m, 0, b2, b3, result, 2 * pair + 1)

    return weigh
