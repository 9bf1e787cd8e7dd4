"""Linear layer in float32: a thread keeps 8×8 sums in registers.

A block multiplies a band of x by a band of w, 8 inner terms at a time.  Two tiles of each stand in shared memory: while
one is multiplied, the next is on its way from global memory into registers, and is written to the other.  x stands
there transposed, so that a thread finds its eight rows side by side.
"""

from functools import cache

from ...gpu.compat import cuda, device, float32, uint32
from ...gpu.formats import FLOAT32
from ...gpu.launch import kernel
from ...gpu.tiles import each, finish, load_four, share, signature

DEPTH = 8  # inner terms of a tile: two accesses of four numbers
SUMS = 8  # a thread has SUMS × SUMS sums

#: (height, width) of the tile of a block: for a full GPU, and for few rows
TILES = (128, 128), (64, 64), (32, 64)


@cache
def register_tiles(output, epilogue, height, width, aligned, load_x=None, in_parts=False):
    """load_x: what reads four numbers of a row of x, if x is not a matrix in memory (ops/patches/gpu.py).

    in_parts: blocks have a part of the inner terms each (gpu_parts.py); then y is (parts,M,N).
    """
    threads, padded = height * width // SUMS**2, height + 4  # the four keep the writers of a column apart
    x_loads, w_loads = each(height * DEPTH // 4, threads), each(width * DEPTH // 4, threads)
    fetch = _fetch(x_loads, w_loads, threads, width, aligned, load_x or load_four(aligned))
    put, multiply = _put(x_loads, w_loads, threads, width), _multiply(width)
    write, mine = _write(output, epilogue, width, aligned), share(DEPTH, in_parts)

    @kernel(signature(FLOAT32, output), threads)
    def linear_v3(x, w, b, residual, y, M, N, K):
        # x (M,K), w (K,N), b (N,), residual (M,N) -> y (M,N)
        xs = cuda.shared.array((2, DEPTH, padded), float32)
        ws = cuda.shared.array((2, DEPTH, width), float32)
        sums = cuda.local.array((SUMS, SUMS), float32)
        xr, wr = cuda.local.array(SUMS, float32), cuda.local.array(SUMS, float32)
        xn, wn = cuda.local.array((x_loads, 4), float32), cuda.local.array((w_loads, 4), float32)
        t = uint32(cuda.threadIdx.x)
        tx, ty = t % uint32(width // SUMS), t // uint32(width // SUMS)
        top, left = uint32(cuda.blockIdx.y) * uint32(height), uint32(cuda.blockIdx.x) * uint32(width)
        for r in range(SUMS):
            for c in range(SUMS):
                sums[r, c] = float32(0)
        start, stop, first = mine(M, N, K)
        now = uint32(0)
        fetch(x, w, xn, wn, t, top, left, start, M, N, K)
        while start < stop:
            put(xn, wn, xs, ws, now, t)
            cuda.syncthreads()  # this tile is there, and nobody reads the other one any more
            start += uint32(DEPTH)
            fetch(x, w, xn, wn, t, top, left, start, M, N, K)  # past the end: zeros
            k = uint32(0)
            while k < uint32(DEPTH):
                multiply(xs, ws, sums, xr, wr, now, k, tx, ty)
                multiply(xs, ws, sums, xr, wr, now, k + uint32(1), tx, ty)
                k += uint32(2)
            now ^= uint32(1)
        write(sums, b, residual, y, first, top + ty * uint32(SUMS), left + tx * uint32(4), M, N)

    return linear_v3


def _fetch(x_loads, w_loads, threads, width, aligned, load_x):
    load = load_four(aligned)

    @device
    def fetch(x, w, xn, wn, t, top, left, start, M, N, K):
        # the next tiles, from global memory into the registers of the thread
        for n in range(x_loads):
            place = t + uint32(n * threads)
            row, i = top + place // uint32(2), start + place % uint32(2) * uint32(4)
            xn[n, 0], xn[n, 1], xn[n, 2], xn[n, 3] = load_x(x, uint32(row), uint32(i), M, K)
        for n in range(w_loads):
            place = t + uint32(n * threads)
            i, column = start + place // uint32(width // 4), left + place % uint32(width // 4) * uint32(4)
            wn[n, 0], wn[n, 1], wn[n, 2], wn[n, 3] = load(w, uint32(i), uint32(column), K, N)

    return fetch


def _put(x_loads, w_loads, threads, width):
    @device
    def put(xn, wn, xs, ws, now, t):
        # … and from there into shared memory, x transposed
        for n in range(x_loads):
            place = t + uint32(n * threads)
            for e in range(4):
                xs[now, place % uint32(2) * uint32(4) + uint32(e), place // uint32(2)] = xn[n, e]
        for n in range(w_loads):
            place = t + uint32(n * threads)
            for e in range(4):
                ws[now, place // uint32(width // 4), place % uint32(width // 4) * uint32(4) + uint32(e)] = wn[n, e]

    return put


def _multiply(width):
    half = width // 2

    @device
    def multiply(xs, ws, sums, xr, wr, now, k, tx, ty):
        # inner term k: eight numbers of x by eight of w; those of w are two fours, half a tile apart: neighbouring
        # threads then read neighbouring fours, and no two of them meet in a bank
        for r in range(SUMS):
            xr[r] = xs[now, k, ty * uint32(SUMS) + uint32(r)]
        for c in range(4):
            wr[c] = ws[now, k, tx * uint32(4) + uint32(c)]
            wr[c + 4] = ws[now, k, uint32(half) + tx * uint32(4) + uint32(c)]
        for r in range(SUMS):
            for c in range(SUMS):
                sums[r, c] += xr[r] * wr[c]

    return multiply


def _write(output, epilogue, width, aligned):
    store, store4, end, half = output.store, output.store4, finish(epilogue, False), width // 2

    @device
    def four(sums, b, residual, y, r, h, at, column, N):
        v0 = end(sums[r, h], b, residual, at, column)
        v1 = end(sums[r, h + 1], b, residual, at + uint32(1), column + uint32(1))
        v2 = end(sums[r, h + 2], b, residual, at + uint32(2), column + uint32(2))
        v3 = end(sums[r, h + 3], b, residual, at + uint32(3), column + uint32(3))
        store4(y, at, v0, v1, v2, v3)

    @device
    def one_by_one(sums, b, residual, y, r, h, at, column, N):
        for e in range(4):
            if column + uint32(e) < N:
                store(y, at + uint32(e), end(sums[r, h + e], b, residual, at + uint32(e), column + uint32(e)))

    put = four if aligned else one_by_one

    @device
    def write(sums, b, residual, y, first, top, left, M, N):
        # eight rows from `top`, four columns from `left`, and four more half a tile further; y starts at `first`
        for r in range(SUMS):
            row = top + uint32(r)
            for h in range(2):
                column = left + uint32(h * half)
                if row < M and column < N:
                    put(sums, b, residual, y, r, 4 * h, uint32(first + row * N + column), uint32(column), N)

    return write
