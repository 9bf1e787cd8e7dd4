"""The encoder while it learns: a forward pass that saves what the backward pass needs, and that backward pass.

Of every block are saved its input, q k v, the heads' result, the stream in the middle and the hidden layer before GELU.
What is cheap is computed again: both LayerNorms, the probabilities, GELU.
"""

import numpy as np

from ...params import flatten, nest
from ..attention.cpu import attend_heads, parts_of
from ..attention.gradient import gradient_scratch, heads_gradient
from ..attention.heads import ROW_BY_ROW, scratch_size
from ..layernorm.cpu import GRADIENT_ROWS, layernorm_gradient
from ..linear.blocking import SUMS
from ..linear.finish import GELU_ERF, GELU_TANH, PLAIN, SLOPE_ERF, SLOPE_TANH
from ..linear.gradient import NORMALISED, STAGES, linear_gradient, pack_again, scratch_for
from ..linear.panels import panel_floats
from ..linear.product import product
from ..simd.arrays import aligned, round_up
from ..simd.dots import BFLOAT16, FLOAT32
from ..simd.kernel import learning_kernel
from ..simd.language import njit
from ..simd.memory import number_at
from ..simd.stages import counters, done, my_part, take, wait
from ..simd.target import WIDE, W
from ..simd.team import team
from .cpu import addresses, matrices

FORWARD_STAGES, BACKWARD_STAGES = 9, 4 * STAGES + 5
SAVED = 5
#: rows that a thread takes through all blocks together: their panels and sums stay in a second-level cache
GROUP_ROWS = 400
#: kinds of products of matrices that learn (linear/trained.py)
LEARNING = FLOAT32, BFLOAT16


@njit
def forward_group(
    work, stage, threads, first, images, n, d, heads, eps, blocks, table, saved, gelu, parts, a, h, mine
):  # fmt: skip
    # images first…first + images through all blocks; gives the stage after that.  saved: addresses of x, qkv, z, mid,
    # pre for every block, and of the result; x of the first block is the input
    rows, at = images * n, 4 * first * n
    for i in range(blocks):
        p, s = table + 128 * i, saved + 8 * SAVED * i
        w, m = number_at(p, 2), number_at(number_at(p, 8), 2)
        kind = number_at(w, 0)
        x, qkv, z = number_at(s, 0) + at * d, number_at(s, 1) + at * 3 * d, number_at(s, 2) + at * d
        mid, pre, y = number_at(s, 3) + at * d, number_at(s, 4) + at * m, number_at(s, 5) + at * d
        pack_again(work, stage, kind, x, rows, d, NORMALISED, number_at(p, 0), number_at(p, 1), eps, a, mine)
        product(work, stage + 1, threads, a, 0, rows, w, number_at(p, 3), PLAIN, qkv, False, 0, mine)
        attend_heads(
            work, stage + 2, FLOAT32, qkv, qkv + 4 * d, qkv + 8 * d, images, heads, n, n, d // heads,
            3 * d, d // heads, 3 * n * d, z, ROW_BY_ROW, d, n, 0, d // heads, parts, mine,
        )  # fmt: skip
        pack_again(work, stage + 3, kind, z, rows, d, PLAIN, 0, 0, eps, a, mine)
        product(work, stage + 4, threads, a, 0, rows, number_at(p, 4), number_at(p, 5), PLAIN, mid, False, x, mine)

        w = number_at(p, 8)
        pack_again(work, stage + 5, kind, mid, rows, d, NORMALISED, number_at(p, 6), number_at(p, 7), eps, a, mine)
        product(work, stage + 6, threads, a, 0, rows, w, number_at(p, 9), PLAIN, pre, False, 0, mine)
        pack_again(work, stage + 7, kind, pre, rows, m, gelu, 0, 0, eps, h, mine)
        product(work, stage + 8, threads, h, 0, rows, number_at(p, 10), number_at(p, 11), PLAIN, y, False, mid, mine)
        stage += FORWARD_STAGES
    return stage


@learning_kernel
def forward_kernel(
    work, threads, images, group, apart, n, d, heads, eps: float, blocks, table, saved, gelu, parts, a_size, room_size,
    room, scratch, size,
):  # fmt: skip
    # `group` images at a time; apart: as in cpu.py, every thread has a group of its own
    mine, own, stage, groups = my_part(work, scratch, size), work, 1, -(-images // group)
    if apart:
        me = (mine - scratch) // (4 * size)
        threads, own, room = 1, counters(work, 2 + apart * me), room + 4 * room_size * me
    i = take(work, 1) if apart else 0
    while i < groups:
        first = i * group
        stage = forward_group(
            own, stage, threads, first, min(group, images - first), n, d, heads, eps, blocks, table, saved, gelu, parts,
            room, room + 4 * a_size, mine,
        )  # fmt: skip
        i = done(work, 1) if apart else i + 1
    if apart:
        wait(work, 1, groups)


@learning_kernel
def backward_kernel(
    work, threads, g, images, n, d, m, heads, eps: float, blocks, table, saved, gradients, gelu, slope,
    wide, narrow, a, x_panels, dy_panels, sums, scratch, size,
):  # fmt: skip
    # g (images,n,d): the gradient of the result, in place that of the input; gradients: addresses, in the table's order
    mine, stage, rows = my_part(work, scratch, size), 1, images * n
    for i in range(blocks - 1, -1, -1):
        p, s, to = table + 128 * i, saved + 8 * SAVED * i, gradients + 96 * i
        x, qkv, z, mid, pre = number_at(s, 0), number_at(s, 1), number_at(s, 2), number_at(s, 3), number_at(s, 4)
        linear_gradient(
            work, stage, threads, pre, m, gelu, 0, 0, eps, g, d, rows, number_at(p, 15), slope, pre, wide,
            number_at(to, 10), number_at(to, 11), a, x_panels, dy_panels, mine,
        )  # fmt: skip
        linear_gradient(
            work, stage + STAGES, threads, mid, d, NORMALISED, number_at(p, 6), number_at(p, 7), eps, wide, m, rows,
            number_at(p, 14), PLAIN, 0, narrow, number_at(to, 8), number_at(to, 9), a, x_panels, dy_panels, mine,
        )  # fmt: skip
        stage += 2 * STAGES
        layernorm_gradient(
            work, stage, mid, narrow, rows, d, number_at(p, 6), eps, g, g, number_at(to, 6), number_at(to, 7), sums
        )
        linear_gradient(
            work, stage + 2, threads, z, d, PLAIN, 0, 0, eps, g, d, rows, number_at(p, 13), PLAIN, 0, narrow,
            number_at(to, 4), number_at(to, 5), a, x_panels, dy_panels, mine,
        )  # fmt: skip
        stage += 2 + STAGES
        heads_gradient(work, stage, qkv, narrow, images, heads, n, d, wide, mine)
        linear_gradient(
            work, stage + 1, threads, x, d, NORMALISED, number_at(p, 0), number_at(p, 1), eps, wide, 3 * d, rows,
            number_at(p, 12), PLAIN, 0, narrow, number_at(to, 2), number_at(to, 3), a, x_panels, dy_panels, mine,
        )  # fmt: skip
        stage += 1 + STAGES
        layernorm_gradient(
            work, stage, x, narrow, rows, d, number_at(p, 0), eps, g, g, number_at(to, 0), number_at(to, 1), sums
        )
        stage += 2


class Encoder:
    """All blocks of a model that learns.  Called, it does the forward pass; `backward` reads what that one saved.

    `saved` is what others need of it, by tensor name.  Arrays are used again at the next call.
    """

    def __init__(self):
        self._saved, self._shape, self._gradients, self.saved = [], None, None, {}

    def __call__(self, blocks, x, config):
        # x (B,N,D) -> (B,N,D)
        images, n, d = x.shape
        self._make_room(images, n, d, config.mlp, len(blocks))
        self._saved[0][:] = x.reshape(-1)
        crew = team()
        apart = images >= crew.threads > 1
        group = max(1, min(GROUP_ROWS // n, images // crew.threads)) if apart else images
        rows, lines = group * n, 1 + FORWARD_STAGES * len(blocks) * -(-images // group)
        sizes = [round_up(panel_floats(rows, width, LEARNING), 16) for width in (d, config.mlp)]
        crew.run(
            forward_kernel, crew.threads, images, group, lines if apart else 0, n, d, config.heads, config.eps,
            len(blocks), table_of(blocks), self._addresses, GELU_TANH if config.gelu == "tanh" else GELU_ERF,
            1 if apart else parts_of(images * config.heads, crew.threads), sizes[0], sum(sizes),
            stages=2 + lines * crew.threads if apart else lines, keep=(blocks, self._saved),
            spaces=(sum(sizes) * (crew.threads if apart else 1),),
            scratch=max(scratch_size(FLOAT32, n, d // config.heads), SUMS, d, config.mlp),
        )  # fmt: skip
        y = self._saved[-1].reshape(images, n, d)
        self.saved = {f"block{len(blocks) - 1}.resid_post": y}
        return y

    def backward(self, blocks, saved, dy, config):
        # dy (B,N,D) -> dx (B,N,D), and the gradients of the blocks' parameters
        images, n, d = dy.shape
        m, rows, erf = config.mlp, images * n, config.gelu == "erf"
        dx, widest, crew = np.array(dy, np.float32), max(3 * d, m), team()
        items, gradients = round_up(rows, 2 * W), self._room_for_gradients(blocks)
        crew.run(
            backward_kernel, crew.threads, dx, images, n, d, m, config.heads, config.eps, len(blocks),
            table_of(blocks), self._addresses, np.array([addresses(p) for p in gradients]),
            GELU_ERF if erf else GELU_TANH, SLOPE_ERF if erf else SLOPE_TANH,
            stages=1 + BACKWARD_STAGES * len(blocks), keep=(blocks, self._saved, gradients),
            spaces=(
                rows * widest, rows * d, panel_floats(rows, widest, LEARNING), panel_floats(max(d, m), rows, LEARNING),
                items * round_up(widest, WIDE), 2 * d * -(-rows // GRADIENT_ROWS),
            ),
            scratch=max(gradient_scratch(n, d // config.heads), SUMS, scratch_for(widest)),
        )  # fmt: skip
        return dx, gradients

    def _room_for_gradients(self, blocks):
        # matrices will be written over; what belongs to vectors is added up
        if self._gradients is None:
            self._gradients = {name: np.empty(x.shape, np.float32) for name, x in flatten({"blocks": blocks}).items()}
        for name, gradient in self._gradients.items():
            if not name.endswith(".w"):
                gradient[...] = 0
        return nest(self._gradients)["blocks"]

    def _make_room(self, images, n, d, m, blocks):
        # kept for the next call of the same shape: fresh pages cost as much as a product
        if self._shape != (images, n, d, m, blocks):
            rows = images * n
            sizes = [rows * width for width in (d, 3 * d, d, d, m)] * blocks + [rows * d]
            self._saved = [aligned(size) for size in sizes]
            self._addresses = np.array([array.ctypes.data for array in self._saved], np.int64)
            self._shape = images, n, d, m, blocks


def table_of(blocks):
    """`addresses` of every block, and those of the four transposed matrices."""
    return np.array([[*addresses(p), *(w.transposed.ctypes.data for w in matrices(p))] for p in blocks])
