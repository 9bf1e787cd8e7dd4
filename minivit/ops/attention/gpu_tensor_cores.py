"""v3 of attention on the GPU: FlashAttention-2's order of work (arXiv:2307.08691) on tensor cores, for halves.

A block takes 64 queries, or 128 where there is plenty of work: 16 or 32 per warp, which stay in registers as the left
side of products.  Keys and values come through shared memory in tiles: while one is used, the next is on its way
(cp.async).  What a warp gets back from q kᵀ is laid out over its lanes just as the left side of the next product wants
it, so the weights never leave the registers: they are rounded to halves, and multiply the values.
"""

from functools import cache

from ...gpu.compat import cuda, device, float32, uint16, uint32
from ...gpu.intrinsics import copy_commit, copy_wait0, shared_address
from ...gpu.launch import kernel
from .gpu_fragments import (
    ALL_LANES,
    LOWEST,
    THREADS,
    WARPS,
    fetching,
    hiding,
    scoring,
    sizes,
    softening,
    taking,
    weighing,
)
from .gpu_online import place

#: wider heads do not fit the registers of a warp: v2 takes them
WIDEST = 128


def can_attend(width, format):
    """Whether tensor cores can do it: halves, and heads that fit the registers."""
    return format.bytes == 2 and width <= WIDEST


def writing(width, format):
    """The function that writes a row of a result: two neighbouring numbers at a time where the width is even."""
    store, store2, K = format.store, format.store2, uint32(width)
    even, columns = width % 2 == 0, sizes(width)[0] // 8

    @device(fast=True)
    def write(z, at, inside, lane, m, half, total, result):
        # result / total -> z, from `at` on; four lanes share the row
        whole = total[m, half] + cuda.shfl_xor_sync(ALL_LANES, total[m, half], 1)
        inverse = float32(1) / (whole + cuda.shfl_xor_sync(ALL_LANES, whole, 2))
        for b in range(columns):
            column = uint32(uint32(8 * b) + lane % uint32(4) * uint32(2))
            left, right = result[m, b, 2 * half] * inverse, result[m, b, 2 * half + 1] * inverse
            if inside and column < K:
                if even:
                    store2(z, at + column, left, right)
                else:
                    store(z, at + column, left)
                    if column + uint32(1) < K:
                        store(z, at + column + uint32(1), right)

    return write


@cache
def attend_kernel(width, format, aligned=True, fragments=1):
    """aligned: rows start at multiples of 16 bytes.  fragments: of 16 queries, per warp."""
    padded, row, keys, _ = sizes(width)
    size, steps, columns, blocks = 4 * keys * row, padded // 16, padded // 8, keys // 8
    fetch, write, take = fetching(width, aligned), writing(width, format), taking(width, fragments)
    score, hide, soften = scoring(width, format, fragments), hiding(width, fragments), softening(width)
    weigh = weighing(width, format, fragments)
    K, ROW, KEYS, VALUES, STAGE = uint32(width), uint32(row), uint32(keys), uint32(keys * row), uint32(2 * keys * row)
    PER_WARP, QUERIES, lowest = uint32(16 * fragments), uint32(16 * fragments * WARPS), float32(LOWEST)

    @kernel(f"{', '.join([format.signature] * 4)}, {', '.join(['uint32'] * 8)}", THREADS, fast=True)
    def attend_v3(q, k, v, z, n, heads, q0, k0, v0, token, head, image):
        # q, k, v: token i of head h of image b at [q0 + b·image + h·head + i·token + 0 … K-1] -> z (B,N,H,K)
        tile = cuda.shared.array(size, uint16, alignment=16)
        own, p = cuda.local.array((fragments, steps, 4), uint32), cuda.local.array((fragments, 1, 4), uint32)
        s = cuda.local.array((fragments, blocks, 4), float32)
        result = cuda.local.array((fragments, columns, 4), float32)
        largest, total = cuda.local.array((fragments, 2), float32), cuda.local.array((fragments, 2), float32)
        block, h, b = place(n, heads, QUERIES)
        start, lane = uint32(b * image + h * head), uint32(cuda.threadIdx.x) % uint32(32)
        mine = uint32(uint32(cuda.threadIdx.x) // uint32(32) * PER_WARP)
        fetch(q, uint32(q0 + start), uint32(block * QUERIES), n, token, tile, STAGE, QUERIES)
        fetch(k, uint32(k0 + start), uint32(0), n, token, tile, uint32(0), KEYS)
        fetch(v, uint32(v0 + start), uint32(0), n, token, tile, VALUES, KEYS)
        copy_commit()
        for m in range(fragments):
            for half in range(2):
                largest[m, half], total[m, half] = lowest, float32(0)
                for c in range(columns):
                    result[m, c, 2 * half], result[m, c, 2 * half + 1] = float32(0), float32(0)
        # of which row of four 8×8 matrices this lane knows the address: one below the other first, or side by side
        below = lane % uint32(16) * ROW + lane // uint32(16) * uint32(8)
        beside = (lane % uint32(8) + lane // uint32(16) * uint32(8)) * ROW + lane // uint32(8) % uint32(2) * uint32(8)
        copy_wait0()
        cuda.syncthreads()
        take(own, shared_address(tile, STAGE + mine * ROW + below))
        cuda.syncthreads()  # all have their queries, whose place becomes the second stage
        first, stage = uint32(0), uint32(0)
        while first < n:
            after, other = uint32(first + KEYS), uint32(STAGE - stage)
            if after < n:
                fetch(k, uint32(k0 + start), after, n, token, tile, other, KEYS)
                fetch(v, uint32(v0 + start), after, n, token, tile, uint32(other + VALUES), KEYS)
            copy_commit()
            score(own, shared_address(tile, stage + beside), s)
            hide(s, first, n, lane)
            for m in range(fragments):
                soften(s, m, 0, largest, total, result)
                soften(s, m, 1, largest, total, result)
            weigh(s, p, shared_address(tile, stage + VALUES + below), result)
            copy_wait0()
            cuda.syncthreads()  # the next tile is there for all, and all are done with this one
            first, stage = after, other
        for m in range(fragments):
            for half in range(2):
                i = uint32(block * QUERIES + mine + uint32(16 * m + 8 * half) + lane // uint32(4))
                write(z, uint32(((b * n + i) * heads + h) * K), i < n, lane, m, half, total, result)

    return attend_v3
