"""Linear layer in float16 and bfloat16, on tensor cores.

A block multiplies a band of x by a band of w, 32 inner terms at a time.  Three tiles of each stand in shared memory:
while one is multiplied, two are on their way (cp.async).  A warp loads fragments of 16×16 (ldmatrix; those of w come
transposed) and multiplies them (mma.sync); sums stay in registers, in float32.

Eight halves, 16 bytes, are a chunk.  Chunks of a row are swizzled: the eight rows of a matrix, that ldmatrix reads
together, then lie in eight different groups of banks.
"""

from functools import cache

from ...gpu.compat import cuda, device, float32, uint32
from ...gpu.intrinsics import (
    copy_async,
    copy_commit,
    copy_wait1,
    load_matrices,
    load_matrices_transposed,
    shared_address,
)  # fmt: skip
from ...gpu.launch import kernel
from ...gpu.tiles import each, finish, share, signature

DEPTH = 32  # inner terms of a tile
STAGES = 3  # tiles in shared memory

#: (height, width) of the tile of a block, and of the part that one of its warps has
TILES = (128, 128, 64, 32), (64, 64, 32, 32), (64, 32, 32, 16)


@cache
def tensor_cores(
    format, output, epilogue, height, width, warp_height, warp_width, aligned, source=None, copy_x=None, in_parts=False
):  # fmt: skip
    """copy_x: what brings eight halves of x, which is in `source` format, if it is no matrix (ops/patches/gpu.py).

    in_parts: blocks have a part of the inner terms each (gpu_parts.py); then y is (parts,M,N).
    """
    down, across = warp_height // 16, warp_width // 8  # fragments of a warp
    threads = height // warp_height * (width // warp_width) * 32
    x_size, w_size = height * DEPTH, DEPTH * width
    fetch = _fetch(threads, height, width, aligned, copy_x or _copy(aligned))
    multiply = _multiply(format, down, across, height, width)
    write, mine = _write(output, epilogue, down, across, aligned), share(DEPTH, in_parts)
    element, x_all, w_all, warps_across = format.number, STAGES * x_size, STAGES * w_size, width // warp_width

    @kernel(signature(format, output, source), threads, fast=True)
    def linear_v4(x, w, b, residual, y, M, N, K):
        # x (M,K), w (K,N), b (N,), residual (M,N) -> y (M,N)
        xs = cuda.shared.array(x_all, element, alignment=16)
        ws = cuda.shared.array(w_all, element, alignment=16)
        sums = cuda.local.array((down, across, 4), float32)
        a, c = cuda.local.array((down, 4), uint32), cuda.local.array((across, 2), uint32)
        t = uint32(cuda.threadIdx.x)
        lane, warp = t % uint32(32), t // uint32(32)
        top, left = uint32(cuda.blockIdx.y) * uint32(height), uint32(cuda.blockIdx.x) * uint32(width)
        warp_top = warp // uint32(warps_across) * uint32(warp_height)
        warp_left = warp % uint32(warps_across) * uint32(warp_width)
        for m in range(down):
            for n in range(across):
                for e in range(4):
                    sums[m, n, e] = float32(0)
        start, stop, first = mine(M, N, K)
        fetch(x, w, xs, ws, uint32(0), t, top, left, start, M, N, K)
        copy_commit()
        fetch(x, w, xs, ws, uint32(1), t, top, left, uint32(start + uint32(DEPTH)), M, N, K)
        copy_commit()
        now, free = uint32(0), uint32(2)
        while start < stop:
            copy_wait1()  # of two tiles on their way, the first has arrived: this thread's part of it …
            cuda.syncthreads()  # … and the others'; and nobody reads any more what was multiplied before
            fetch(x, w, xs, ws, free, t, top, left, uint32(start + uint32(2 * DEPTH)), M, N, K)
            copy_commit()
            multiply(xs, ws, sums, a, c, now, lane, warp_top, warp_left)
            start += uint32(DEPTH)
            now = now + uint32(1) if now < uint32(STAGES - 1) else uint32(0)
            free = free + uint32(1) if free < uint32(STAGES - 1) else uint32(0)
        write(sums, b, residual, y, first, lane, top + warp_top, left + warp_left, M, N)

    return linear_v4


def places(width):
    """Device functions: where chunk `chunk` of a row stands, in a tile of x (4 chunks per row) and of w (width / 8)."""
    chunks = width // 8
    turn, mask = (0, 7) if chunks >= 8 else (1, 3)

    @device
    def place_of_x(row, chunk):
        return uint32(row * uint32(DEPTH) + ((chunk ^ (row >> uint32(1) & uint32(3))) << uint32(3)))

    @device
    def place_of_w(row, chunk):
        return uint32(row * uint32(width) + ((chunk ^ (row >> uint32(turn) & uint32(mask))) << uint32(3)))

    return place_of_x, place_of_w


def _copy(aligned):
    @device
    def chunk(x, xs, place, row, column, rows, columns):
        # eight halves on their way to shared memory; outside of the matrix nothing is read, and zeros arrive
        inside = uint32(row < rows) * uint32(column < columns)
        copy_async(shared_address(xs, place), x, uint32(row * columns + column), inside * uint32(16))

    @device
    def one_by_one(x, xs, place, row, column, rows, columns):
        for e in range(8):
            inside = row < rows and column + uint32(e) < columns
            xs[place + uint32(e)] = x[row * columns + column + uint32(e)] if inside else 0

    return chunk if aligned else one_by_one


def _fetch(threads, height, width, aligned, copy_x):
    x_copies, w_copies = each(height * DEPTH // 8, threads), each(DEPTH * width // 8, threads)
    chunks = width // 8
    copy, (place_of_x, place_of_w) = _copy(aligned), places(width)
    x_size, w_size = height * DEPTH, DEPTH * width

    @device
    def fetch(x, w, xs, ws, stage, t, top, left, start, M, N, K):
        # tiles of x and w to a stage; past the end: zeros, which are never read
        for n in range(x_copies):
            row, chunk = (t + uint32(n * threads)) // uint32(4), t % uint32(4)
            place = uint32(stage * uint32(x_size) + place_of_x(uint32(row), chunk))
            copy_x(x, xs, place, uint32(top + row), uint32(start + chunk * uint32(8)), M, K)
        for n in range(w_copies):
            k, chunk = (t + uint32(n * threads)) // uint32(chunks), (t + uint32(n * threads)) % uint32(chunks)
            place = uint32(stage * uint32(w_size) + place_of_w(uint32(k), uint32(chunk)))
            copy(w, ws, place, uint32(start + k), uint32(left + chunk * uint32(8)), K, N)

    return fetch


def _multiply(format, down, across, height, width):
    mma, (place_of_x, place_of_w) = format.mma, places(width)
    pairs, x_size, w_size = across // 2, height * DEPTH, DEPTH * width

    @device(fast=True)
    def multiply(xs, ws, sums, a, c, stage, lane, top, left):
        # a tile's 32 inner terms, sixteen at a time
        for k in range(0, DEPTH, 16):
            for m in range(down):
                row, chunk = uint32(top + uint32(16 * m) + lane % uint32(16)), uint32(k // 8) + lane // uint32(16)
                place = place_of_x(row, chunk)
                q = load_matrices(shared_address(xs, stage * uint32(x_size) + place))
                a[m, 0], a[m, 1], a[m, 2], a[m, 3] = q
            for n in range(pairs):
                chunk = left // uint32(8) + uint32(2 * n) + lane // uint32(16)
                place = place_of_w(uint32(k) + lane % uint32(16), uint32(chunk))
                q = load_matrices_transposed(shared_address(ws, stage * uint32(w_size) + place))
                c[2 * n, 0], c[2 * n, 1], c[2 * n + 1, 0], c[2 * n + 1, 1] = q
            for m in range(down):
                for n in range(across):
                    d = mma(
                        a[m, 0], a[m, 1], a[m, 2], a[m, 3], c[n, 0], c[n, 1],
                        sums[m, n, 0], sums[m, n, 1], sums[m, n, 2], sums[m, n, 3],
                    )  # fmt: skip
                    sums[m, n, 0], sums[m, n, 1], sums[m, n, 2], sums[m, n, 3] = d

    return multiply


def _write(output, epilogue, down, across, aligned):
    store, store2, end = output.store, output.store2, finish(epilogue, True)

    @device(fast=True)
    def pair(y, first, row, column, v0, v1, b, residual, M, N):
        at = uint32(first + row * N + column)
        if row < M and column < N:
            left = end(v0, b, residual, at, column)
            if aligned:
                store2(y, at, left, end(v1, b, residual, at + uint32(1), column + uint32(1)))
            else:
                store(y, at, left)
                if column + uint32(1) < N:
                    store(y, at + uint32(1), end(v1, b, residual, at + uint32(1), column + uint32(1)))

    @device(fast=True)
    def write(sums, b, residual, y, first, lane, top, left, M, N):
        # lane 4g + t has, of each 16×8 fragment, rows g and g + 8, columns 2t and 2t + 1; y starts at `first`
        for m in range(down):
            for n in range(across):
                row = uint32(top + uint32(16 * m) + lane // uint32(4))
                column = uint32(left + uint32(8 * n) + lane % uint32(4) * uint32(2))
                pair(y, first, row, column, sums[m, n, 0], sums[m, n, 1], b, residual, M, N)
                pair(y, first, row + uint32(8), column, sums[m, n, 2], sums[m, n, 3], b, residual, M, N)

    return write
