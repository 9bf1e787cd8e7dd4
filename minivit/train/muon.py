"""Muon: momentum whose steps are orthogonal matrices, so that no direction of a matrix learns slower than another.

    m ← μ m + g      u = g + μ m = U S Vᵀ      θ ← θ − rate · (λ θ + 0.2 √max(inputs, outputs) · U Vᵀ)

Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon.  The factor makes the steps as large as those of
AdamW, so that both share a rate and a weight decay: arXiv:2502.16982, eq. 4.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from .optimiser import AdamW

#: of x ← a x + (b x xᵀ + c (x xᵀ)²) x, chosen so that singular values get near to one in five steps
A, B, C = 3.4445, -4.7750, 2.0315
STEPS = 5


@dataclass(frozen=True)
class Muon:
    """The optimiser for the matrices of the blocks (`Vector.block_matrices()`); AdamW is for all other numbers.

    matrices: (span, shape, parts) of each: the columns are that many matrices side by side (query, key, value), and
    each has its own step.  adamw: for the spans between them, of which weight decay acts on those in `adamw.decayed`.
    """

    matrices: tuple[tuple[slice, tuple[int, int], int], ...]
    adamw: AdamW
    momentum: float = 0.95

    def start(self, size, dtype):
        return {**self.adamw.start(size, dtype), "momentum": np.zeros(size, dtype)}

    def update(self, numbers, gradient, state, rate, step):
        # numbers, gradient (P,), changed in place: numbers and state
        def one(matrix):
            span, shape, parts = matrix
            m, g = state["momentum"][span], gradient[span]
            m *= self.momentum
            m += g
            numbers[span] *= 1 - rate * self.adamw.weight_decay
            numbers[span] -= rate * orthogonal_step(g + self.momentum * m, shape, parts)

        with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:  # small products: one per thread
            list(pool.map(one, self.matrices))
        for span in self._others(len(numbers)):
            part = {name: state[name][span] for name in ("mean", "square")}
            self._adamw(span).update(numbers[span], gradient[span], part, rate, step)

    def _others(self, size):
        # the spans of a vector of `size` numbers that no matrix of a block takes
        edges = [0, *(edge for span, _, _ in self.matrices for edge in (span.start, span.stop)), size]
        return [slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]

    def _adamw(self, between):
        # AdamW for a part of the vector: where its weight decay acts is counted from the start of that part
        decayed = [s for s in self.adamw.decayed if between.start <= s.start and s.stop <= between.stop]
        shifted = tuple(slice(s.start - between.start, s.stop - between.start) for s in decayed)
        return AdamW(self.adamw.betas, self.adamw.eps, self.adamw.weight_decay, shifted)


def orthogonal_step(u, shape, parts):
    # u (inputs·outputs,) -> (inputs·outputs,): 0.2 √max(shape) U Vᵀ of each of the matrices side by side
    step = np.empty(shape, u.dtype)
    for whole, part in zip(np.split(step, parts, 1), np.split(u.reshape(shape), parts, 1), strict=True):
        whole[:] = 0.2 * math.sqrt(max(part.shape)) * orthogonal(part)
    return step.ravel()


def orthogonal(u):
    """U Vᵀ of a matrix U S Vᵀ, nearly: singular values that are not tiny end between 0.7 and 1.2; zero stays zero."""
    # u (rows,columns) -> (rows,columns)
    wide = u if len(u) <= u.shape[1] else u.T
    x = wide / (np.linalg.norm(wide) + 1e-7)
    for _ in range(STEPS):
        square = x @ x.T
        x = A * x + (B * square + C * (square @ square)) @ x
    return x if wide is u else x.T
