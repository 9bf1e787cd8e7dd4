"""The encoder on the CPU: all blocks in one kernel, so that its threads are started once per forward pass.

Where there are as many images as threads, every thread takes its own through all blocks: nobody waits, and what one
stage writes, the next one finds in the cache of the same core.  A single image is cut into slices of rows, one per
thread, that wait for each other only where its queries meet all its keys.  Each thread then reads all weights; where
those are many, the threads share every stage of the image instead.

Rows go through a block in nine stages.  LayerNorm writes what it normalises straight into the packed panels of the
product that follows; bias, GELU and residual join the sums of a product before they leave the first-level cache.
"""

from ..attention.cpu import attend_heads
from ..attention.heads import ROW_BY_ROW
from ..layernorm.cpu import normalise_pack
from ..linear.finish import PLAIN
from ..linear.panels import PACKED_TALL, pack, panel_size, terms_of
from ..linear.product import product
from ..simd.dots import INT8
from ..simd.kernel import kernel
from ..simd.language import njit
from ..simd.memory import number_at
from ..simd.stages import counters, done, done_near, my_part, pass_flag, take, take_near, wait
from ..simd.target import W

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
def project(work, stage, threads, p, x, rows, d, eps, flag, qkv, a, scales, mine):
    # x (rows,d) -> qkv (rows,3·d) of LayerNorm(x), the first two stages of a block
    w, scale, bias = number_at(p, 2), number_at(p, 0), number_at(p, 1)
    normalise_pack(work, stage, number_at(w, 0), x, rows, d, scale, bias, eps, a, scales, flag + 1, mine)
    product(work, stage + 1, threads, a, scales, rows, w, number_at(p, 3), PLAIN, qkv, False, 0, mine)


@njit
def complete(
    work, stage, threads, p, x, images, first, queries, n, d, heads, eps, gelu, flag, attend_kind, parts, qkv, y,
    a, scales, wide, h, mine,
):  # fmt: skip
    # the rest of a block, for `queries` rows of each image from row `first` on: x (images·queries,d), qkv
    # (images·n,3·d) -> y (images·queries,d)
    rows, q = images * queries, qkv + 12 * first * d
    kind, width = number_at(number_at(p, 4), 0), d // heads
    # into panels; otherwise in place of the queries, because a row is needed whole (int8), or vectors would be cut
    direct = kind != INT8 and width % W == 0 and d % (W * terms_of(kind)) == 0
    z, z_kind, step = (a, kind, panel_size(kind, d)) if direct else (q, ROW_BY_ROW, 3 * d)
    attend_heads(
        work, stage, attend_kind, q, qkv + 4 * d, qkv + 8 * d, images, heads, queries, n, width,
        3 * d, width, 3 * n * d, z, z_kind, step, n, 0, width, parts, mine,
    )  # fmt: skip
    if not direct:
        pack(work, stage + 1, kind, q, 3 * d, rows, d, a, scales, flag + 2)
    product(work, stage + 2, threads, a, scales, rows, number_at(p, 4), number_at(p, 5), PLAIN, y, False, x, mine)
    add_mlp(work, stage + 3, threads, p, y, rows, d, eps, gelu, flag, a, scales, wide, h, mine)


@njit
def encode(
    work, stage, threads, x, images, n, d, heads, eps, blocks, table, gelu, attend_kind, parts, y,
    a, scales, wide, h, mine,
):  # fmt: skip
    # x (images,n,d) -> y, all images together through all blocks; gives the stage after that.  table: the addresses of
    # a block's parameters, one row per block.  Spaces: panels a and h of what a product reads, and `wide` for q, k, v
    # or (int8) the hidden layer, row by row; without int8 h may be in the same place
    for i in range(blocks):
        p = table + 96 * i
        project(work, stage, threads, p, x, images * n, d, eps, 4 * i, wide, a, scales, mine)
        complete(
            work, stage + 2, threads, p, x, images, 0, n, n, d, heads, eps, gelu, 4 * i, attend_kind, parts, wide, y,
            a, scales, wide, h, mine,
        )  # fmt: skip
        stage, x = stage + STAGES, y
    return stage


@njit
def encode_slices(
    work, stage, slices, x, n, d, heads, eps, blocks, table, gelu, attend_kind, y,
    own, own_lines, own_stage, qkv, room, room_size, a_size, scales_size, wide_size, mine,
):  # fmt: skip
    # x (n,d) -> y, every thread a slice of the rows: they wait for each other where queries meet all keys, twice per
    # block.  Slices have counters and room of their own, whoever works on them
    tiles = -(-n // PACKED_TALL)
    for i in range(blocks):
        p = table + 96 * i
        for second in range(2):
            s = take_near(work, stage, slices, slices, mine)
            while s < slices:
                first = tiles * s // slices * PACKED_TALL
                rows = min(tiles * (s + 1) // slices * PACKED_TALL, n) - first
                lines, a = counters(own, own_lines * s), room + 4 * room_size * s
                scales = a + 4 * a_size
                wide = scales + 4 * scales_size
                x_s, y_s, inner = x + 4 * first * d, y + 4 * first * d, own_stage + STAGES * i
                if second:
                    complete(
                        lines, inner + 2, 1, p, x_s, 1, first, rows, n, d, heads, eps, gelu, 4 * i, attend_kind, 1,
                        qkv, y_s, a, scales, wide, wide + 4 * wide_size, mine,
                    )  # fmt: skip
                else:
                    project(lines, inner, 1, p, x_s, rows, d, eps, 4 * i, qkv + 12 * first * d, a, scales, mine)
                pass_flag(lines, work)
                s = done_near(work, stage, slices, slices, mine)
            wait(work, stage, slices)
            stage += 1
        x = y
    return stage


@kernel
def encoder_kernel(
    work, threads, x, images, group, apart, slices, n, d, heads, eps: float, blocks, table, gelu, attend_kind, parts, y,
    qkv_size, a_size, scales_size, wide_size, room_size, room, scratch, size,
):  # fmt: skip
    # x (images,n,d) -> y, `group` images at a time.  `apart`: every thread has a group, counters and room of its own
    # (`apart` is the number of its counters), or a slice of one image's rows if `slices` says so; otherwise all threads
    # share the tasks of one group
    mine, own, stage, groups = my_part(work, scratch, size), work, 1, -(-images // group)
    qkv, room = room, room + 4 * qkv_size
    if slices:
        own = counters(work, 1 + 2 * blocks * images)
        for i in range(images):
            place = 4 * i * n * d
            stage = encode_slices(
                work, stage, slices, x + place, n, d, heads, eps, blocks, table, gelu, attend_kind, y + place,
                own, apart, 1 + STAGES * blocks * i, qkv, room, room_size, a_size, scales_size, wide_size, mine,
            )  # fmt: skip
        return
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
