# %% [markdown]
# # 03 · Numerics that matter
#
# Six people port the same model. Each of them takes one liberty that looks like a matter of taste:
#
# | | the liberty |
# |---|---|
# | Ada | computes everything in float32 instead of float64 |
# | Ben | takes GELU with erf where the weights were trained with tanh |
# | Chen | takes ε = 1e-5 in LayerNorm (PyTorch's default) instead of 1e-6 |
# | Dana | puts ε outside the square root |
# | Emil | divides the variance by n − 1 |
# | Fay | computes softmax in float16, without subtracting the largest score |
#
# **The question of this lesson.** Five of the six models still say "ship". One says *nothing at all*. *Which one
# breaks, who of the others does the most damage, and where does one see it?* Rank the six now, from harmless to
# harmful, and write your list down. Section 5 shows the damage to every block.
#
# About 40 minutes to read, a few seconds of CPU. You need softmax, LayerNorm and GELU as lesson 00 has shown them.

# %%
import math

import numpy as np
from quiz import check, deit_tiny

import minivit
from minivit import tiers
from minivit.viz import panels, picture, ship
from minivit.viz.scene import colours

# %% [markdown]
# The truth of this lesson is the model in float64. `ops.replace` puts one function of ours in the place of the model's,
# everywhere, and nothing else changes: the liberty runs inside a trained model.

# %%
model = minivit.load(dtype="float64")
config, ops = model.config, model.ops
x = model.preprocess(ship.draw())
truth = model.trace(x)


def run_with(**functions):
    """A trace of the same model with some functions swapped."""
    changed = minivit.Model(config, model.params, ops.replace(**functions), model.labels)
    return changed.trace(x)


def error(trace, name):
    """How far a tensor is off, relative to its largest true number."""
    return abs(trace[name] - truth[name]).max() / abs(truth[name]).max()


print(model.top(truth["logits"][0], 1)[0], f"  {config.gelu} GELU, eps {config.eps}")

# %% [markdown]
# ## 1 · Fay: the largest number of float16
#
# $$\mathrm{softmax}(x)_j = \frac{e^{x_j}}{\sum_k e^{x_k}}$$
#
# The formula is right, and still it may not be computed as it stands. Take the first block in which a score exceeds
# 11, and walk one row through the formula: all 65 scores of one query, the one with the largest score.

# %%
largest = np.array([truth[f"block{i}.attn.scores"].max() for i in range(config.blocks)])
assert largest.max() > 11.1, "no score of this model is too large for float16: take another picture"
first = int((largest > 11.1).argmax())
scores = truth[f"block{first}.attn.scores"][0]  # (heads, 65, 65)
head, query, key = np.unravel_index(scores.argmax(), scores.shape)
row = scores[head, query]
with np.errstate(over="ignore", invalid="ignore"):
    e = np.exp(row.astype(np.float16))
    shares = e / e.sum()
print(f"block {first}, head {head}, query {query}: its largest score is {row.max():.1f}, for key {key}")
print("exp of it:", np.exp(row.max()), " in float16:", e[key])
print(
    "their sum:", e.sum(), " so the shares are NaN for", np.isnan(shares).sum(), "keys and 0 for", (shares == 0).sum()
)

# %% [markdown]
# **Question 1.** The largest number of float16 is 65504. What is the smallest *whole* score whose exp does not fit
# any more?

# %%
answer = ...
### BEGIN SOLUTION
answer = math.floor(math.log(65504)) + 1
### END SOLUTION
check(answer, 12, {11: f"exp(11) = {math.exp(11):.0f} still fits", 65505: "that is the number; its logarithm is asked"})

# %% [markdown]
# (float32 ends at 3.4e38, so there the limit is 88.7. It protects you longer, not forever.)
#
# ∞/∞ is not a number, NaN. The remedy costs nothing, because a constant added to all scores cancels out, and the
# constant −max makes the largest exponent 0:
#
# $$\frac{e^{x_j - c}}{\sum_k e^{x_k - c}} = \frac{e^{-c}\,e^{x_j}}{e^{-c}\sum_k e^{x_k}} = \mathrm{softmax}(x)_j$$
#
# Now Fay's softmax, in the model. In this first block only the rows with large scores break.
#
# > **Predict.** How many of the 65 tokens are NaN after this block? After the next one? After the last? (A token is
# > NaN if any of its 192 numbers is.)


# %%
def softmax_float16(x):
    e = np.exp(x.astype(np.float16))
    return (e / e.sum(-1, keepdims=True)).astype(x.dtype)


def careful_float16(x):
    return softmax_float16(x - x.max(-1, keepdims=True))


with np.errstate(over="ignore", invalid="ignore"):
    fay = run_with(softmax=softmax_float16)
sick = [np.isnan(fay[f"block{i}.resid_post"][0]).any(-1) for i in range(config.blocks)]  # (65,) each
for i, ill in enumerate(sick):
    print(f"block {i}: largest true score {largest[i]:5.1f}   NaN tokens {ill.sum():2d} of 65")

# %%
rgb = colours(x[0], config)


def with_sick(ill, title):
    # the picture with its NaN patches in red
    marked = rgb.copy()
    mask = np.kron(ill[config.prefix :].reshape(config.grid), np.ones((config.patch,) * 2)).astype(bool)
    marked[mask] = 0.25 * marked[mask] + 0.75 * np.array([0.84, 0.15, 0.16])
    return panels.picture(marked, f"{title}: {ill.sum()} of 65 tokens")


healthy, shown = np.zeros(config.tokens, bool), range(first, min(first + 2, config.blocks))
panels.row(with_sick(healthy, "before"), *(with_sick(sick[i], f"NaN after block {i}") for i in shown), height=3.7)

# %% [markdown]
# NaN is contagious, and attention is how it spreads. A sick token has sick keys and values; every other token
# multiplies its shares with *all* values, and 0 · NaN is NaN. So one sick token in block *i* means 65 sick tokens
# after block *i* + 1. **One number too large in one head, and the whole picture is gone one block later.**
#
# With the subtraction, the same float16 works. Three digits are what its eleven bits can hold:

# %%
careful = run_with(softmax=careful_float16)
print(model.top(careful["logits"][0], 1)[0], f"  logits off by {error(careful, 'logits'):.0e}")

# %% [markdown]
# ## 2 · Ben: two GELUs
#
# $$x\,\Phi(x) = \tfrac{x}{2}\bigl(1 + \mathrm{erf}(x/\sqrt2)\bigr) \;\approx\;
# \tfrac{x}{2}\Bigl(1 + \tanh\bigl(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\bigr)\Bigr)$$
#
# The left one is the definition ([arXiv:1606.08415](https://arxiv.org/abs/1606.08415)); timm and Hugging Face compute
# it. The right one is an approximation from the time when erf was slow; the JAX weights were trained with it, and so
# was the model in the box.
#
# > **Predict.** Draw the difference of the two over x, from −5 to 5, before you look. How large will it be at most?

# %%
line = np.linspace(-5, 5, 401)
exact, approximate = ops.gelu(line, "erf"), ops.gelu(line, "tanh")
hidden = truth["block0.mlp.pre"]
panels.row(
    panels.curves(line, {"erf": exact, "tanh": approximate}, "both GELUs", "x"),
    panels.curves(line, {"d": 1e4 * (approximate - exact)}, "their difference, times 10 000", "x"),
    panels.histogram(hidden, "where this model is: block 0 before GELU", "block0.mlp.pre"),
)

# %% [markdown]
# At most 4.7e-4, and largest between 2 and 3, on both sides. Looking at the curve on the left, nobody would notice; a
# test that demands four digits does.
#
# **Question 2.** A trap while we are here. In NumPy 2 a Python number leaves the dtype of an array alone; a NumPy
# number does not. `x` is float32. What is the dtype of `x * np.sqrt(2 / np.pi)`? Answer with a string.

# %%
answer = ...
### BEGIN SOLUTION
answer = "float64"
### END SOLUTION
right = str((np.ones(1, np.float32) * np.sqrt(2 / np.pi)).dtype)
check(answer, right, {"float32": "np.sqrt gives a np.float64, which is stronger; math.sqrt gives a Python number"})

# %% [markdown]
# One such constant, and half the model silently computes in float64, at half the speed. `minivit/ops/gelu/ref.py` says
# `math.sqrt`.
#
# ## 3 · Emil: n or n − 1
#
# $$\mathrm{LN}(x) = \frac{x - \mathrm{mean}(x)}{\sqrt{\mathrm{var}(x) + \varepsilon}} \cdot \text{scale} + \text{bias},
# \qquad \mathrm{var}(x) = \frac{1}{n}\sum_i (x_i - \mathrm{mean}(x))^2$$
#
# Statistics courses divide by n − 1, and so does `torch.var` unless it is told otherwise. LayerNorm divides by n.
#
# > **Predict.** n is 192 here. By how many per cent do Emil's normalised tokens differ, before scale and bias?

# %%
z = truth["embed.out"][0]
centred = z - z.mean(-1, keepdims=True)
by_n, by_less = (centred / np.sqrt(np.square(centred).sum(-1, keepdims=True) / n) for n in (192, 191))
print("quotient, for some tokens:", (by_less / by_n)[[0, 1, 30, 64], 0])

# %% [markdown]
# **Question 3.** The same for all tokens, of all pictures, in all blocks: √(191/192). How many per cent are missing,
# rounded to two digits behind the point?

# %%
answer = ...
### BEGIN SOLUTION
answer = round(100 * (1 - math.sqrt(191 / 192)), 2)
### END SOLUTION
check(answer, 0.26, {0.52: "that is the variance; the root halves it", 99.74: "that is what is left"})

# %% [markdown]
# A quarter of a per cent, everywhere. That is five times the largest difference between the two GELUs. The next layer's
# scale could absorb it *in training*. Weights that were trained with n have absorbed nothing.
#
# ## 4 · Chen and Dana: where ε is felt
#
# ε keeps a token of variance 0 from being divided by zero. For all others it should not matter, and whether it does
# depends on one comparison: how large is ε beside the variance? Here are the variances of all tokens on their way.
#
# > **Predict.** In which LayerNorm of the model is ε felt most?

# %%
inputs = ["embed.out"] + [f"block{i}.{part}" for i in range(config.blocks) for part in ("resid_mid", "resid_post")]
variances = np.array([truth[name][0].var(-1) for name in inputs])  # (LayerNorms, 65)


def on_the_way(ax):
    ax.plot(np.log10(variances[:, 1:]), color=panels.LINES[0], alpha=0.25, linewidth=0.8)
    ax.plot(np.log10(variances[:, 0]), color=panels.MARK, linewidth=1.8, label="class token")
    for power, style in ((-5, "--"), (-6, ":")):
        ax.axhline(power, color=panels.INK, linestyle=style, linewidth=1, label=f"ε = 1e{power}")
    ax.set_yticks(range(-6, 3), [f"1e{power}" for power in range(-6, 3)])
    title = "variance of each token in front of each LayerNorm (blue: patches)"
    panels.finish_chart(ax, title, "LayerNorm, in order", "", legend=True)


chen = run_with(layernorm=lambda x, scale, bias, eps: ops.layernorm(x, scale, bias, 1e-5))
off = abs(chen["block0.ln1.out"] - truth["block0.ln1.out"])[0].max(-1)
patch_map = off[config.prefix :].reshape(config.grid)
panels.row(
    on_the_way,
    panels.overlay(rgb, patch_map, "Chen's error in block0.ln1.out", below=f"class token: {off[0]:.2g}"),
    widths=(5, 3),
    height=3.2,
)

# %% [markdown]
# Only at the very beginning are there small variances. Later the blocks have added so much to the stream that no ε up
# of the usual size could be felt. So Chen's mistake sits in **one** LayerNorm, in the tokens with the smallest
# variance: look for the class token, and for the flattest patches.
#
# Dana has another ε at the same place: √var + ε instead of √(var + ε). For var ≫ ε there is hardly a difference.
#
# > **Predict.** Dana's test compares with the right function on 1000 random tokens, ε = 1e-6, and asks for six
# > digits. Does it find the mistake? What if the *test* takes ε = 0.1?


# %%
def layernorm_outside(x, scale, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / (np.sqrt(np.square(centred).mean(-1, keepdims=True)) + eps) * scale + bias


sample = np.random.default_rng(0).standard_normal((1000, 192))
for eps in (1e-6, 0.1):
    off = abs(layernorm_outside(sample, 1, 0, eps) - ops.layernorm(sample, 1, 0, eps)).max()
    print(f"eps {eps}: largest difference {off:.1e}")

# %% [markdown]
# **A test must choose its input so that the mistake is large.** With ε = 1e-6 the test above is green for years. With
# ε = 0.1, which no model uses, it is red at once. The checker of assignment A2 does exactly that.
#
# ## 5 · The damage, block by block
#
# All six in the same model. The figure shows *right digits*, −log₁₀ of the relative error, of the residual stream after
# every block, and of the logits.
#
# > **Predict.** Take out your list. And: does an error grow from block to block, stay, or shrink?


# %%
def layernorm_unbiased(x, scale, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.square(centred).sum(-1, keepdims=True) / (x.shape[-1] - 1) + eps) * scale + bias


def liberties(config, ops):
    """{who and what: the functions they swap}."""
    other = {"erf": "tanh", "tanh": "erf"}[config.gelu]
    return {
        f"Ben: {other} GELU": {"gelu": lambda h, kind: ops.gelu(h, other)},
        "Chen: eps 1e-5": {"layernorm": lambda x, scale, bias, eps: ops.layernorm(x, scale, bias, 1e-5)},
        "Dana: eps outside": {"layernorm": layernorm_outside},
        "Emil: n − 1": {"layernorm": layernorm_unbiased},
        "Fay: float16, careless": {"softmax": softmax_float16},
        "Fay, with the maximum": {"softmax": careful_float16},
    }


def damage(model, x):
    """({who: logits}, {who: right digits of each tensor}, names of the tensors)."""
    names = ["block0.ln1.out", *(f"block{i}.resid_post" for i in range(model.config.blocks)), "logits"]
    truth = model.trace(x, keep=names)
    ada = minivit.Model(model.config, model.params, tiers.load("ref", "float32"))
    runs = {"Ada: float32": ada.trace(x, keep=names)}
    with np.errstate(over="ignore", invalid="ignore"):
        for who, functions in liberties(model.config, model.ops).items():
            changed = minivit.Model(model.config, model.params, model.ops.replace(**functions))
            runs[who] = changed.trace(x, keep=names)
    share = {who: [abs(t[n] - truth[n]).max() / abs(truth[n]).max() for n in names] for who, t in runs.items()}
    digits = {who: -np.log10(np.clip(errors, 1e-8, 1)) for who, errors in share.items()}
    return {who: trace["logits"][0] for who, trace in runs.items()}, digits, names


def damage_map(digits, names, title):
    """A panel: a row per person, a column per tensor; NaN counts as no digit at all."""
    table = np.nan_to_num(np.array(list(digits.values())))

    def draw(ax):
        panels.matrix(table, title, fmt="{:.1f}")(ax)
        ax.set_yticks(range(len(digits)), list(digits), fontsize=9)
        short = [n.replace("resid_post", "out").replace("block0.ln1.out", "first\nLayerNorm") for n in names]
        ax.set_xticks(range(len(names)), short, fontsize=8)

    return draw


answers, digits, names = damage(model, x)
for who, logits in answers.items():
    print(f"{who:24s}", "NaN" if np.isnan(logits).any() else model.top(logits, 1)[0])
panels.row(damage_map(digits, names, "right digits (8: eight or more; 0: none)"), height=3.6)

# %% [markdown]
# Read it in this order.
#
# * **Ada's row is the measure for all others.** She has done nothing wrong: this is what rounding to float32 costs,
#   between six and seven digits here. A port is right if it is about as good as this row. One of two or three digits
#   is a *mistake that happens to say "ship"*.
# * **Fay's** is the only one that an end-to-end look would find. It is also the only one that nobody can overlook.
# * **Emil's** is the largest of the silent ones: the same quarter of a per cent in every block.
# * **Chen's and Dana's** are worst in the first LayerNorm, and diluted by all that later blocks add to the stream.
# * **Ben's** is invisible before the first MLP, since there is no GELU before: *where* an error begins tells *what* is
#   wrong. Lesson 05 makes a tool of that.
#
# **Question 4.** How many of the seven runs would pass a test that only asks whether the most probable class is right?

# %%
answer = ...
### BEGIN SOLUTION
answer = sum(not np.isnan(logits).any() and logits.argmax() == truth["logits"].argmax() for logits in answers.values())
### END SOLUTION
right = sum(logits.argmax() == truth["logits"].argmax() for logits in answers.values() if np.isfinite(logits).all())
check(answer, right, {7: "NaN is not a class", 1: "count the lines above the figure that name the right class"})

# %% [markdown]
# **Optional, with official weights.** DeiT-tiny has twelve blocks, and trained with erf: here Ben is the one who
# takes tanh. The cell says so if the weights are not there.

# %%
deit = deit_tiny(dtype="float64")


def damage_to_deit():
    _, digits, names = damage(deit, deit.preprocess(picture.draw()))
    return panels.row(
        damage_map(digits, [n.removeprefix("block") for n in names], "DeiT-tiny: right digits"), height=3.4
    )


damage_to_deit() if deit else None

# %% [markdown]
# In DeiT-tiny errors *grow* with depth, even those of honest rounding. Which of the four liberties costs the most
# digits, and in which block does it jump? A list made on one model is not a list for all: measure yours.
#
# ## 6 · One more: the variance in one pass
#
# var = mean(x²) − mean(x)² needs one pass over the data instead of two, so it is tempting. The two means may be large
# and nearly equal, and their difference is what rounding left over.
#
# > **Predict.** Tokens of variance 1, in float32, shifted by 10, 100, 1000, 10 000. From where on is the variance
# > nonsense?

# %%
tokens = np.random.default_rng(0).standard_normal((100, 192))
tokens /= tokens.std(-1, keepdims=True)
for shift in (0, 10, 100, 1000, 10_000):
    v = (tokens + shift).astype(np.float32)
    two = np.square(v - v.mean(-1, keepdims=True)).mean(-1)
    one = np.square(v).mean(-1) - np.square(v.mean(-1))
    ranges = (f"{variance.min():10.6f} … {variance.max():.6f}" for variance in (two, one))
    print("shift {:6d}:   two passes {}   one pass {}".format(shift, *ranges))

# %% [markdown]
# Smallest and largest variance of a hundred tokens, all of which should be 1. Every factor of 10 costs about two
# digits, since the squares grow by 100. In the last line some "variances" are negative, and the root of such a one is
# NaN. You know from section 1 how that story goes on.
#
# ## What you have now
#
# * Why softmax subtracts the maximum: one overflow in one head, and a block later all tokens are gone.
# * The size of each mistake in digits, beside that of honest rounding, which is the only fair measure.
# * The rule for tests: choose the input that makes the mistake large (ε = 0.1, scores of ±10 000, a shifted token).
#
# **Assignment A2** asks for these functions, and its checks are the experiments of this lesson. Each is checked on
# its own:
#
# ```python
# from minivit.course import check as grade
#
# grade("A2.1", softmax)  # A2.2: layernorm, A2.3: gelu_tanh, A2.4: gelu_erf
# ```
#
# Try next: ε = 1e-12 (Hugging Face) for Chen; a white picture (`np.full((32, 32, 3), 255, np.uint8)`) and its
# variances; put `careful_float16` into `layernorm` by computing it in float16, too.
