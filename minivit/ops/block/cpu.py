"""The encoder on the CPU, from outside: how images, rows and memory are shared out; the kernel is in encode.py."""

import numpy as np

from ...errors import InputError
from ..attention.cpu import KIND, parts_of
from ..attention.heads import scratch_size
from ..linear.blocking import SUMS, group_of
from ..linear.finish import gelu_of
from ..linear.panels import PACKED_TALL, panel_floats
from ..simd.arrays import address, round_up
from ..simd.dots import INT8
from ..simd.stages import SHARES
from ..simd.team import team
from .encode import PACKED, STAGES, encoder_kernel


def encoder(dtype, blocks, x, config):
    # x (B,N,D) -> (B,N,D); dtype: of the model, whatever that of a block may be (packed.kept_as)
    x = np.ascontiguousarray(x, np.float32)
    y, (images, n, d), threads = np.empty_like(x), x.shape, team().threads
    apart = images // threads * threads if threads > 1 else 0  # as many images for each thread
    if apart:  # one at a time: few numbers, for a second-level cache
        run(dtype, blocks, x[:apart], config, y[:apart], 1, threads, 0)
    if apart < images:  # the others are shared
        slices = slices_of(n, sum(w.nbytes for w in matrices(blocks[-1])), threads)
        group = 1 if slices else group_of(images - apart, n, d)
        run(dtype, blocks, x[apart:], config, y[apart:], group, slices, slices)
    return y


def slices_of(n, weights, threads):
    """Slices of an image's rows, one per thread; 0 if they are small, or a block's weights many (in bytes).

    Each slice reads all weights.
    """
    return threads if 1 < threads <= SHARES and n >= 64 * threads and weights <= 8_000_000 else 0


def run(dtype, blocks, x, config, y, group, apart, slices):
    # x (B,N,D) -> y (B,N,D), `group` images at a time; apart: threads, or slices, with counters and room of their own
    images, n, d = x.shape
    crew, kinds = team(), {w.kind for p in blocks for w in matrices(p)}
    rows = round_up(-(-n // slices), PACKED_TALL) if slices else group * n
    wide, hidden = 0 if slices else 3 * d * rows, panel_floats(rows, config.mlp, kinds)
    if INT8 in kinds:
        wide = max(wide, config.mlp * rows)
    else:  # in the same place: q, k, v are done with when the hidden layer comes, and their lines are in the cache
        wide, hidden = 0, max(wide, hidden)
    sizes = [round_up(size, 16) for size in (panel_floats(rows, d, kinds), 2 * rows, wide, hidden)]
    qkv = round_up(3 * n * d, 16) if slices else 0
    lines = 1 + STAGES * len(blocks) * -(-images // group)
    flag = crew.run(
        encoder_kernel, crew.threads, x, images, group, lines if apart else 0, slices, n, d, config.heads, config.eps,
        len(blocks), np.array([addresses(p) for p in blocks]), gelu_of(config.gelu, dtype),
        KIND[dtype], 1 if apart else parts_of(group * config.heads, crew.threads), y, qkv, *sizes[:3], sum(sizes),
        stages=2 + 2 * len(blocks) * images + lines * max(apart, 1), keep=blocks,
        spaces=(qkv + sum(sizes) * max(apart, 1),),
        scratch=max(scratch_size(KIND[dtype], n, d // config.heads), SUMS, d),
    )  # fmt: skip
    if flag:
        name = f"block{(flag - 1) // 4}.{PACKED[(flag - 1) % 4]}"
        raise InputError(f"{name} has a NaN or an infinity, which int8 cannot hold")


def block(dtype, p, x, config):
    # x (B,N,D) -> (B,N,D)
    return encoder(dtype, [p], x, config)


def matrices(p):
    """The four weight matrices of a block."""
    return p["attn"]["qkv"]["w"], p["attn"]["out"]["w"], p["mlp"]["fc1"]["w"], p["mlp"]["fc2"]["w"]


def addresses(p):
    ln1, attn, ln2, mlp = p["ln1"], p["attn"], p["ln2"], p["mlp"]
    qkv, out, fc1, fc2 = attn["qkv"], attn["out"], mlp["fc1"], mlp["fc2"]
    return [
        *map(address, (ln1["scale"], ln1["bias"], qkv["w"], qkv.get("b"), out["w"], out["b"])),
        *map(address, (ln2["scale"], ln2["bias"], fc1["w"], fc1["b"], fc2["w"], fc2["b"])),
    ]
