"""Softmax on the CPU.

v1  three loops per row with the C library's exp                                                      0.3 × ref
v2  vector registers and a polynomial exp (simd/functions.py), rows shared between threads            4 × ref
v3  on the scores of a few queries while they are in the cache, inside attention (ops/attention/heads.py)
"""

import numpy as np

from ..simd.functions import exp
from ..simd.kernel import kernel
from ..simd.lanes import filled, first_lanes, larger, largest_of, sum_of
from ..simd.language import njit
from ..simd.memory import load, load_part, store, store_part
from ..simd.stages import done, take, wait
from ..simd.target import W
from ..simd.team import team

ROWS = 8  # rows of one task


@njit(nogil=True)
def loops_v1(x, y):
    # x (M,N) -> y (M,N)
    for m in range(len(x)):
        top, total = x[m].max(), np.float32(0)
        for j in range(x.shape[1]):
            y[m, j] = np.exp(x[m, j] - top)
            total += y[m, j]
        for j in range(x.shape[1]):
            y[m, j] /= total


@njit
def exponentials(x, y, n, step):
    # row x (n) -> y (n) = exp(x − max), W numbers every `step` numbers; gives 1/Σ y.  x may be y
    whole, rest = n // W, n % W
    most = filled(-np.inf)
    for c in range(whole):
        most = larger(load(x, c * step), most)
    if rest:
        most = larger(first_lanes(load_part(x, whole * step, rest), rest, -np.inf), most)
    top, total = largest_of(most), filled(0.0)
    for c in range(whole):
        e = exp(load(x, c * step) - top)
        store(y, c * step, e)
        total = total + e
    if rest:
        e = first_lanes(exp(load_part(x, whole * step, rest) - top), rest, 0.0)
        store_part(y, whole * step, e, rest)
        total = total + e
    return np.float32(1) / sum_of(total)


@kernel
def softmax_kernel(work, x, rows, n, y):
    tasks = -(-rows // ROWS)
    i = take(work, 0)
    while i < tasks:
        for r in range(i * ROWS, min(rows, (i + 1) * ROWS)):
            out = y + 4 * r * n
            inverse = exponentials(x + 4 * r * n, out, n, W)
            for j in range(0, n, W):
                store_part(out, j, load_part(out, j, n - j) * inverse, n - j)
        i = done(work, 0)
    wait(work, 0, tasks)


def softmax(x):
    # x (...,N) -> (...,N)
    x = np.ascontiguousarray(x, np.float32)
    y = np.empty_like(x)
    team().run(softmax_kernel, x, x.size // x.shape[-1], x.shape[-1], y)
    return y


def softmax_v1(x):
    # x (...,N) -> (...,N)
    y = np.empty(x.shape, np.float32)
    loops_v1(np.ascontiguousarray(x, np.float32).reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1]))
    return y


LADDER = {"v1": softmax_v1, "v2": softmax}
