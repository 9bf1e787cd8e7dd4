"""Draw how far each op, and each rung of its ladder, is from what this machine can do.

    python benchmarks/roofline.py --threads 2 -o benchmarks/roofline.png

The roof is measured: multiply-adds that never leave the registers, and a copy that never fits the cache.  A dot is one
op at the sizes of ViT-B/16 (batch 1), at its arithmetic intensity: FLOPs per byte that must be read or written.
A dot above the slope had its numbers in the cache.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from compare import machine
from numba import njit

from minivit import tiers
from minivit.ops.attention import cpu as attention
from minivit.ops.gelu import cpu as gelu
from minivit.ops.layernorm import cpu as layernorm
from minivit.ops.linear import cpu as linear
from minivit.ops.linear.packed import PackedMatrix
from minivit.ops.simd.amx import AMX
from minivit.ops.simd.lanes import filled, fma, sum_of
from minivit.ops.simd.target import W
from minivit.ops.softmax import cpu as softmax
from minivit.tables import Table
from minivit.viz import panels

N, D, H, M = 197, 768, 12, 3072  # ViT-B/16 at 224×224
SUMS = 16
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5c00")  # Okabe and Ito: for every eye


@njit(nogil=True)
def multiply_add(turns):
    # sixteen independent sums, so that none waits for the one before
    x, y = filled(0.999), filled(0.001)
    a = b = c = d = e = f = g = h = i = j = k = l = m = n = o = p = y  # noqa: E741
    for _ in range(turns):
        a, b, c, d = fma(a, x, y), fma(b, x, y), fma(c, x, y), fma(d, x, y)
        e, f, g, h = fma(e, x, y), fma(f, x, y), fma(g, x, y), fma(h, x, y)
        i, j, k, l = fma(i, x, y), fma(j, x, y), fma(k, x, y), fma(l, x, y)  # noqa: E741
        m, n, o, p = fma(m, x, y), fma(n, x, y), fma(o, x, y), fma(p, x, y)
    return sum_of(a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p)


def best(function, seconds=0.5):
    """The fastest of the runs that fit into some seconds."""
    function()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_gflops(threads):
    turns = 2_000_000
    with ThreadPoolExecutor(threads) as pool:
        spent = best(lambda: list(pool.map(multiply_add, [turns] * threads)))
    return threads * turns * SUMS * W * 2 / spent / 1e9


def bandwidth_gbytes(threads, size=1 << 25):
    pairs = [(np.ones(size, np.float32), np.zeros(size, np.float32)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        spent = best(lambda: list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs)))
    return threads * 8 * size / spent / 1e9


def ops():
    """(op, rung, function, FLOPs, bytes) of everything that is measured."""
    random = np.random.default_rng(0)
    x, w, b = (random.standard_normal(s, dtype=np.float32) for s in ((1, N, D), (D, M), M))
    hidden, q, k, v = random.standard_normal((1, N, M), dtype=np.float32), *_heads(random)
    scores, one = random.standard_normal((1, H, N, N), dtype=np.float32), np.ones(D, np.float32)
    ref = tiers.load("ref")

    def add(op, flops, size, **rungs):
        return [(op, rung, function, flops, 4 * size) for rung, function in rungs.items()]

    packed, v1, v2 = PackedMatrix(w, in_parts=False), linear.rung(linear.loops_v1), linear.rung(linear.blocks_v2)
    in_tiles = {"v4": partial(linear.linear, x, PackedMatrix(w), b)} if AMX else {}
    return [
        *add("linear", 2 * N * D * M, N * D + D * M + N * M, numpy=lambda: ref.linear(x, w, b),
             v1=lambda: v1(x, w, b), v2=lambda: v2(x, w, b), v3=lambda: linear.linear(x, packed, b), **in_tiles),
        *add("attention", 4 * H * N * N * (D // H), 4 * N * D,
             numpy=lambda: ref.mix(ref.softmax(ref.scores(q, k)), v), v1=lambda: attention.attend_v1(q, k, v),
             v2=lambda: attention.attend_v2(q, k, v), v3=lambda: tiers.load("cpu").fused["attend"](q, k, v)),
        *add("layernorm", 8 * N * D, 2 * N * D, numpy=lambda: ref.layernorm(x, one, one, 1e-6),
             v1=lambda: layernorm.layernorm_v1(x, one, one, 1e-6), v2=lambda: layernorm.layernorm(x, one, one, 1e-6)),
        *add("gelu", 12 * N * M, 2 * N * M, numpy=lambda: ref.gelu(hidden, "tanh"),
             v1=lambda: gelu.gelu_v1(hidden, "tanh"), v2=lambda: gelu.gelu(hidden, "tanh")),
        *add("softmax", 5 * H * N * N, 2 * H * N * N, numpy=lambda: ref.softmax(scores),
             v1=lambda: softmax.softmax_v1(scores), v2=lambda: softmax.softmax(scores)),
    ]  # fmt: skip


def _heads(random):
    return (random.standard_normal((1, H, N, D // H), dtype=np.float32) for _ in range(3))


def draw(rows, peak, bandwidth, path):
    figure = panels.new_figure(5.2)
    axes = figure.add_subplot()
    reach = np.geomspace(0.3, 200, 100)
    axes.plot(reach, np.minimum(peak, bandwidth * reach), color=panels.INK, lw=1.5)
    axes.text(62, peak * 1.08, f"{peak:.0f} GFLOP/s in vector registers", ha="right")
    axes.text(0.5, bandwidth * 0.62, f"{bandwidth:.0f} GB/s from memory", rotation=30, ha="center")
    for op, colour in zip(dict.fromkeys(row["op"] for row in rows), COLOURS, strict=False):
        mine = [row for row in rows if row["op"] == op]
        axes.plot([r["flops_per_byte"] for r in mine], [r["gflops"] for r in mine], "o", label=op, ms=7, color=colour)
        for row in mine:
            x, y, style = row["flops_per_byte"], row["gflops"], {"fontsize": 8, "color": colour}
            if row["rung"] == "numpy":
                axes.text(x, y * 0.86, "numpy", ha="center", va="top", **style)
            else:
                axes.text(x * 1.09, y, row["rung"], ha="left", va="center", **style)
    axes.set(xscale="log", yscale="log", xlabel="FLOPs per byte", ylabel="GFLOP/s", title="Ops of ViT-B/16, batch 1")
    axes.set_ylim(top=2 * peak)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, loc="lower right")
    panels.Plot(figure).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", metavar="FILE", help="save machine, roof and rows")
    parser.add_argument("-o", "--output", default="roofline.png", metavar="FILE")
    args = parser.parse_args()
    tiers.load("cpu", threads=args.threads)
    peak, bandwidth = peak_gflops(args.threads), bandwidth_gbytes(args.threads)
    rows = []
    for op, rung, function, flops, size in ops():
        gflops = flops / best(function) / 1e9
        roof = min(peak, bandwidth * flops / size)
        rows.append(
            {"op": op, "rung": rung, "flops_per_byte": flops / size, "gflops": gflops, "of_roof": gflops / roof}
        )
    print(Table(rows[0], rows))
    print(f"peak {peak:.0f} GFLOP/s, memory {bandwidth:.1f} GB/s, {args.threads} threads", file=sys.stderr)
    draw(rows, peak, bandwidth, args.output)
    if args.json:
        report = {"machine": machine(args.threads), "peak_gflops": peak, "bandwidth_gbytes": bandwidth, "rows": rows}
        with open(args.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
