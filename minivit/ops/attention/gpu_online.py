"""v2 of attention on the GPU: online softmax (Milakov, Gimelshein, arXiv:1805.02867; FlashAttention, arXiv:2205.14135).

softmax needs the maximum of a row before its first exponential.  Online, the largest score so far stands in for it:
when a larger one turns up, everything added up until then shrinks by exp(old − new).  So one walk over the keys is
enough, and no score is ever stored.
"""

from functools import cache

from ...gpu.compat import cuda, device, float32, math, uint32
from ...gpu.launch import kernel
from ..softmax.gpu import LOWEST

ALL_LANES = 0xFFFFFFFF
THREADS = 64
IN_REGISTERS = 80  # numbers of a query, and as many of its result, that one thread keeps
KEYS = 32  # keys and values in shared memory at a time
SHARED_NUMBERS = 6000  # of each, at most: 48 kB in all


@device
def place(n, heads, queries):
    # -> the tile of `queries` queries, the head and the image that this block works on
    tiles = uint32((n + queries - uint32(1)) // queries)
    rest = uint32(cuda.blockIdx.x) // tiles
    return uint32(cuda.blockIdx.x) % tiles, rest % heads, rest // heads


def queries_of(width, threads=THREADS):
    """How many queries a block works on."""
    return threads // lanes_of(width)


def lanes_of(width):
    """How many neighbouring lanes share a query: each has every first, second, fourth, … number of it."""
    lanes = 1
    while width > IN_REGISTERS * lanes:
        lanes *= 2
    return lanes


def _fetching(width, format, size, padded, threads):
    load, K, PADDED, ITEMS, STEP = format.load, uint32(width), uint32(padded), uint32(size), uint32(threads)

    @device
    def fetch(x, start, first, n, token, tile):
        # keys or values `first`, `first` + 1, … -> shared memory; zero where there is none
        item = uint32(cuda.threadIdx.x)
        while item < ITEMS:
            column, j = uint32(item % PADDED), uint32(first + item // PADDED)
            tile[item] = load(x, uint32(start + j * token + column)) if column < K and j < n else float32(0)
            item = uint32(item + STEP)

    return fetch


def _multiplying(own, lanes):
    LANES = uint32(lanes)

    @device
    def multiply(query, tile, at):
        # -> query · key, added up by the lanes that share the query
        score, other, distance = float32(0), float32(0), 1
        for d in range(0, own - 1, 2):  # two sums side by side, because each addition waits for the one before
            score += query[d] * tile[at + uint32(d) * LANES]
            other += query[d + 1] * tile[at + uint32(d + 1) * LANES]
        if own % 2:
            score += query[own - 1] * tile[at + uint32(own - 1) * LANES]
        score += other
        while distance < lanes:
            score += cuda.shfl_xor_sync(ALL_LANES, score, distance)
            distance *= 2
        return score

    return multiply


def _adding(own, lanes, fast):
    LANES = uint32(lanes)

    @device(fast=fast)
    def add(score, largest, total, result, tile, at):
        # one more value joins the weighted sum -> the largest score and the total weight so far
        if score > largest:
            shrink = math.exp(largest - score)
            largest, total = score, total * shrink
            for d in range(own):
                result[d] *= shrink
        weight = math.exp(score - largest)
        for d in range(own):
            result[d] += weight * tile[at + uint32(d) * LANES]
        return largest, total + weight

    return add


@cache
def attend_kernel(width, format, threads=THREADS, keys=KEYS):
    """keys: how many are in shared memory at a time, if they are not too wide."""
    load, store, lowest, factor, lanes = (
        format.load,
        format.store,
        float32(LOWEST),
        float32(width**-0.5),
        lanes_of(width),
    )
    own = -(-width // lanes)
    tile = max(1, min(keys, SHARED_NUMBERS // (own * lanes)))
    size, K, LANES, PADDED, TILE = tile * own * lanes, uint32(width), uint32(lanes), uint32(own * lanes), uint32(tile)
    fetch, QUERIES = _fetching(width, format, size, own * lanes, threads), uint32(threads // lanes)
    multiply, add = _multiplying(own, lanes), _adding(own, lanes, format.fast)

    @kernel(f"{', '.join([format.signature] * 4)}, {', '.join(['uint32'] * 8)}", threads, format.fast)
    def attend_v2(q, k, v, z, n, heads, q0, k0, v0, token, head, image):
        # q, k, v: token i of head h of image b at [q0 + b·image + h·head + i·token + 0 … K-1] -> z (B,N,H,K)
        tile_k, tile_v = cuda.shared.array(size, float32), cuda.shared.array(size, float32)
        query, result = cuda.local.array(own, float32), cuda.local.array(own, float32)
        block, h, b = place(n, heads, QUERIES)
        part = uint32(cuda.threadIdx.x) % LANES
        i = uint32(block * QUERIES + uint32(cuda.threadIdx.x) // LANES)
        start = uint32(b * image + h * head)
        row = uint32(q0 + start + min(i, uint32(n - uint32(1))) * token)  # threads without a query repeat the last one
        for d in range(own):
            column = uint32(uint32(d) * LANES + part)
            query[d] = load(q, row + column) * factor if column < K else float32(0)
            result[d] = float32(0)
        largest, total, first = lowest, float32(0), uint32(0)
        while first < n:
            fetch(k, uint32(k0 + start), first, n, token, tile_k)
            fetch(v, uint32(v0 + start), first, n, token, tile_v)
            cuda.syncthreads()  # all have written the tile
            for j in range(min(TILE, uint32(n - first))):
                at = uint32(uint32(j) * PADDED + part)
                largest, total = add(multiply(query, tile_k, at), largest, total, result, tile_v, at)
            cuda.syncthreads()  # all have read it
            first = uint32(first + TILE)
        if i < n:
            at, inverse = uint32(((b * n + i) * heads + h) * K), float32(1) / total
            for d in range(own):
                column = uint32(uint32(d) * LANES + part)
                if column < K:
                    store(z, at + column, result[d] * inverse)

    return attend_v2
