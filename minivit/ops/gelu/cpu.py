"""GELU on the CPU.

v1  one loop with the C library's tanh or erf, in float64                                             0.06 × ref
v2  vector registers and polynomials (simd/pieces.py), shared between threads                      5 × ref
v3  while the sums of the product before it are in the first-level cache (ops/linear/finish.py): no pass of its own; in
    models of bfloat16 with shorter polynomials
"""

import math

import numpy as np

from ..linear.finish import activate, gelu_of
from ..simd.functions import gelu_erf_slope, gelu_tanh_slope
from ..simd.kernel import kernel, learning_kernel
from ..simd.language import njit
from ..simd.memory import load_part, store_part
from ..simd.stages import done, take, wait
from ..simd.target import W
from ..simd.team import team

CHUNK = 256 * W  # numbers of one task


@njit(nogil=True)
def loops_v1(x, erf, y):
    # x (n,) -> y (n,)
    for i in range(len(x)):
        v = np.float64(x[i])
        gate = math.erf(v / math.sqrt(2)) if erf else math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))
        y[i] = 0.5 * v * (1 + gate)


@kernel
def gelu_kernel(work, x, n, activation, y):
    tasks = -(-n // CHUNK)
    t = take(work, 0)
    while t < tasks:
        for i in range(t * CHUNK, min(n, (t + 1) * CHUNK), W):
            v = load_part(x, i, n - i)
            store_part(y, i, activate(v, activation), n - i)
        t = done(work, 0)
    wait(work, 0, tasks)


def function(dtype):
    """gelu for a model of that dtype."""

    def gelu(x, kind):
        # x (...) -> (...); kind "tanh" | "erf"
        x = np.ascontiguousarray(x, np.float32)
        y = np.empty_like(x)
        team().run(gelu_kernel, x, x.size, gelu_of(kind, dtype), y)
        return y

    return gelu


gelu = function("float32")


@learning_kernel
def gelu_backward_kernel(work, dy, x, n, erf, dx):
    tasks = -(-n // CHUNK)
    t = take(work, 0)
    while t < tasks:
        for i in range(t * CHUNK, min(n, (t + 1) * CHUNK), W):
            v = load_part(x, i, n - i)
            slope = gelu_erf_slope(v) if erf else gelu_tanh_slope(v)
            store_part(dx, i, load_part(dy, i, n - i) * slope, n - i)
        t = done(work, 0)
    wait(work, 0, tasks)


def gelu_backward(dy, x, kind):
    # dy (...), x (...) -> dx (...)
    dy, x = (np.ascontiguousarray(v, np.float32) for v in (dy, x))
    dx = np.empty_like(x)
    team().run(gelu_backward_kernel, dy, x, x.size, {"tanh": 0, "erf": 1}[kind], dx)
    return dx


def gelu_v1(x, kind):
    # x (...) -> (...); kind "tanh" | "erf"
    y = np.empty(x.shape, np.float32)
    loops_v1(np.ascontiguousarray(x, np.float32).ravel(), kind == "erf", y.ravel())
    return y


LADDER = {"v1": gelu_v1, "v2": gelu}
