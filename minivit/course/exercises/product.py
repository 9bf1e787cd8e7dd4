"""y = x wᵀ through shared memory: a kernel for the simulator of GPUs (gpu/sim.py)."""

import numpy as np

from ...gpu.sim_cuda import cuda


def product_kernel(x, w, y, M, K, N):
    # x (M·K,), w (N·K,) -> y (M·N,), float32: the rows of x (M,K), w (N,K) and y = x wᵀ (M,N), one behind the other
    xs, ws = cuda.shared.array((8, 8), np.float32), cuda.shared.array((8, 8), np.float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    top, left = cuda.blockIdx.y * 8, cuda.blockIdx.x * 8
    total = np.float32(0)
    for start in range(0, K, 8):
        xs[ty, tx] = x[(top + ty) * K + start + tx] if top + ty < M and start + tx < K else 0
        ws[ty, tx] = w[(left + ty) * K + start + tx] if left + ty < N and start + tx < K else 0
        cuda.syncthreads()  # the tiles are there
        for i in range(8):
            total += xs[ty, i] * ws[tx, i]
        cuda.syncthreads()  # nobody reads them any more
    if top + ty < M and left + tx < N:
        y[(top + ty) * N + left + tx] = total
