# %% [markdown]
# # 10 · Fast on a CPU
#
# A matrix product is three loops. Written down in Python, they take many seconds for one layer of a small model; the
# same multiplications, in the same number, take about a millisecond in this library, and its kernels are Python as
# well. Nobody has done less work. *The work has been put in another order.*
#
# **The question of this lesson.** One linear layer of DeiT-tiny, (197, 192) times (192, 768). Five versions, all of
# them with exactly the same multiplications:
#
# | | |
# |---|---|
# | Python | three loops, as you would write them |
# | v1 | the same three loops, compiled by Numba |
# | v2 | compiled, two loops exchanged, in blocks |
# | v3 | tiles of sums that never leave the registers, on all cores |
# | NumPy | `x @ w + b` |
#
# *How many times faster is each than the one above it, and how far is the last one from what the machine can do at
# all?* Write five numbers down.
#
# About 40 minutes to read. The kernels are compiled on first use, which may take half a minute in all (afterwards they
# are kept). All times below are measured on *your* machine, now; if it is busy, they are longer.

# %%
import inspect
import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from quiz import check

import minivit
from minivit import tiers
from minivit.ops.attention import cpu as attention
from minivit.ops.layernorm import cpu as layernorm
from minivit.ops.linear import cpu as linear
from minivit.ops.linear.packed import PackedMatrix
from minivit.ops.simd.lanes import filled, fma, sum_of
from minivit.ops.simd.target import TALL, WIDE, W
from minivit.ops.simd.team import team
from minivit.ops.softmax import cpu as softmax
from minivit.viz import panels, ship

# %% [markdown]
# ## 1 · Count before you measure
#
# $$Y_{mo} = b_o + \sum_i X_{mi}\,W_{io}$$
#
# Each of the N·O sums has I products; a multiplication and an addition count as two FLOPs.
#
# **Question 1.** N = 197 rows, I = 192 inputs, O = 768 outputs. How many FLOPs?

# %%
answer = ...
### BEGIN SOLUTION
answer = 2 * 197 * 192 * 768
### END SOLUTION
N, D, M, H = 197, 192, 768, 3  # tokens, width, hidden width, heads: DeiT-tiny
FLOPS = 2 * N * D * M
hints = {N * D * M: "each product is also added: two", 2 * N * M: "that is one product per sum"}
check(answer, FLOPS, hints)

# %%
rng = np.random.default_rng(0)
x, w, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((N, D), (D, M), M))
BYTES = 4 * (x.size + w.size + b.size + N * M)
print(f"{FLOPS / 1e6:.0f} million FLOPs on {BYTES / 1e6:.1f} MB that must be read or written once")
print(f"that is {FLOPS / BYTES:.0f} FLOPs per byte")


def best(function, seconds=0.2):
    """The fastest run of those that fit into some seconds, after one that does not count."""
    function()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


# %% [markdown]
# The *fastest* run is what counts: nothing makes a program faster by accident, and many things make it slower.
#
# ## 2 · Python, and the compiler
#
# This is the text of version 1, as it stands in `minivit/ops/linear/cpu.py`:
#
# ```
# for m in range(len(x)):
#     for o in range(w.shape[1]):
#         total = b[o]
#         for i in range(len(w)):
#             total += x[m, i] * w[i, o]
#         y[m, o] = total
# ```
#
# A Numba function keeps its Python text in `py_func`, so the same lines can run both ways. In Python we try one row of
# the 197 only.
#
# > **Predict.** The factor between the two.

# %%
y = np.empty((N, M), np.float32)
start = time.perf_counter()
linear.loops_v1.py_func(x[:1], w, b, y[:1])
seconds = {"Python": N * (time.perf_counter() - start)}

start = time.perf_counter()
linear.loops_v1(x, w, b, y)  # the first call compiles
compiling = {"v1": time.perf_counter() - start}
seconds["v1"] = best(lambda: linear.loops_v1(x, w, b, y))
truth = x.astype(np.float64) @ w + b
print(f"Python, all rows: {seconds['Python']:.1f} s        compiled: {1e3 * seconds['v1']:.1f} ms")
print(f"a factor of {seconds['Python'] / seconds['v1']:.0f}; compiling took {compiling['v1']:.1f} s, once")
print(f"largest error {abs(y - truth).max() / abs(truth).max():.0e} of the largest number")

# %% [markdown]
# Python asks at each of the 29 million steps what `x`, `total` and `*` are. The compiler asks once. It has not changed
# the order of anything.
#
# ## 3 · The same numbers in another order
#
# Memory is a street, and the processor fetches 64 bytes of it at a time, a **cache line**: 16 numbers. The matrix w
# lies there row by row.
#
# **Question 2.** The innermost loop of version 1 runs over i and reads `w[i, o]`. How many bytes lie between the
# beginnings of two numbers that it reads one after the other? (O = 768, float32.)

# %%
answer = ...
### BEGIN SOLUTION
answer = 768 * 4
### END SOLUTION
check(answer, w.strides[0], {4: "that is the next column; i is the row", 768: "numbers; a number has 4 bytes"})

# %% [markdown]
# So of each line of 16 numbers it takes one and drops the rest. Exchange the two inner loops, and the innermost one
# runs along a row: `y[m, o] += x[m, i] * w[i, o]` for all o. It reads the neighbours, and since they are independent
# sums, the compiler computes W of them with one instruction.
#
# Here is the order in which a matrix of 16 × 48 is read, dark first. White lines: cache lines.
#
# > **Predict.** How many times does each version fetch a cache line for these 768 numbers, if the cache keeps none of
# > them?

# %%
order_v1 = np.arange(16 * 48).reshape(48, 16).T  # column after column
order_v2 = np.arange(16 * 48).reshape(16, 48)  # row after row


def street(order, name):
    lines = np.arange(order.size).reshape(order.shape) // 16
    in_turn = lines.ravel()[np.argsort(order.ravel())]
    fetched = 1 + np.count_nonzero(np.diff(in_turn))

    def draw(ax):
        panels.heat(order, f"{name}: {fetched} lines are fetched", square=True)(ax)
        ax.set_xlabel("dark: read first; yellow: last", fontsize=8)
        ax.vlines([15.5, 31.5], -0.5, 15.5, color="white", linewidth=1.5)

    return draw


panels.row(street(order_v1, "v1, column by column"), street(order_v2, "v2, row by row"), height=2.4)

# %%
start = time.perf_counter()
linear.blocks_v2(x, w, b, y)
compiling["v2"] = time.perf_counter() - start
seconds["v2"] = best(lambda: linear.blocks_v2(x, w, b, y))
assert abs(y - truth).max() < 1e-5 * abs(truth).max()
print(
    f"v1 {1e3 * seconds['v1']:.1f} ms, v2 {1e3 * seconds['v2']:.2f} ms: a factor of {seconds['v1'] / seconds['v2']:.0f}"
)

# %% [markdown]
# The blocks in version 2 are for larger matrices: a block of w is small enough to stay in the second-level cache while
# all rows of x pass by.
#
# ## 4 · Tiles: what has been fetched must be used
#
# Version 2 loads a number of w and one of y, multiplies, adds, and stores y again: the multiplier waits for the loads.
# Registers are the only place from which it can be fed every cycle, and there are few. So keep a **tile** of sums in
# registers: r rows × c columns. A step along i loads r numbers of x and c of w and makes r·c products of them.
#
# **Question 3.** A tile of 4 × 4: how many multiplications per loaded number?

# %%
answer = ...
### BEGIN SOLUTION
answer = 4 * 4 / (4 + 4)
### END SOLUTION
check(
    answer,
    2,
    {16: "per number: 4 + 4 are loaded", 1: "4·4 products from 4 + 4 numbers", 0.5: "that is a tile of 1 × 1"},
)

# %%
sides = np.arange(1, 41)
worth = np.outer(sides[:16], sides) / np.add.outer(sides[:16], sides)


def tiles(ax):
    ax.imshow(worth, origin="lower", cmap=panels.QUANTITY, extent=(0.5, 40.5, 0.5, 16.5), aspect="auto")
    for r, c, name, side in ((1, 1, "v1", "left"), (1, W, "v2", "left"), (TALL, WIDE, "v3", "right")):
        ax.plot(c, r, "o", color="white", markeredgecolor=panels.INK)
        text = (
            f" {name}: {r * c / (r + c):.1f} "
            if name != "v2"
            else f" v2, one register at a time: {r * c / (r + c):.1f} "
        )
        ax.text(c, r + 0.6, text, color="white", fontsize=9, ha=side)
    panels.finish_chart(ax, "multiplications per loaded number", "columns of the tile", "rows of the tile")


print(f"this CPU: {W} numbers per register; a tile of {TALL} × {WIDE} is {TALL * WIDE // W} registers of sums")
panels.row(tiles, height=3)

# %% [markdown]
# Version 3 (`minivit/ops/simd/tile.py`) does this with a tile as large as the register file allows. Before, it copies
# ("packs") both matrices so that each tile reads straight on. Weights are packed once, when the model is loaded. And it
# shares the tiles among all cores. (Some CPUs have registers for whole tiles; `in_parts=False` leaves out their version
# 4, `minivit/ops/simd/amx.py`.)

# %%
threads = team().threads  # one per core
packed = PackedMatrix(w, in_parts=False)
start = time.perf_counter()
linear.linear(x, packed, b)
compiling["v3"] = time.perf_counter() - start
seconds["v3"] = best(lambda: linear.linear(x, packed, b))
seconds["NumPy"] = best(lambda: x @ w + b)
assert abs(linear.linear(x, packed, b) - truth).max() < 1e-5 * abs(truth).max()

gflops = {name: FLOPS / s / 1e9 for name, s in seconds.items()}
for name, s in seconds.items():
    print(f"{name:8s}{1e3 * s:12.3f} ms {gflops[name]:10.3f} GFLOP/s")


def rungs(ax):
    drawn = ax.barh(list(gflops), list(gflops.values()), color=panels.LINES[0])
    ax.bar_label(drawn, fmt="%.3g", fontsize=8, padding=3)
    ax.set_xscale("log")
    ax.set_xticks([0.01, 0.1, 1, 10, 100, 1000], ["0.01", "0.1", "1", "10", "100", "1000"])
    ax.minorticks_off()
    ax.invert_yaxis()
    panels.finish_chart(
        ax, "one linear layer of DeiT-tiny, five ways", "GFLOP/s: each number is ten times the one before it", ""
    )


panels.row(rungs, height=2.8)

# %% [markdown]
# Compare with your five numbers. From the top to the bottom: the same multiplications.
#
# ## 5 · Softmax without having seen the whole row
#
# Attention has another problem. Its N×N scores are written to memory, read for the maximum, read for the sum, read
# again to be divided, and read a last time to average the values. Could one pass do? The sum needs the maximum, which
# nobody knows before the end.
#
# **Online softmax** ([arXiv:1805.02867](https://arxiv.org/abs/1805.02867); FlashAttention,
# [arXiv:2205.14135](https://arxiv.org/abs/2205.14135)) takes a part of the row at a time. It keeps the largest score m
# so far, the sum ℓ, and the weighted values z, both relative to m. When a larger score comes, everything before was too
# large by the same factor:
#
# $$m' = \max(m, \max s), \qquad \ell' = \ell\,e^{m - m'} + \sum_j e^{s_j - m'}, \qquad
# \mathbf{z}' = \mathbf{z}\,e^{m - m'} + \sum_j e^{s_j - m'}\,\mathbf{v}_j$$
#
# **Question 4.** After the first part: m = 3, ℓ = 2. The second part holds a single score, 5. What is ℓ now, to two
# digits behind the point?

# %%
answer = ...
### BEGIN SOLUTION
answer = round(2 * math.exp(3 - 5) + 1, 2)
### END SOLUTION
hints = {3: "the old sum must be rescaled to the new maximum", 15.78: "e to the old maximum minus the new one"}
check(answer, round(2 * np.exp(-2.0) + np.exp(0.0), 2), {**hints, 0.27: "the new score counts as well: e⁰ = 1"})

# %% [markdown]
# Walk one row of the model in the box: 65 scores of one query, in parts of 8.
#
# > **Predict.** How often will the maximum change on the way, and does the result differ from the usual softmax?

# %%
model = minivit.load()
trace = model.trace(ship.draw(32), keep="block0.attn.*")
scores, values = trace["block0.attn.scores"][0], trace["block0.attn.v"][0]
head, query = np.unravel_index(
    np.diff(np.maximum.accumulate(scores, -1)).astype(bool).sum(-1).argmax(), scores.shape[:2]
)
row, v = scores[head, query].astype(np.float64), values[head].astype(np.float64)  # (65,), (65,K)


def online(row, v, part=8):
    # -> z (K,), and m, ℓ after every part
    m, total, z, history = -np.inf, 0.0, np.zeros(v.shape[1]), []
    for start in range(0, len(row), part):
        s = row[start : start + part]
        larger = max(m, s.max())
        e, shrink = np.exp(s - larger), np.exp(m - larger)
        m, total, z = larger, total * shrink + e.sum(), z * shrink + e @ v[start : start + part]
        history.append((m, total, shrink))
    return z / total, np.array(history)


z, history = online(row, v)
print("difference from attn.z:", abs(z - trace["block0.attn.z"][0, head, query]).max())
parts = np.arange(1, len(history) + 1)
part_of = 1 + np.arange(len(row)) / 8


def running(ax):
    ax.plot(part_of, row, ".", color=panels.FAINT, label="scores of the row")
    ax.step(parts, history[:, 0], where="post", color=panels.LINES[0], label="m, the largest so far")
    panels.finish_chart(ax, f"head {head}, query {query}", "part", "", legend=True)


panels.row(
    running,
    panels.curves(parts, {"ℓ": history[:, 1]}, "ℓ, relative to m: falls where m rises", "part"),
    panels.curves(parts[1:], {"factor": history[1:, 2]}, "what all before is multiplied by", "part"),
    height=2.7,
)

# %% [markdown]
# To the last digits of float32 the same, and no row was ever stored. What that is worth grows with the square of the
# number of tokens:

# %%
tokens = np.array([65, 197, 577, 1025, 2305, 4097])
whole = 12 * tokens**2 * 4 / 1e6
tile_only = np.full(len(tokens), threads * TALL * 8 * 4 / 1e6)


def memory(ax):
    ax.plot(tokens, whole, "o-", color=panels.LINES[1], label="scores of 12 heads, one image")
    ax.plot(tokens, tile_only, "o-", color=panels.LINES[0], label="a tile of scores per core")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(tokens, [str(t) for t in tokens])
    ax.set_yticks([0.001, 0.1, 10, 1000], ["1 kB", "100 kB", "10 MB", "1 GB"])
    ax.minorticks_off()
    panels.finish_chart(ax, "memory for scores", "tokens", "", legend=True)


panels.row(memory, height=2.8)

# %% [markdown]
# (The kernel of this library goes half of the way: at the lengths of a ViT, the *whole* rows of a few queries fit in
# the first-level cache, so it keeps those, needs no rescaling, and never forms the N×N matrix either. The price is the
# same as for all fusion: **there is no `attn.probs` to look at any more.** That is why `trace` runs the unfused steps.)
#
# > **Predict.** Attention of DeiT-tiny, three versions: v1 loops, v3 fused, NumPy. Which is second?

# %%
q, k, values = (rng.standard_normal((1, H, N, D // H), dtype=np.float32) for _ in range(3))
ref = tiers.load("ref")


def numpy_attention():
    return ref.mix(ref.softmax(ref.scores(q, k)), values)


ways = {
    "NumPy": numpy_attention,
    "v1": lambda: attention.attend_v1(q, k, values),
    "v3": lambda: attention.attend(q, k, values),
}
assert np.allclose(ways["v3"](), numpy_attention(), rtol=0, atol=1e-5)
attention_seconds = {name: best(f) for name, f in ways.items()}
for name, s in attention_seconds.items():
    print(f"attention {name:6s} {1e3 * s:8.3f} ms")

# %% [markdown]
# ## 6 · Ops that only carry
#
# LayerNorm does eight FLOPs per number: it is never limited by multiplication, but by reading and writing. NumPy writes
# each intermediate result, the difference, the square, the quotient, to memory and reads it again. A loop does all of
# it while the row is in the cache. That is **fusion**: not less arithmetic, fewer journeys.
#
# > **Predict.** Version 1 of LayerNorm is fused, but adds up one number after the other, each addition waiting for the
# > one before; version 2 adds W at a time. Does fusion alone beat NumPy?

# %%
print(inspect.getsource(ref.layernorm))  # NumPy
print(inspect.getsource(layernorm.normalise_row.py_func))  # v2: one row, in registers of W numbers

# %%
tall = rng.standard_normal((8 * N, M), dtype=np.float32)  # eight images
scale, bias = np.ones(M, np.float32), np.zeros(M, np.float32)
norms = {
    "NumPy": lambda: ref.layernorm(tall, scale, bias, 1e-6),
    "v1": lambda: layernorm.layernorm_v1(tall, scale, bias, 1e-6),
    "v2": lambda: layernorm.layernorm(tall, scale, bias, 1e-6),
}
norm_seconds = {name: best(f) for name, f in norms.items()}
rows = rng.standard_normal((8 * H * N, N), dtype=np.float32)
softmaxes = {"NumPy": lambda: ref.softmax(rows), "v2": lambda: softmax.softmax(rows)}
softmax_seconds = {name: best(f) for name, f in softmaxes.items()}
carried = {f"LayerNorm, {n}": 2 * tall.nbytes / s / 1e9 for n, s in norm_seconds.items()}
carried |= {f"softmax, {n}": 2 * rows.nbytes / s / 1e9 for n, s in softmax_seconds.items()}
panels.row(
    panels.bars(
        list(carried), list(carried.values()), "useful bytes per second: input read once, output written once", "GB/s"
    ),
    height=2.6,
)

# %% [markdown]
# ## 7 · Under the roof
#
# How fast *could* it be? A machine has two limits: how many FLOPs its registers can do, and how many bytes its memory
# can bring. An op that does f FLOPs per byte can never be faster than
#
# $$\min\bigl(\text{peak},\; \text{bandwidth} \cdot f\bigr)$$
#
# This is the **roofline** (Williams et al. 2009). We measure both: multiply-adds that never leave the registers, and a
# copy that never fits the cache.
#
# > **Predict.** Which of your dots are under the slope (limited by memory), which under the flat part? Which one is
# > nearest to the roof?


# %%
@njit(nogil=True)
def multiply_add(turns):
    # eight independent sums of W numbers, so that none waits for the one before
    x, y = filled(0.999), filled(0.001)
    a = b = c = d = e = f = g = h = y
    for _ in range(turns):
        a, b, c, d = fma(a, x, y), fma(b, x, y), fma(c, x, y), fma(d, x, y)
        e, f, g, h = fma(e, x, y), fma(f, x, y), fma(g, x, y), fma(h, x, y)
    return sum_of(a + b + c + d + e + f + g + h)


turns, big = 4_000_000, [(np.ones(1 << 23, np.float32), np.zeros(1 << 23, np.float32)) for _ in range(threads)]
with ThreadPoolExecutor(threads) as pool:
    peak = threads * turns * 8 * W * 2 / best(lambda: list(pool.map(multiply_add, [turns] * threads))) / 1e9
    copying = best(lambda: list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), big)))
bandwidth = threads * 2 * big[0][0].nbytes / copying / 1e9
print(f"{threads} threads: {peak:.0f} GFLOP/s in registers, {bandwidth:.0f} GB/s from memory")

# %%
ATTENTION, ATTENTION_BYTES = 4 * N * N * D, 4 * 4 * N * D
dots = {
    "linear": (FLOPS / BYTES, {n: rate for n, rate in gflops.items() if n != "Python"}),
    "attention": (ATTENTION / ATTENTION_BYTES, {n: ATTENTION / s / 1e9 for n, s in attention_seconds.items()}),
    "LayerNorm": (1.0, {n: 8 * tall.size / s / 1e9 for n, s in norm_seconds.items()}),
    "softmax": (5 / 8, {n: 5 * rows.size / s / 1e9 for n, s in softmax_seconds.items()}),
}


def apart(rates, least=1.35):
    # where the names of dots stand: each at its dot, or so far above the one below it that they do not touch
    places, last = {}, 0
    for name in sorted(rates, key=rates.get):
        last = places[name] = max(rates[name], least * last)
    return places


def roofline(ax):
    reach = np.geomspace(0.2, 300, 100)
    ax.plot(reach, np.minimum(peak, bandwidth * reach), color=panels.INK, linewidth=1.6)
    sides = ("right", "left", "left", "right")  # of the dots, so that names do not meet
    for (op, (at, rates)), colour, side in zip(dots.items(), panels.LINES, sides, strict=False):
        ax.plot([at] * len(rates), list(rates.values()), "o", color=colour, label=op)
        for name, place in apart(rates).items():
            shift = 0.92 if side == "right" else 1.09
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
            ax.text(at * shift, place, name, fontsize=8, ha=side, va="center", color=colour, bbox=box)
    lowest = min(rate for _, rates in dots.values() for rate in rates.values())
    ax.set(xscale="log", yscale="log", ylim=(min(0.5, lowest / 1.5), 3 * peak))
    ax.set_xticks([0.5, 1, 5, 10, 50, 100], ["0.5", "1", "5", "10", "50", "100"])
    ax.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    ax.minorticks_off()
    panels.finish_chart(ax, "the roofline of this machine, with your dots", "FLOPs per byte", "GFLOP/s", legend=True)


share = {name: rate / min(peak, bandwidth * FLOPS / BYTES) for name, rate in gflops.items()}
print("of the roof, linear:", ", ".join(f"{name} {s:.2%}" for name, s in share.items()))
panels.row(roofline, height=4.6)

# %% [markdown]
# (Python's dot is hundreds of times lower than v1, far below the page.) This picture tells where work is worth its
# while. A dot far below the *flat* part: the loops are in the wrong order, or the tile is too small. A dot on the
# *slope*: nothing but fewer journeys will help, so fuse it with its neighbour. (A dot *above* the slope had its data in
# a cache, which is faster than memory.) And an op near the roof: go home.
#
# ## 8 · The bill
#
# Compiling is part of the price. When has it paid for itself? (The line of v3 pays for all kernels of this lesson:
# Numba compiles those that are wanted together.)


# %%
def paid_back(cost, saved):
    calls = math.ceil(cost / saved) if saved > 0 else 0
    return f"after {calls:,} call{'s' * (calls > 1)}" if calls else "never"


print("     compiling   paid back, against Python    against NumPy")
for name in ("v1", "v2", "v3"):
    cost = compiling[name]
    against = [paid_back(cost, seconds[other] - seconds[name]) for other in ("Python", "NumPy")]
    print(f"{name:4s} {cost:7.1f} s   {against[0]:27s}  {against[1]}")
saved = 1e3 * (attention_seconds["NumPy"] - attention_seconds["v3"])
print(f"fused attention saves {saved:.2f} ms per call against NumPy")

# %% [markdown]
# (Near zero in the line of v3 means that the kernels were on the disk already: `minivit` keeps what it has compiled,
# and `minivit warmup` compiles all of it ahead.) One picture does not pay for a compiler; a service or a training run
# pays for it in its first minute. Version 2 is the honest loser of the list: compiled, clever, and still behind the
# library that others have tuned for decades. It takes tiles to draw level with that, and *fusion* to get ahead: a
# product in a library cannot know what you are going to do with its result; a kernel of yours can.
#
# ## What you have now
#
# * A ladder of five rungs with the same multiplications, and the factor of each.
# * Three ideas that carry over to every machine: read neighbours; use what you have fetched; do not store what you can
#   finish now.
# * A roofline with your dots, which says when to stop.
#
# **Assignment A7** asks for two kernels, `layernorm_kernel` and `linear_kernel`; they are raced against NumPy on your
# machine. In a notebook: `from minivit.course import check as grade`, then `grade("A7.2", my_linear_kernel)`.
#
# Try next: `minivit bench` for whole models; `python benchmarks/roofline.py` at the sizes of ViT-B/16; version 2
# without its blocks; `linear.blocks_v2(x, w, b, y, 16)`: why is a smaller block slower?
