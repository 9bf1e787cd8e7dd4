"""The encoder on the CPU: all blocks in one kernel, so that its threads are started once per forward pass.

Rows go through a block in nine stages.  LayerNorm writes what it normalises straight into the packed panels of the
product that follows; bias, GELU and residual join the sums of a product before they leave the first-level cache.
"""

import numpy as np
from numba import njit

from ...errors import InputError
from ..attention.cpu import KIND, attend_heads, parts_of
from ..attention.heads import scratch_size
from ..layernorm.cpu import normalise_pack
from ..linear.product import GELU_ERF, GELU_TANH, MAX_TILES, PLAIN, TILE, chunks_of, group_of, pack, product, terms_of
from ..simd.arrays import address, round_up
from ..simd.dots import INT8
from ..simd.kernel import kernel
from ..simd.memory import number_at
from ..simd.target import TALL, W
from ..simd.team import my_part, team

MLP_STAGES = 4
STAGES = 5 + MLP_STAGES
#: where int8 may meet numbers that are not finite: flags 1…4 of block 0, 5…8 of block 1, …
PACKED = ("ln1.out", "attn.z", "ln2.out", "mlp.act")


@njit
def add_mlp(work, stage, threads, p, x, rows, d, eps, gelu, flag, a, scales, wide, h, mine):
    # x (rows,d) += MLP(LayerNorm(x)), the second half of a block; p: the addresses of its parameters.  Spaces: as below
    fc1, bias1, fc2, bias2 = number_at(p, 8), number_at(p, 9), number_at(p, 10), number_at(p, 11)
    kind, hidden = number_at(fc1, 0), number_at(fc1, 2)
    normalise_pack(work, stage, kind, x, rows, d, number_at(p, 6), number_at(p, 7), eps, a, scales, flag + 3, mine)
    if kind == INT8:  # a row's scale is known only when all of it is there
        product(work, stage + 1, threads, a, scales, rows, fc1, bias1, gelu, wide, False, 0, mine)
        pack(work, stage + 2, kind, wide, hidden, rows, hidden, h, scales, flag + 4)
    else:
        product(work, stage + 1, threads, a, scales, rows, fc1, bias1, gelu, h, True, 0, mine)
    product(work, stage + 3, threads, h, scales, rows, fc2, bias2, PLAIN, x, False, x, mine)


@kernel
def encoder_kernel(
    work, threads, x, images, group, n, d, heads, eps: float, blocks, table, gelu, attend_kind, parts, y,
    a, scales, wide, h, scratch, size,
):  # fmt: skip
    # x (images,n,d) -> y; table: the addresses of a block's parameters, one row per block.  Spaces: panels a and h of
    # what a product reads, and `wide` for q, k, v or the hidden layer, row by row
    mine, stage = my_part(work, scratch, size), 1
    for first in range(0, images, group):
        count = min(group, images - first)
        rows, x_in, out = count * n, x + 4 * first * n * d, y + 4 * first * n * d
        for i in range(blocks):
            p, flag = table + 96 * i, 4 * i
            qkv = number_at(p, 2)
            kind = number_at(qkv, 0)

            scale, bias = number_at(p, 0), number_at(p, 1)
            normalise_pack(work, stage, kind, x_in, rows, d, scale, bias, eps, a, scales, flag + 1, mine)
            product(work, stage + 1, threads, a, scales, rows, qkv, number_at(p, 3), PLAIN, wide, False, 0, mine)
            # float32: into panels; otherwise in place of the queries, because it needs converting
            direct = terms_of(kind) == 1
            z, tall, panel = (a, TALL, chunks_of(kind, d) * W * TALL) if direct else (wide, 1, 3 * d)
            attend_heads(
                work, stage + 2, attend_kind, wide, wide + 4 * d, wide + 8 * d, count, heads, n, d // heads,
                3 * d, d // heads, 3 * n * d, z, tall, panel, n, 0, d // heads, parts, mine,
            )  # fmt: skip
            if not direct:
                pack(work, stage + 3, kind, wide, 3 * d, rows, d, a, scales, flag + 2)
            w, bias = number_at(p, 4), number_at(p, 5)
            product(work, stage + 4, threads, a, scales, rows, w, bias, PLAIN, out, False, x_in, mine)

            add_mlp(work, stage + 5, threads, p, out, rows, d, eps, gelu, flag, a, scales, wide, h, mine)
            stage, x_in = stage + STAGES, out


def encoder(blocks, x, config):
    # x (B,N,D) -> (B,N,D)
    x = np.ascontiguousarray(x, np.float32)
    images, n, d = x.shape
    hidden, dtype = config.mlp, blocks[0]["attn"]["qkv"]["w"].dtype
    group = group_of(images, n, d)
    crew, rows, y = team(), group * n, np.empty_like(x)
    padded = round_up(rows, TALL)
    flag = crew.run(
        encoder_kernel, crew.threads, x, images, group, n, d, config.heads, config.eps, len(blocks),
        np.array([addresses(p) for p in blocks]), GELU_TANH if config.gelu == "tanh" else GELU_ERF,
        KIND[dtype], parts_of(group * config.heads, crew.threads), y,
        stages=1 + STAGES * len(blocks) * -(-images // group), keep=blocks,
        spaces=(padded * round_up(d, 4 * W), 2 * rows, rows * max(3 * d, hidden), padded * round_up(hidden, 4 * W)),
        scratch=max(scratch_size(n, d // config.heads), MAX_TILES * TILE, d),
    )  # fmt: skip
    if flag:
        name = f"block{(flag - 1) // 4}.{PACKED[(flag - 1) % 4]}"
        raise InputError(f"{name} has a NaN or an infinity, which int8 cannot hold")
    return y


def block(p, x, config):
    # x (B,N,D) -> (B,N,D)
    return encoder([p], x, config)


def addresses(p):
    ln1, attn, ln2, mlp = p["ln1"], p["attn"], p["ln2"], p["mlp"]
    qkv, out, fc1, fc2 = attn["qkv"], attn["out"], mlp["fc1"], mlp["fc2"]
    return [
        *map(address, (ln1["scale"], ln1["bias"], qkv["w"], qkv.get("b"), out["w"], out["b"])),
        *map(address, (ln2["scale"], ln2["bias"], fc1["w"], fc1["b"], fc2["w"], fc2["b"])),
    ]
