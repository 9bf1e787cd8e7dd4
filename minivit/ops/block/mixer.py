"""The blocks of a Mixer on the CPU: all in one kernel, as the encoder in cpu.py, whose second half it shares.

The MLP across tokens is two products with the matrix on the left (linear/left.py), so no tensor is ever turned.
"""

import numpy as np

from ...errors import InputError
from ..linear.blocking import SUMS, group_of
from ..linear.finish import PLAIN, gelu_of
from ..linear.left import pack_normalised, product_left
from ..linear.panels import panel_floats
from ..simd.arrays import address, round_up
from ..simd.kernel import kernel_of
from ..simd.memory import number_at
from ..simd.stages import my_part
from ..simd.target import WIDE, W
from ..simd.team import team
from .encode import MLP_STAGES, PACKED, add_mlp

STAGES = 3 + MLP_STAGES


@kernel_of("mixer")
def mixer_kernel(
    work, threads, x, images, group, n, d, eps: float, blocks, table, gelu, y, b, hidden, a, scales, wide, h,
    scratch, size,
):  # fmt: skip
    # x (images,n,d) -> y; table: the addresses of a block's parameters, one row per block.  Spaces: panels b and hidden
    # of the products across tokens; panels a and h of those across channels, and `wide` for their hidden layer
    mine, stage = my_part(work, scratch, size), 1
    for first in range(0, images, group):
        count = min(group, images - first)
        x_in, out = x + 4 * first * n * d, y + 4 * first * n * d
        for i in range(blocks):
            p = table + 96 * i
            scale, bias, w1, b1 = number_at(p, 0), number_at(p, 1), number_at(p, 2), number_at(p, 3)
            w2, b2, kind = number_at(p, 4), number_at(p, 5), number_at(w1, 0)
            pack_normalised(work, stage, kind, x_in, count, n, d, scale, bias, eps, b, mine)
            product_left(work, stage + 1, threads, w1, count, d, b, b1, gelu, hidden, True, 0, mine)
            product_left(work, stage + 2, threads, w2, count, d, hidden, b2, PLAIN, out, False, x_in, mine)
            add_mlp(work, stage + 3, threads, p, out, count * n, d, eps, gelu, 4 * i, a, scales, wide, h, mine)
            stage, x_in = stage + STAGES, out


def mixer(dtype, blocks, x, config):
    # x (B,N,D) -> (B,N,D)
    x = np.ascontiguousarray(x, np.float32)
    images, n, d = x.shape
    group = group_of(images, n, d)
    crew, rows, y = team(), group * n, np.empty_like(x)
    columns = group * round_up(d, WIDE)
    flag = crew.run(
        mixer_kernel, crew.threads, x, images, group, n, d, config.eps, len(blocks),
        np.array([addresses(p) for p in blocks]), gelu_of(config.gelu, dtype), y,
        stages=1 + STAGES * len(blocks) * -(-images // group), keep=blocks,
        spaces=(
            columns * round_up(n, 2 * W), columns * round_up(config.token_mlp, 2 * W),
            panel_floats(rows, d), 2 * rows, rows * config.mlp, panel_floats(rows, config.mlp),
        ),
        scratch=max(SUMS, 2 * d),
    )  # fmt: skip
    if flag:
        name = f"block{(flag - 1) // 4}.{PACKED[(flag - 1) % 4]}"
        raise InputError(f"{name} has a NaN or an infinity, which int8 cannot hold")
    return y


def mixer_block(dtype, p, x, config):
    # x (B,N,D) -> (B,N,D)
    return mixer(dtype, [p], x, config)


def addresses(p):
    ln1, token_mlp, ln2, mlp = p["ln1"], p["token_mlp"], p["ln2"], p["mlp"]
    return [
        *map(address, (ln1["scale"], ln1["bias"])),
        *(address(part) for layer in token_mlp.values() for part in (layer["w"].left, layer["b"])),
        *map(address, (ln2["scale"], ln2["bias"])),
        *(address(layer[part]) for layer in mlp.values() for part in ("w", "b")),
    ]
