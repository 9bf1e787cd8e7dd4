"""v1 of attention on the GPU: the N×N matrix in memory, one thread per number of each result."""

from functools import cache

from ...gpu.compat import cuda, float32, uint32
from ...gpu.formats import FLOAT32
from ...gpu.launch import kernel

ROWS, COLUMNS = 8, 32  # of a block; the lanes of a warp are neighbouring columns


@cache
def scores_kernel(width, format):
    load, K, factor = format.load, uint32(width), float32(width**-0.5)

    @kernel(f"{format.signature}, {format.signature}, {FLOAT32.signature}, uint32", (COLUMNS, ROWS))
    def scores_v1(q, k, s, n):
        # q, k (heads,N,K) -> s (heads,N,N) = q kᵀ · factor
        head = uint32(cuda.blockIdx.x)
        i = uint32(cuda.blockIdx.y) * uint32(ROWS) + uint32(cuda.threadIdx.y)
        j = uint32(cuda.blockIdx.z) * uint32(COLUMNS) + uint32(cuda.threadIdx.x)
        if i < n and j < n:
            total, row, column = float32(0), uint32((head * n + i) * K), uint32((head * n + j) * K)
            for d in range(width):
                total += load(q, row + uint32(d)) * load(k, column + uint32(d))
            s[uint32((head * n + i) * n + j)] = total * factor

    return scores_v1


@cache
def mix_kernel(width, of_probs, format):
    load_prob, load, store, K = of_probs.load, format.load, format.store, uint32(width)

    @kernel(f"{of_probs.signature}, {format.signature}, {format.signature}, uint32, uint32", (COLUMNS, ROWS))
    def mix_v1(probs, v, z, n, heads):
        # probs (B·H,N,N), v (B·H,N,K) -> z (B,N,H,K)
        image, head = uint32(cuda.blockIdx.x) // heads, uint32(cuda.blockIdx.x) % heads
        i = uint32(cuda.blockIdx.y) * uint32(ROWS) + uint32(cuda.threadIdx.y)
        d = uint32(cuda.blockIdx.z) * uint32(COLUMNS) + uint32(cuda.threadIdx.x)
        if i < n and d < K:
            total, start = float32(0), uint32(uint32(cuda.blockIdx.x) * n)
            for j in range(n):
                weight = load_prob(probs, uint32((start + i) * n + uint32(j)))
                total += weight * load(v, uint32((start + uint32(j)) * K + d))
            store(z, uint32(((image * n + i) * heads + head) * K + d), total)

    return mix_v1
