"""Right answers to A8 that are written differently from the library's."""

import numpy as np
from other_answers import answers

from minivit.gpu.sim_cuda import cuda


@answers("A8.1")
def product_with_padded_tiles_and_plain_integers(x, w, y, M, K, N):
    a, b = cuda.shared.array((8, 9), np.float32), cuda.shared.array((8, 9), np.float32)
    i, j = int(cuda.threadIdx.y), int(cuda.threadIdx.x)
    row, column = 8 * int(cuda.blockIdx.y) + i, 8 * int(cuda.blockIdx.x) + j
    brought = 8 * int(cuda.blockIdx.x) + i  # the row of w that this thread brings
    total, k = np.float32(0), 0
    while k < K:
        a[i, j] = b[i, j] = 0
        if k + j < K:
            if row < M:
                a[i, j] = x[row * int(K) + k + j]
            if brought < N:
                b[i, j] = w[brought * int(K) + k + j]
        cuda.syncthreads()
        for n in range(min(8, int(K) - k)):
            total += a[i, n] * b[j, n]
        cuda.syncthreads()
        k += 8
    if row < M and column < N:
        y[row * int(N) + column] = total


@answers("A8.1")
def product_with_two_tiles_in_turn(x, w, y, M, K, N):
    tiles = cuda.shared.array((2, 2, 8, 8), np.float32)  # (turn, x or w, row or column, term)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    row, column, total, turn = cuda.blockIdx.y * 8 + ty, cuda.blockIdx.x * 8 + tx, np.float32(0), 0
    for start in range(0, K, 8):
        term, other = start + tx, cuda.blockIdx.x * 8 + ty
        tiles[turn, 0, ty, tx] = x[row * K + term] if row < M and term < K else 0
        tiles[turn, 1, ty, tx] = w[other * K + term] if other < N and term < K else 0
        cuda.syncthreads()  # one is enough: the other pair of tiles is written next
        total += (tiles[turn, 0, ty] * tiles[turn, 1, tx]).sum()
        turn = 1 - turn
    if row < M and column < N:
        y[row * N + column] = total


@answers("A8.2")
def online_attention_row_by_row(q, k, v, tile):
    z, sums = np.empty_like(v), np.empty(q.shape[:-1], q.dtype)
    for place in np.ndindex(q.shape[:-1]):
        keys, values, query = k[place[:2]], v[place[:2]], q[place]
        m, total, mean = -np.inf, 0.0, np.zeros(v.shape[-1], v.dtype)
        for start in range(0, len(keys), tile):
            s = keys[start : start + tile] @ query / q.shape[-1] ** 0.5
            new = max(m, s.max())
            weights = np.exp(s - new)
            factor = np.exp(m - new)
            total = total * factor + weights.sum()
            mean = mean * factor + weights @ values[start : start + tile]
            m = new
        z[place], sums[place] = mean / total, m + np.log(total)
    return z, sums


@answers("A8.2")
def online_attention_by_merging_finished_tiles(q, k, v, tile):
    z = sums = None
    for start in range(0, k.shape[2], tile):
        s = np.einsum("bhik,bhjk->bhij", q, k[:, :, start : start + tile]) / q.shape[-1] ** 0.5
        m = s.max(-1, keepdims=True)
        e = np.exp(s - m)
        part, new = e @ v[:, :, start : start + tile] / e.sum(-1, keepdims=True), m + np.log(e.sum(-1, keepdims=True))
        if z is None:
            z, sums = part, new
        else:
            both = np.logaddexp(sums, new)
            z, sums = z * np.exp(sums - both) + part * np.exp(new - both), both
    return [z, sums[..., 0]]
