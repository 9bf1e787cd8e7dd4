# %% [markdown]
# # 11 · Fast on a GPU, without one
#
# An H200 does 990 million million multiplications and additions a second. The first kernel that everybody writes for
# it, one thread per output, gets about 5 of those 990. The last one of this library should get some 400, and it was
# written and tested on machines that have no GPU, such as yours.
#
# **The question of this lesson.** Four kernels compute the same product, y = x w, with the same multiplications. On its
# way each of them asks the memory for numbers of x and w. Take x (128, 32) and w (32, 128), 4,096 numbers each:
#
# | | |
# |---|---|
# | v1 | one thread per output |
# | v2 | a block of 16×16 threads shares tiles |
# | v3 | a thread keeps 8×8 sums in registers |
# | v4 | tensor cores |
#
# *How many numbers does each one ask for?* Write four numbers down. Then the harder half: *what else can you know about
# the speed of a kernel on a machine on which it cannot run?* Nearly everything, except the seconds.
#
# About 40 minutes to read; some seconds of CPU. You need the tiles and the roofline of lesson 10. No GPU is used, even
# if you have one: the kernels run in a simulator (`minivit/gpu/sim.py`), as Python, one thread after the other.

# %%
import dataclasses
import inspect
import json
import os
import sys
import types
from pathlib import Path

import numpy as np
from IPython.display import Markdown
from matplotlib.colors import ListedColormap
from quiz import check

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # kernels run in the simulator: decided before they are imported
sys.path.append("../benchmarks")  # its tables, for section 6

import gpu_cases
import gpu_report

import minivit
from minivit.course.counting import counted, counting_shared
from minivit.gpu import sim, twins
from minivit.gpu.arrays import empty, on_device
from minivit.gpu.compat import cuda, float32
from minivit.gpu.formats import FLOAT16, FLOAT32
from minivit.gpu.launch import kernel
from minivit.gpu.tiles import Epilogue, grid
from minivit.ops.attention import gpu as attention
from minivit.ops.linear import gpu, gpu_register_tiles, gpu_tensor_cores
from minivit.viz import panels, ship

# %% [markdown]
# ## 1 · Nobody goes first
#
# A kernel is a function for one thread. It is started thousands of times at once, and each thread finds out who it is:
#
# $$i = \text{block} \cdot \text{threads per block} + \text{thread}$$
#
# 32 neighbouring threads are a **warp**; it is the warp that gets instructions. Up to 1,024 threads are a **block**,
# which runs on one of the 132 multiprocessors and has some fast memory of its own, the **shared memory**. In which
# order warps get their turn is up to the hardware. The simulator draws lots.
#
# > **Predict.** A block of 128 threads. Each writes its number at the end of a list. What does the list look like?

# %%
orders = {}


@kernel("float32[::1]", threads=128)
def sign_in(x):
    orders[seed].append(int(cuda.threadIdx.x))


for seed in (None, 0, 1):
    orders[seed] = []
    with sim.schedule(seed):
        sign_in.launch(1, np.zeros(1, np.float32))


def cells(values, title, below="", **style):
    # a panel: numbers as colours
    def draw(ax):
        ax.imshow(values, interpolation="nearest", **{"aspect": "auto", **style})
        panels.finish(ax, title, below)

    return draw


def called(seed):
    return "in order" if seed is None else f"lot {seed}"


panels.row(
    *(
        cells(np.argsort(order).reshape(4, 32), called(seed), "four warps of 32 lanes; dark: first")
        for seed, order in orders.items()
    ),
    height=2,
)

# %% [markdown]
# Dark came first. A kernel is right only if it is right in *every* order. Here is one that is not: each thread takes a
# number into shared memory, and then reads what its left neighbour has brought.
#
# > **Predict.** In which of the three orders does it go wrong?


# %%
def shift(with_barrier):
    @kernel("float32[::1], float32[::1]", threads=128)
    def shift_right(x, y):
        shared = cuda.shared.array(128, float32)
        i = int(cuda.threadIdx.x)
        shared[i] = x[i]
        if with_barrier:
            cuda.syncthreads()  # wait until all threads of the block have come here
        y[i] = shared[i - 1] if i > 0 else x[0]

    return shift_right


numbers = np.arange(128, dtype=np.float32)
for with_barrier in (False, True):
    wrong = []
    for seed in orders:
        y = empty((128,), FLOAT32)
        with sim.schedule(seed):
            shift(with_barrier).launch(1, numbers, y.flat)
        wrong.append(int((np.asarray(y) != np.maximum(numbers - 1, 0)).sum()))
    print(f"{'with' if with_barrier else 'without'} the barrier, wrong numbers in the three orders: {wrong}")
assert wrong == [0, 0, 0]

# %% [markdown]
# In order, all is well: the left neighbour was always there before. That is how such mistakes pass a test and are found
# a year later. The simulator makes them visible in two ways: it draws the order, and fresh memory is full of NaN
# instead of something that looks like a number.
#
# ## 2 · Count what is asked for
#
# $$Y_{mo} = \sum_i X_{mi}\,W_{io}$$
#
# Version 1 gives every output to a thread. This is the kernel itself, as it also runs on a GPU; `load` and `store`
# convert from and to the format, `end` adds the bias and whatever else comes after a product.

# %%
print(inspect.getsource(gpu.thread_per_output.__wrapped__))

# %% [markdown]
# **Question 1.** M = N = 128 rows and columns of y, K = 32 inner terms. How many numbers do all threads together ask
# the memory for?

# %%
answer = ...
### BEGIN SOLUTION
answer = 2 * 128 * 128 * 32
### END SOLUTION
M, K, N = 128, 32, 128
hints = {M * N * K: "each product needs two numbers", M * K + K * N: "that is once each; but every thread asks anew"}
check(answer, 2 * M * N * K, hints)

# %% [markdown]
# Arrays that count (`minivit/course/counting.py`) say whether that is so. All four rungs, their largest tiles:

# %%
rng = np.random.default_rng(0)
x, w = rng.standard_normal((M, K), dtype=np.float32), rng.standard_normal((K, N), dtype=np.float32)
truth = x.astype(np.float64) @ w
bare = Epilogue(bias=False)
rungs = {  # name -> (kernel, rows and columns of a block's tile, format)
    "v1": (gpu.thread_per_output(FLOAT32, FLOAT32, bare), (16, 16), FLOAT32),
    "v2": (gpu.shared_tiles(FLOAT32, FLOAT32, bare), (16, 16), FLOAT32),
    "v3": (gpu_register_tiles.register_tiles(FLOAT32, bare, 128, 128, True), (128, 128), FLOAT32),
    "v4": (gpu_tensor_cores.tensor_cores(FLOAT16, FLOAT16, bare, 128, 128, 64, 32, True), (128, 128), FLOAT16),
}


def multiply(kernel, tile, format, a=x, b=w, seed=None):
    # a (M,K), b (K,N) -> a b (M,N); how many numbers were read from memory, and how many from shared memory
    (rows, inner), columns = a.shape, b.shape[1]
    a, b = counted(on_device(a, format).flat), counted(on_device(b, format).flat)
    y, unused = empty((rows, columns), format), np.zeros(1, np.float32)
    with counting_shared() as shared, sim.schedule(seed):
        kernel.launch(grid(rows, columns, *tile), a, b, unused, unused, y.flat, rows, columns, inner)
    return np.asarray(y), a.numbers_read + b.numbers_read, sum(array.numbers_read for array in shared)


asked, from_shared = {}, {}
y, asked["v1"], from_shared["v1"] = multiply(*rungs["v1"])
assert abs(y - truth).max() < 1e-5 * abs(truth).max()
print(f"v1 asks for {asked['v1']:,} numbers, of {x.size + w.size:,} that there are")

# %% [markdown]
# ## 3 · Share, then keep
#
# In version 2 a block brings a tile of 16×16 numbers of x and one of w into shared memory, each thread one number of
# each. Then all 256 threads compute from there, and the next tiles come.

# %%
print(inspect.getsource(gpu.shared_tiles.__wrapped__))

# %% [markdown]
# > **Predict.** By what factor do the questions to the memory become fewer? And what would be the factor with tiles of
# > 32×32?

# %%
for name in ("v2", "v3", "v4"):
    y, asked[name], from_shared[name] = multiply(*rungs[name])
    assert abs(y - truth).max() < (1e-3 if rungs[name][2] is FLOAT16 else 1e-5) * abs(truth).max()
print(f"v1 / v2: {asked['v1'] / asked['v2']:g}")

# %% [markdown]
# Each number that was fetched serves 16 threads. But now count the *other* questions. Shared memory is fast, yet not
# free: that of a multiprocessor hands out 32 numbers per tick, and 128 multipliers wait for them. So a number out of
# shared memory should serve four multiplications. In version 2:
#
# > **Predict.** Multiplications per number that is read from shared memory, in the line
# > `total += xs[ty, i] * ws[i, tx]`.
#
# Version 3 does what the tile of lesson 10 did. A thread loads 8 numbers of x and 8 of w into registers and keeps 64
# sums there.
#
# **Question 2.** How many numbers does it read from shared memory per multiplication?

# %%
answer = ...
### BEGIN SOLUTION
answer = (8 + 8) / (8 * 8)
### END SOLUTION
hints = {4: "the other way round: numbers per multiplication", 2: "that is v2: two numbers for one product"}
check(answer, 0.25, {**hints, 0.125: "8 of x and 8 of w"})

# %%
products = M * N * K
print("      asked of memory   of shared memory   multiplications per number of shared memory")
for name in rungs:
    per = f"{products / from_shared[name]:.3g}" if from_shared[name] else "–"
    print(f"{name}   {asked[name]:15,} {from_shared[name]:18,}   {per}")
assert from_shared["v3"] == products / 4

# %% [markdown]
# Compare with your four numbers. v3 and v4 read x and w once, because here one block makes the whole y. In a larger
# matrix a block of 128×128 asks for each number once per 128 rows or columns.
#
# Who computes what? Below, the outputs of one block. White those of thread 0; orange its warp's; blue the other warps'.


# %%
def owners(height, width, thread, warp):
    # thread, warp: (rows, columns) of the outputs of thread 0, and of its warp
    who = np.ones((height, width))
    for value, (rows, columns) in ((2, warp), (3, thread)):
        who[np.ix_(rows, columns)] = value
    return who


half, eight = np.arange(4), np.arange(8)
maps = {
    "v1, v2: a block of 16×16": owners(16, 16, ([0], [0]), (range(2), range(16))),
    "v3: 128×128, 64 per thread": owners(128, 128, (eight, np.r_[half, 64 + half]), (range(16), range(128))),
    "v4: 128×128, 64 per thread": owners(128, 128, (np.r_[:64:8], np.r_[0:32:8, 1:32:8]), (range(64), range(32))),
}

colours = ListedColormap([panels.LINES[0], panels.LINES[1], "white"])
panels.row(*(cells(who, name, cmap=colours, vmin=1, vmax=3, aspect="equal") for name, who in maps.items()), height=3.4)

# %% [markdown]
# In v3, thread 0 has two pieces of 8×4: its eight columns are two fours, half a tile apart. Why not eight in a row?
# (The comb of v4 is the order that the instruction for the tensor cores wants.) The reason is how memory hands out
# numbers.
#
# ## 4 · Thirty-two counters
#
# Shared memory has 32 **banks**, like counters in a post office: number n (of four bytes) lies in bank n mod 32. Per
# tick each bank hands out one number, to all lanes that want that very number. If the lanes of a warp want *different*
# numbers of the same bank, they queue:
#
# $$\text{ticks} = \max_{b}\; \bigl|\{\,n \text{ wanted} : n \bmod 32 = b\,\}\bigr|$$
#
# **Question 3.** A tile of 32×32 float32 numbers lies row by row in shared memory. The 32 lanes read one *column* of
# it. How many ticks does it take?


# %%
def ticks(wanted):
    # wanted: the numbers that the lanes of a warp ask for -> ticks until all have theirs
    return int(np.bincount(np.unique(wanted) % 32).max())


answer = ...
### BEGIN SOLUTION
answer = 32
### END SOLUTION
column = np.arange(32) * 32
check(answer, ticks(column), {1: "in which banks are numbers 0, 32, 64, …?", 16: "not half of them: all"})

# %% [markdown]
# The usual cure is one unused number per row. Here are both: 32 banks from left to right, addresses downwards, orange
# is wanted.


# %%
def banks(wanted, name, rows=32):
    def draw(ax):
        where = np.zeros((rows, 32))
        where.flat[wanted] = 1
        ax.imshow(where, cmap="Oranges", vmin=0, vmax=1.4, interpolation="nearest", aspect="auto")
        ax.vlines(np.arange(32) - 0.5, -0.5, rows - 0.5, color="white", linewidth=0.8)
        ax.hlines(np.arange(rows) - 0.5, -0.5, rows - 0.5 + 32, color="white", linewidth=0.8)
        ax.set(xlim=(-0.5, 31.5))
        queue = ticks(wanted)
        panels.finish(ax, f"{name}: {queue} tick{'s' * (queue > 1)}", "bank 0 … 31")

    return draw


panels.row(
    banks(column, "a column, rows of 32"),
    banks(np.arange(32) * 33, "a column, rows of 33", 33),
    banks(32 * 5 + np.arange(32), "a row"),
)

# %% [markdown]
# Now v3's two fours. A lane can take four numbers in one go; then eight lanes are served together. Eight columns in a
# row per thread would let the lanes begin 8 numbers apart; with fours they begin 4 apart.


# %%
def fours(apart):
    return (np.arange(8)[:, None] * apart + np.arange(4)).ravel()


print(f"8 apart: {ticks(fours(8))} ticks; 4 apart: {ticks(fours(4))}")

# %% [markdown]
# Tensor cores are fed by `ldmatrix`, which reads eight rows of eight halves (16 bytes, four banks) at a time. Rows of
# the tile of x are 32 halves long, 16 banks, so the third row begins in the bank of the first. One unused chunk per row
# would help, but the tiles of v4 fill the 48 kB that a block may have to the last byte. **Swizzling** costs nothing:
# the four chunks of a row change places, in each pair of rows in another way.
#
# > **Predict.** How many ticks without it?

# %%
place_of_x, _ = gpu_tensor_cores.places(128)
chunk_words = np.arange(4)


def matrix_rows(place):
    # the 4-byte numbers that ldmatrix wants: chunk 0 of eight rows; place (row, chunk) -> its first half
    return np.concatenate([int(place(np.uint32(row), np.uint32(0))) // 2 + chunk_words for row in range(8)])


plain = matrix_rows(lambda row, chunk: row * 32 + chunk * 8)
swizzled = matrix_rows(place_of_x)
panels.row(banks(plain, "as it comes", 4), banks(swizzled, "swizzled", 4), height=1.7)

# %% [markdown]
# A formula may be right and its use wrong. So count in the kernel: the simulator notes, for each matrix of eight rows,
# how many had to queue. And for once we break a kernel on purpose: its source, without the exchange of places.


# %%
def broken(module, right, wrong):
    """A module of the library with a piece of its text replaced."""
    source = inspect.getsource(module)
    assert right in source, f"{module.__name__} no longer holds {right!r}"
    copy = types.ModuleType(module.__name__)
    copy.__package__ = module.__package__
    exec(compile(source.replace(right, wrong), module.__name__, "exec"), vars(copy))
    return copy


def tensor_cores(module):
    return module.tensor_cores(FLOAT16, FLOAT16, bare, 64, 64, 32, 32, True), (64, 64), FLOAT16


straight = broken(gpu_tensor_cores, "chunk ^ (row >>", "chunk | uint32(0) & (row >>")
long_x = rng.standard_normal((64, 192), dtype=np.float32)
long_w = rng.standard_normal((192, 64), dtype=np.float32)
product = long_x.astype(np.float64) @ long_w
for name, module in (("swizzled", gpu_tensor_cores), ("not swizzled", straight)):
    twins.conflicts.clear()
    y, _, _ = multiply(*tensor_cores(module), long_x, long_w)
    assert abs(y - product).max() < 1e-3 * abs(product).max()
    queued, all_rows = sum(twins.conflicts), 8 * len(twins.conflicts)
    print(f"{name:13s} {queued:5,} of {all_rows:,} rows had to wait for another")

# %% [markdown]
# Both are *right*. Without the swizzle the kernel would be slow, and no test of its results could tell.
#
# ## 5 · Tensor cores, and a barrier less
#
# A tensor core multiplies 16×16 halves by 16×8 and adds to float32 sums, for a whole warp in one instruction: 2,048
# multiplications instead of 32. Halves are precise to three digits; the sums stay in float32.

# %%
for name in ("v3", "v4"):
    y, _, _ = multiply(*rungs[name])
    print(f"{name}: largest error {abs(y - truth).max() / abs(truth).max():.0e} of the largest number")

# %% [markdown]
# To keep them busy, tiles come by *asynchronous copies*: two are on their way while a third is multiplied. Before a
# tile is used, a thread waits for its own copies, and a barrier makes it wait for those of the others. Take that
# barrier away:
#
# > **Predict.** Is the result wrong in order? In a drawn order? Everywhere, or in some places?

# %%
line = "            cuda.syncthreads()  # … and the others'; and nobody reads any more what was multiplied before\n"
without_barrier = tensor_cores(broken(gpu_tensor_cores, line, ""))
seeds = (None, 0, 1, 3)
results = [multiply(*without_barrier, long_x, long_w, seed)[0] for seed in seeds]
right = [multiply(*tensor_cores(gpu_tensor_cores), long_x, long_w, seed)[0] for seed in seeds]
assert all(abs(y - product).max() < 1e-3 * abs(product).max() for y in right)


def wrong_places(y, seed):
    bad = ~(abs(y - product) < 1e-3 * abs(product).max())
    return cells(bad, f"{called(seed)}: {bad.mean():.0%} wrong", "y (64,64)", vmin=0, vmax=1, aspect="equal")


panels.row(*(wrong_places(y, seed) for y, seed in zip(results, seeds, strict=True)))

# %% [markdown]
# (Yellow is wrong.) In order, not a single number is wrong, and on a GPU this kernel might pass all its tests, too. The
# squares are the warps: who came too early multiplied what was not there yet, and only the last one came late enough.
# The unbroken kernel is right under every lot. The tests of this library plant dozens of such faults into its kernels,
# and the simulator must find each of them (`tests/gpu_sim`).
#
# ## 6 · Three roofs
#
# What you have counted becomes a forecast. An H200 has three limits that matter here:
#
# | what | how much per second |
# |---|---|
# | memory | 4.3 TB |
# | shared memory, 132 multiprocessors together | 32 numbers of 4 bytes per tick, for 128 multipliers |
# | multiply-adds | 67 TFLOP/s in float32, 990 TFLOP/s in halves on tensor cores |
#
# **Question 4.** How many FLOPs must be done per byte from memory, so that *tensor cores* never wait for memory? (A
# whole number.)

# %%
answer = ...
### BEGIN SOLUTION
answer = round(990 / 4.3)
### END SOLUTION
PEAKS, MEMORY = gpu_report.PEAKS, gpu_cases.COPY / 1e3  # TFLOP/s, TB/s
SHARED = PEAKS["float32"] / 2 / 4  # million million numbers per second: a quarter of the multiplications
check(answer, round(PEAKS["halves"] / MEMORY), {16: "that is float32", 115: "an addition is an operation, too"})

# %%
of_product = [case for case in gpu_cases.CASES if case.op == "linear" and case.shape == gpu_cases.FC1]
expected = {case.rung: case for case in of_product if case.dtype == rungs[case.rung][2].name}
per_byte, peaks = {}, {}
print("     FLOPs per byte asked    memory   shared    multipliers   expected")
for name, (_, _, format) in rungs.items():
    per_byte[name] = 2 * products / (asked[name] * format.bytes)
    words = from_shared[name] * format.bytes / 4
    peak = peaks[name] = PEAKS["halves" if format is FLOAT16 else "float32"]
    shared_roof = min(2 * products / words * SHARED, peak) if words else peak
    print(
        f"{name}   {per_byte[name]:20.3g} {per_byte[name] * MEMORY:9.3g} {shared_roof:8.3g} {peak:14g} "
        f"{expected[name].expected:10g}  TFLOP/s"
    )

# %% [markdown]
# Read it row by row. v2 is no longer held back by memory but by *shared* memory, and the forecast is nearly what people
# measure. v3 has passed that; what it loses is the rest of a program, loads, addresses, waiting. Version 1 and version
# 4 are expected *above* their memory's roof: a warp that asks for the same number in all its lanes asks once, and 50 MB
# of cache answer many of the questions before they reach the memory. So "asked" is the most that can come from memory,
# and "every number once" the least. In the picture each rung is a line between these two, at its expected height.
#
# > **Predict.** What share of its multipliers' peak is each rung expected to reach?

# %%
for name, case in expected.items():
    print(f"{name}: {case.expected / peaks[name]:.0%} of {peaks[name]:g} TFLOP/s, in {case.dtype}")

results_file = Path("../benchmarks/results/h200.json")  # written where there is a card: benchmarks/gpu.sh
measured = json.loads(results_file.read_text(encoding="utf-8")) if results_file.exists() else None
speeds = {row["case"]: row["speed"] for row in measured["rows"]} if measured else {}


def roofs(ax):
    reach = np.geomspace(0.1, 3000, 200)
    for name, peak in PEAKS.items():
        ax.plot(reach, np.minimum(peak, MEMORY * reach), color=panels.INK, linewidth=1.2)
        ax.text(3000, peak * 1.08, f"{name}: {peak:g}", ha="right", va="bottom", fontsize=8, color=panels.INK)
    ax.text(1.7, 9.5, "memory", rotation=29, fontsize=8, color=panels.INK)
    for (name, case), colour in zip(expected.items(), panels.LINES, strict=False):
        flops, least = gpu_cases.work(case)
        ends = per_byte[name], flops / least
        ax.plot(ends, [case.expected] * 2, color=colour, linewidth=1.4)
        ax.plot(ends, [case.expected] * 2, "o", color="white", markeredgecolor=colour)
        ax.text(ends[1] * 1.25, case.expected, f"{name}, expected", fontsize=8, va="center", color=colour)
        if case.key in speeds:
            ax.plot([ends[0]], [speeds[case.key]], "o", color=colour)
    ax.set(xscale="log", yscale="log", ylim=(0.5, 2500))
    ax.set_xticks([0.1, 1, 10, 100, 1000], ["0.1", "1", "10", "100", "1000"])
    ax.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    ax.minorticks_off()
    title = f"an H200: a layer of ViT-B/16, 64 images{'; full dots: measured' if speeds else '; nothing measured yet'}"
    panels.finish_chart(ax, title, "FLOPs per byte: as asked (left) … every number once (right)", "TFLOP/s")


panels.row(roofs, height=4.4)

# %% [markdown]
# The table of the [README](../README.md), its lines about this lesson. It is made by `benchmarks/gpu_report.py` from
# the file of a measurement. Where nobody has measured, it says so; that is not the same as "as expected".

# %%
wanted = ("| op |", "|---", "| linear", "| attention")
table, _, _ = gpu_report.markdown(measured).partition("\n\n| model")
Markdown("\n".join(line for line in table.splitlines() if line.startswith(wanted) or not line.startswith("|")))

# %% [markdown]
# ## 7 · Attention without the N×N matrix
#
# Between its two products, attention has a matrix of N×N scores. Three kernels, one after the other, write it, read it,
# write the probabilities, read those. In halves, with K numbers per head:
#
# $$\frac{\text{FLOPs}}{\text{byte}} = \frac{4N^2K}{2\,(4NK + 4N^2)} \;\xrightarrow{\;N \to \infty\;}\; \frac{K}{2}$$
#
# **Question 5.** K = 64. What share of the tensor cores' 990 TFLOP/s can it have at most, however long the image? (In
# per cent, a whole number; memory brings 4.3 TB per second.)

# %%
answer = ...
### BEGIN SOLUTION
answer = round(100 * 64 / 2 * 4.3 / 990)
### END SOLUTION
check(answer, round(100 * 32 * MEMORY / PEAKS["halves"]), {28: "K/2, not K", 32: "that is FLOPs per byte"})

# %% [markdown]
# The matrix must not leave the multiprocessor. Lesson 10 has shown how *one* row of softmax gets along without having
# seen its end. For a whole head it is twelve lines: the keys come tile after tile, and what was added up before shrinks
# when a larger score turns up.


# %%
def online_head(q, k, v, tile=16):
    # q, k, v (N,K) -> softmax(q kᵀ / √K) v, from N×tile numbers at a time
    largest, total, z = np.full(len(q), -np.inf), np.zeros(len(q)), np.zeros(v.shape)
    for start in range(0, len(k), tile):
        scores = q @ k[start : start + tile].T / np.sqrt(q.shape[1])
        before, largest = largest, np.maximum(largest, scores.max(1))
        weights, shrink = np.exp(scores - largest[:, None]), np.exp(before - largest)
        total = total * shrink + weights.sum(1)
        z = z * shrink[:, None] + weights @ v[start : start + tile]
    return z / total[:, None]


model = minivit.load()
pixels = model.preprocess(ship.draw(32))
trace = model.trace(pixels, keep="block0.attn.*")
q, k, v = (trace[f"block0.attn.{name}"][0, 0] for name in "qkv")
print(
    "head 0 of block 0, difference from the usual way:", abs(online_head(q, k, v) - trace["block0.attn.z"][0, 0]).max()
)

# %% [markdown]
# The same in the kernel (`minivit/ops/attention/gpu_online.py`), a thread per query, in the simulator. And then the
# model itself, with your twelve lines in place of its attention.
#
# > **Predict.** How do the answers change? And what can the trace no longer show?

# %%
few = [array[None, None, :40] for array in (q, k, v)]  # 40 tokens: enough for two tiles of keys
simulated = np.asarray(attention.attend_v2(*few))[0, 0]
assert np.allclose(simulated, online_head(*(array[0, 0] for array in few)), rtol=0, atol=1e-5)


def online_heads(q, k, v):
    # q, k, v (B,H,N,K) -> (B,H,N,K)
    heads = [online_head(*each) for each in zip(*(array.reshape(-1, *q.shape[2:]) for array in (q, k, v)), strict=True)]
    return np.array(heads, q.dtype).reshape(q.shape)


without_matrix = minivit.Model(
    model.config, model.params, dataclasses.replace(model.ops, fused={"attend": online_heads}), model.labels
)
for each in (model, without_matrix):
    print(*each.classify(pixels, 3), sep="   ")

# %%
tokens = np.array([65, 197, 577, 1025, 2305, 4097])
of_attention = {
    "with the matrix": 4 * tokens**2 * 64 / (2 * (4 * tokens * 64 + 4 * tokens**2)),
    "without": 4 * tokens**2 * 64 / (2 * 4 * tokens * 64),
}


def intensity(ax):
    for (name, values), colour in zip(of_attention.items(), panels.LINES, strict=False):
        ax.plot(tokens, values, "o-", color=colour, label=name)
    ridge = PEAKS["halves"] / MEMORY
    ax.axhline(ridge, color=panels.INK, linewidth=1, linestyle="--")
    ax.text(tokens[-1], ridge * 1.1, "enough for the tensor cores", fontsize=8, ha="right", va="bottom")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(tokens, [str(t) for t in tokens])
    ax.set_yticks([10, 100, 1000], ["10", "100", "1000"])
    ax.minorticks_off()
    panels.finish_chart(ax, "attention in halves, 64 numbers per head", "tokens", "FLOPs per byte", legend=True)


panels.row(intensity, height=2.9)

# %% [markdown]
# The answers are the same. What is gone is `attn.probs`: numbers that were never in memory cannot be looked at, which
# is why `trace` runs the parts one by one. Fusion is paid for in windows.
#
# ## 8 · What you cannot know here
#
# * **Seconds.** A simulator has no clock. Registers and instructions can be had without a GPU
#   (`python -m minivit.gpu.machine_code`), time cannot. Hence the column "measured".
# * **The caches.** Between "asked" and "every number once" lies a factor of up to a thousand.
# * **Launches.** A kernel costs some microseconds before its first thread runs. A model of 90 kernels at one image is
#   limited by that, so the library records them once and replays the recording (a CUDA graph).
#
# ## What you have now
#
# * The reason for each rung: share what was fetched; keep it in registers; let 32 threads multiply at once; and all
#   along keep out of each other's way at the banks.
# * A way to find a missing barrier without waiting for the bad day.
# * A forecast from counting, with its error bars, and the habit of writing "not yet measured".
# * Attention in twelve lines, without its matrix.
#
# **Assignment A8** asks for a kernel with shared tiles, `product_kernel`, for a w that lies the other way round, and
# for `online_attention` of all heads at once. The kernel is checked in the simulator, under several orders, and its
# reads are counted. In a notebook: `from minivit.course import check as grade`, then `grade("A8.1", my_kernel)`.
#
# Try next: tiles of 8×8 in `gpu.shared_tiles(FLOAT32, FLOAT32, bare, 8)`: how many questions does it ask? Take the
# second barrier of version 2 away instead of the first: where is it wrong, and why is it no NaN?
