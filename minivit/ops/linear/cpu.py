"""Linear layer on the CPU.

v1  three loops, a sum at a time: the definition, compiled; strides through w                              1 GFLOP/s
v2  blocks of w that stay in the cache, a row of y as the inner loop, which LLVM vectorises               32 GFLOP/s
v3  packed panels, a tile of sums in vector registers (simd/tile.py, product.py), threads                375 GFLOP/s
v4  … in tile registers, where the CPU has them, each number in three parts (simd/amx.py, product_in_parts.py)

(197 × 768 × 3072 on two AVX-512 cores, whose multipliers could do 525; ref, NumPy's BLAS: 190.  v4:
benchmarks/NOTES.md.)
Backward: two products on the same tiles, see gradient.py.
"""

import numpy as np

from ...errors import InputError
from ..simd.arrays import round_up
from ..simd.kernel import kernel, learning_kernel
from ..simd.language import njit
from ..simd.memory import number_at
from ..simd.stages import my_part
from ..simd.target import WIDE, W
from ..simd.team import team
from .blocking import SUMS
from .finish import PLAIN
from .gradient import STAGES, linear_gradient, scratch_for
from .packed import PackedMatrix
from .panels import pack, panel_floats
from .product import product
from .trained import trained


@njit(nogil=True)
def loops_v1(x, w, b, y):
    # x (M,I), w (I,O), b (O,) -> y (M,O)
    for m in range(len(x)):
        for o in range(w.shape[1]):
            total = b[o]
            for i in range(len(w)):
                total += x[m, i] * w[i, o]
            y[m, o] = total


@njit(nogil=True)
def blocks_v2(x, w, b, y, block=64):
    # x (M,I), w (I,O), b (O,) -> y (M,O); a block of w is 64 × 512 numbers: 128 KB
    inputs, outputs = w.shape
    y[:] = b
    for i in range(0, inputs, block):
        for o in range(0, outputs, 8 * block):
            for m in range(len(x)):
                sums = y[m, o : o + 8 * block]
                for k in range(i, min(i + block, inputs)):
                    number, row = x[m, k], w[k, o : o + 8 * block]
                    for j in range(len(sums)):
                        sums[j] += number * row[j]


@kernel
def linear_kernel(work, threads, x, rows, w, bias, y, a, scales, scratch, size):
    c = my_part(work, scratch, size)
    k = number_at(w, 1)
    pack(work, 1, number_at(w, 0), x, k, rows, k, a, scales, 1)
    product(work, 2, threads, a, scales, rows, w, bias, PLAIN, y, False, 0, c)


def linear(x, w, b=None):
    # x (...,I), w (I,O) packed (ops.prepare) or not, b (O,) -> (...,O)
    x = np.ascontiguousarray(x, np.float32)
    w = w if isinstance(w, PackedMatrix) else PackedMatrix(np.asarray(w))
    if x.shape[-1] != w.inputs:
        raise InputError(f"linear: x has {x.shape[-1]} numbers per row, expected {w.inputs}, the rows of w")
    rows = x.size // w.inputs
    y = np.empty((*x.shape[:-1], w.outputs), np.float32)
    crew = team()
    flag = crew.run(
        linear_kernel, crew.threads, x, rows, w, None if b is None else np.ascontiguousarray(b, np.float32), y,
        spaces=(panel_floats(rows, w.inputs), 2 * rows), scratch=SUMS,
    )  # fmt: skip
    if flag:
        raise InputError("the input of a linear layer has a NaN or an infinity, which int8 cannot hold")
    return y


@learning_kernel
def linear_backward_kernel(
    work, threads, dy, x, rows, k, n, w_transposed, dx, dw, db, a, x_panels, dy_panels, scratch, size
):
    mine = my_part(work, scratch, size)
    linear_gradient(
        work, 1, threads, x, k, PLAIN, 0, 0, 0.0, dy, n, rows, w_transposed, PLAIN, 0, dx, dw, db,
        a, x_panels, dy_panels, mine,
    )  # fmt: skip


def linear_backward(dy, x, w):
    # dy (...,O), x (...,I), w (I,O) packed or not -> dx (...,I), dw (I,O), db (O,)
    w = trained(w)
    k, n = w.inputs, w.outputs
    dy, x = (np.ascontiguousarray(v, np.float32) for v in (dy, x))
    if x.shape[-1] != k or dy.shape != (*x.shape[:-1], n):
        raise InputError(f"linear_backward: dy {dy.shape} and x {x.shape} do not fit a matrix of {k} × {n}")
    rows, crew = x.size // k, team()
    dx, dw, db = np.empty_like(x), np.empty((k, n), np.float32), np.zeros(n, np.float32)
    items = round_up(rows, 2 * W)
    crew.run(
        linear_backward_kernel, crew.threads, dy, x, rows, k, n, w.transposed, dx, dw, db,
        stages=1 + STAGES, keep=w,
        spaces=(
            panel_floats(rows, n), panel_floats(k, rows), items * round_up(n, WIDE),
        ),
        scratch=max(SUMS, scratch_for(k), n),
    )  # fmt: skip
    return dx, dw, db


def rung(loops):
    def linear(x, w, b=None):
        # x (...,I), w (I,O) not packed, b (O,) -> (...,O)
        x, w = np.ascontiguousarray(x, np.float32), np.ascontiguousarray(w, np.float32)
        y = np.empty((*x.shape[:-1], w.shape[1]), np.float32)
        loops(x.reshape(-1, len(w)), w, np.zeros(w.shape[1], np.float32) if b is None else b, y.reshape(-1, w.shape[1]))
        return y

    return linear


def linear_v3(x, w, b=None):
    # x (...,I), w (I,O) not packed, b (O,) -> (...,O)
    return linear(x, PackedMatrix(np.asarray(w), in_parts=False), b)


LADDER = {"v1": rung(loops_v1), "v2": rung(blocks_v2), "v3": linear_v3, "v4": linear}
