"""The encoder on the CPU: all blocks in one kernel, so that its threads are started once per forward pass.

Where there are as many images as threads, every thread takes its own through all blocks: nobody waits, and what one
stage writes, the next one finds in the cache of the same core.  Threads share the stages of an image only where there
are too few.

Rows go through a block in nine stages.  LayerNorm writes what it normalises straight into the packed panels of the
product that follows; bias, GELU and residual join the sums of a product before they leave the first-level cache.
"""

import numpy as np

from ...errors import InputError
from ..attention.cpu import KIND, attend_heads, parts_of
from ..attention.heads import scratch_size
from ..layernorm.cpu import normalise_pack
from ..linear.panels import chunks_of, pack, panel_floats, tall_of, terms_of
from ..linear.product import GELU_ERF, GELU_TANH, PLAIN, SUMS, group_of, product
from ..simd.amx import AMX
from ..simd.arrays import address, round_up
from ..simd.dots import BFLOAT16, INT8
from ..simd.kernel import kernel
from ..simd.language import njit
from ..simd.memory import number_at
from ..simd.target import W
from ..simd.team import counters, done, my_part, pass_flag, take, team, wait

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


@njit
def encode(
    work, stage, threads, x, images, n, d, heads, eps, blocks, table, gelu, attend_kind, parts, y,
    a, scales, wide, h, mine,
):  # fmt: skip
    # x (images,n,d) -> y, all images together through all blocks; gives the stage after that.  table: the addresses of
    # a block's parameters, one row per block.  Spaces: panels a and h of what a product reads, and `wide` for q, k, v
    # or the hidden layer, row by row
    rows = images * n
    for i in range(blocks):
        p, flag = table + 96 * i, 4 * i
        qkv = number_at(p, 2)
        kind = number_at(qkv, 0)

        normalise_pack(work, stage, kind, x, rows, d, number_at(p, 0), number_at(p, 1), eps, a, scales, flag + 1, mine)
        product(work, stage + 1, threads, a, scales, rows, qkv, number_at(p, 3), PLAIN, wide, False, 0, mine)
        # float32: into panels; otherwise in place of the queries, because it needs converting
        direct = terms_of(kind) == 1
        z, tall, panel = (a, tall_of(kind), chunks_of(kind, d) * W * tall_of(kind)) if direct else (wide, 1, 3 * d)
        attend_heads(
            work, stage + 2, attend_kind, wide, wide + 4 * d, wide + 8 * d, images, heads, n, d // heads,
            3 * d, d // heads, 3 * n * d, z, tall, panel, n, 0, d // heads, parts, mine,
        )  # fmt: skip
        if not direct:
            pack(work, stage + 3, kind, wide, 3 * d, rows, d, a, scales, flag + 2)
        product(work, stage + 4, threads, a, scales, rows, number_at(p, 4), number_at(p, 5), PLAIN, y, False, x, mine)

        add_mlp(work, stage + 5, threads, p, y, rows, d, eps, gelu, flag, a, scales, wide, h, mine)
        stage, x = stage + STAGES, y
    return stage


@kernel
def encoder_kernel(
    work, threads, x, images, group, apart, n, d, heads, eps: float, blocks, table, gelu, attend_kind, parts, y,
    a_size, scales_size, wide_size, room_size, room, scratch, size,
):  # fmt: skip
    # x (images,n,d) -> y, `group` images at a time.  `apart`: every thread has a group, counters and room of its own
    # (`apart` is the number of its counters); otherwise all threads share the tasks of one group
    mine, own, stage, groups = my_part(work, scratch, size), work, 1, -(-images // group)
    if apart:
        me = (mine - scratch) // (4 * size)
        threads, own, room = 1, counters(work, 2 + apart * me), room + 4 * room_size * me
    scales = room + 4 * a_size
    wide = scales + 4 * scales_size
    h = wide + 4 * wide_size
    i = take(work, 1) if apart else 0
    while i < groups:
        place, count = 4 * i * group * n * d, min(group, images - i * group)
        stage = encode(
            own, stage, threads, x + place, count, n, d, heads, eps, blocks, table, gelu, attend_kind, parts, y + place,
            room, scales, wide, h, mine,
        )  # fmt: skip
        if apart:
            pass_flag(own, work)
        i = done(work, 1) if apart else i + 1
    if apart:
        wait(work, 1, groups)


def encoder(blocks, x, config):
    # x (B,N,D) -> (B,N,D)
    x = np.ascontiguousarray(x, np.float32)
    y, threads = np.empty_like(x), team().threads
    apart = len(x) // threads * threads if threads > 1 else 0  # as many images for each thread; the others are shared
    if apart:
        run(blocks, x[:apart], config, y[:apart], apart=True)
    if apart < len(x):
        run(blocks, x[apart:], config, y[apart:], apart=False)
    return y


def run(blocks, x, config, y, apart):
    # x (B,N,D) -> y (B,N,D); apart: every thread takes images of its own through all blocks
    images, n, d = x.shape
    crew, attend_kind = team(), KIND[blocks[0]["attn"]["qkv"]["w"].dtype]
    group = group_of(images, n, d)
    if apart:  # few numbers, for a second-level cache; but tile registers would wait for weights that one image uses
        group = 2 if AMX and attend_kind == BFLOAT16 and images >= 2 * crew.threads else 1
    parts = 1 if apart else parts_of(group * config.heads, crew.threads)
    rows, lines = group * n, 1 + STAGES * len(blocks) * -(-images // group)
    sizes = panel_floats(rows, d), 2 * rows, rows * max(3 * d, config.mlp), panel_floats(rows, config.mlp)
    sizes = [round_up(size, 16) for size in sizes]
    flag = crew.run(
        encoder_kernel, crew.threads, x, images, group, lines if apart else 0, n, d, config.heads, config.eps,
        len(blocks), np.array([addresses(p) for p in blocks]), GELU_TANH if config.gelu == "tanh" else GELU_ERF,
        attend_kind, parts, y, *sizes[:3], sum(sizes),
        stages=2 + lines * crew.threads if apart else lines, keep=blocks,
        spaces=(sum(sizes) * (crew.threads if apart else 1),),
        scratch=max(scratch_size(attend_kind, n, d // config.heads), SUMS, d),
    )  # fmt: skip
    if flag:
        name = f"block{(flag - 1) // 4}.{PACKED[(flag - 1) % 4]}"
        raise InputError(f"{name} has a NaN or an infinity, which int8 cannot hold")


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
