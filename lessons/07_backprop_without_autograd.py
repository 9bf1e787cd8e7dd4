# %% [markdown]
# # 07 · Backprop without autograd
#
# To learn, a model must know for *every* one of its parameters: if this number were a little larger, by how much would
# the loss change? Frameworks answer at the push of a button. This library has no button: it has, below each forward
# function, a second one that was written with pencil and paper.
#
# **The question of this lesson.** Four colleagues have each written a backward pass by hand, and each has made one
# mistake:
#
# | | the mistake |
# |---|---|
# | Gus | takes the slope of ReLU where the model has a GELU |
# | Rita | forgets the division by √K in the backward of the scores |
# | Sam | forgets that the shares of a softmax compete for the same 1 |
# | Lena | forgets that mean and variance of LayerNorm depend on x, too |
#
# All four train a small ViT with it. *Whose loss will fall? And whose mistake will you notice when you look at the
# loss?* Bet now: four names, four words. Section 7 trains all of them, and section 6 has a picture on which each
# mistake is visible at a glance.
#
# About 40 minutes to read; some seconds of CPU. You need the chain rule, and the forward pass of lesson 00.

# %%
import time
from pathlib import Path

import numpy as np
from quiz import check

import minivit
from minivit import check as goldens
from minivit import tiers
from minivit.check import gradcheck
from minivit.config import ViTConfig
from minivit.data import shapes
from minivit.ops.cross_entropy.ref import one_hot
from minivit.train import AdamW, Vector, gradients_of_batch
from minivit.train.start import initial
from minivit.viz import panels, ship
from minivit.viz.scene import colours

# %% [markdown]
# ## 1 · The honest way, and its price
#
# What a derivative *is* you can measure: make one number a little larger, then a little smaller, and look at the loss.
#
# $$\frac{\partial L}{\partial \theta_i} \approx \frac{L(\theta_i + h) - L(\theta_i - h)}{2h}$$
#
# The loss is the cross-entropy of our ship with the label "ship" (lesson 09 says more about it). The number is one red
# sub-pixel.
#
# > **Predict.** The model has far more than a million parameters. With this method, how long for all of them? And how
# > long does the backward pass take for all of them together, in forward passes: 2, 20, or 2000?

# %%
model = minivit.load(dtype="float64")
config, ops, params = model.config, model.ops, model.params
x = model.preprocess(ship.draw(32))
ship_class = model.labels.index("ship")
target = one_hot(np.array([ship_class]), config.classes, dtype=x.dtype)


def loss_of(pixels):
    return ops.cross_entropy(model.run(pixels), target)


nudge = np.zeros_like(x)
nudge[0, 18, 9, 0] = 1e-5
slope = (loss_of(x + nudge) - loss_of(x - nudge)) / 2e-5


def seconds(function, times=5):
    best = np.inf
    for _ in range(times):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


forward, both = seconds(lambda: model.run(x)), seconds(lambda: model.gradients(x, ship_class))
count = minivit.params.count(config)
print(f"slope of the loss along that number: {slope:.10f}")
print(f"{count:,} parameters, two forward passes each: about {2 * count * forward / 3600:.0f} hours")
print(f"forward and backward for all of them: {both / forward:.1f} forward passes")

# %% [markdown]
# Here is what the hours would give, at once: `model.gradients` returns the slope along every pixel and every parameter,
# and along any tensor that you name in `keep`.

# %%
grads = model.gradients(x, ship_class, keep="*")
trace = model.trace(x)
print(f"wiggled  {slope:.10f}")
print(f"backward {grads['image'][0, 18, 9, 0]:.10f}")
grads.table("image,embed.out,block0.*,logits")

# %% [markdown]
# The names are those of the forward pass: `grads["block0.attn.probs"]` has the shape of `trace["block0.attn.probs"]`
# and says, for each of its numbers, how the loss changes with it. From here on, a **d** before a name means this.
#
# **Question 1.** With a pencil: L = y², y = w·x + b, with w = 3, x = 2, b = −4. What is dw, that is ∂L/∂w?

# %%
answer = ...
### BEGIN SOLUTION
answer = 2 * (3 * 2 - 4) * 2
### END SOLUTION
check(
    answer,
    8,
    {4: "that is db, and dy", 12: "that is dx: it goes through w, but dw goes through x", 16: "y is 2, not 4"},
)

# %% [markdown]
# You have used each rule that there is. *Backwards through a product, you multiply by the other factor. Backwards
# through a sum, everybody gets the same.* A backward pass begins at the loss and does this once for every line of the
# forward pass, in reverse.
#
# ## 2 · The first d
#
# $$L = -\sum_c t_c \log p_c, \quad p = \mathrm{softmax}(\text{logits}) \qquad\Longrightarrow\qquad
# d\text{logits} = p - t$$
#
# What the model said, minus what it should have said. It is the loveliest line of the whole subject, and the reason why
# softmax and cross-entropy are always seen together.
#
# > **Predict.** Draw the ten bars for the label "ship", and for the wrong label "cat".

# %%
p = ops.softmax(trace["logits"])[0]
dlogits = grads["logits"][0]
assert np.allclose(dlogits, p - target[0], rtol=0, atol=1e-12)
as_cat = model.gradients(x, model.labels.index("cat"))
blamed = p - one_hot(np.array(model.labels.index("cat")), config.classes, dtype=p.dtype)
panels.row(
    panels.bars(model.labels, dlogits, f"dlogits, label “ship”: loss {grads.loss:.2f}", "slope of the loss"),
    panels.bars(model.labels, blamed, f"dlogits, label “cat”: loss {as_cat.loss:.2f}", "slope of the loss"),
    height=3,
)

# %% [markdown]
# **Question 2.** What is the sum of the ten numbers, whatever picture, model and label?

# %%
answer = ...
### BEGIN SOLUTION
answer = 0
### END SOLUTION
check(answer, round(abs(float(dlogits.sum())), 9), {1: "p sums to one; so does the target"})

# %% [markdown]
# ## 3 · An op pair: the linear layer
#
# $$y = xW + b \qquad\Longrightarrow\qquad dx = dy\,W^\top, \qquad dW = x^\top dy, \qquad db = \sum_{\text{rows}} dy$$
#
# If you forget the formula, let the shapes find it. Walk it through the head: `head.pooled` x is (1, D), W is (D, 10),
# so dy is (1, 10). dx must be (1, D): only dy Wᵀ has that shape. dW must be (D, 10): only xᵀ dy. The sum in db stands
# there because all rows used the same b: *whoever is used many times gets the sum.*


# %%
def same(what, mine, theirs):
    assert mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=0, atol=1e-12 + 1e-10 * abs(theirs).max()), (
        what
    )
    print(f"✓ {what} {mine.shape}: the same numbers as the library's")


pooled, W = trace["head.pooled"], params["head"]["w"]
same("d(head.pooled)", dlogits[None] @ W.T, grads["head.pooled"])
same("d(head.w)", pooled.T @ dlogits[None], grads.params["head"]["w"])
same("d(head.b)", dlogits, grads.params["head"]["b"])

shown = np.argsort(-abs(pooled[0]))[:24]  # the 24 largest numbers of the feature
panels.row(
    panels.heat(pooled.T[shown], "x: 24 numbers"),
    panels.heat(dlogits[None], "dy: 10 numbers"),
    panels.heat(grads.params["head"]["w"][shown], "dW = xᵀ dy: each with each", "10 classes"),
    widths=(1, 3, 3),
    height=2.8,
)

# %% [markdown]
# A forward product costs two passes of the same size backwards, one for dx and one for dW. A ViT is products nearly
# throughout. So forward and backward cost about three forward passes: that is the number that you printed in section 1.
#
# ## 4 · Softmax: competitors
#
# The shares of one row share a sum of 1: if one grows, the others shrink. So *every* score has a slope with respect to
# *every* share, a whole matrix per row, the Jacobian:
#
# $$\frac{\partial p_i}{\partial s_j} = p_i\,(\delta_{ij} - p_j) \qquad\Longrightarrow\qquad
# ds = p \odot \Bigl(dp - \sum_k dp_k\,p_k\Bigr)$$
#
# The right-hand side never forms the matrix, and it needs the *output* p only. Look at the matrix all the same, for a
# row of the model that hesitates and one that has decided.
#
# > **Predict.** Which of the two lets more gradient through?

# %%
probs = np.concatenate([trace[f"block{b}.attn.probs"][0] for b in range(config.blocks)])  # (blocks·heads, N, N)
tops = probs.max(-1)
blur, pointer = (probs[np.unravel_index(i, tops.shape)] for i in (tops.argmin(), tops.argmax()))


def jacobian(row):
    return np.diag(row) - np.outer(row, row)


some = {f"{what}: largest share {row.max():.2f}": row for what, row in (("hesitates", blur), ("has decided", pointer))}
panels.row(
    *(
        panels.heat(jacobian(row)[:33, :33], what, "the first 33 of 65 scores", "shares", True)
        for what, row in some.items()
    ),
    panels.bars(
        list(some), [np.linalg.norm(jacobian(row)) for row in some.values()], "size of the whole matrix (norm)"
    ),
    widths=(3, 3, 4),
    height=3.3,
)

# %% [markdown]
# The nearer a row is to a pointer, the nearer its matrix is to zero (at exactly 1 and 0, all p(1 − p) are 0): **nothing
# comes back through a decision.** This is why lesson 04 made so much ado about √K at the start of training.
#
# Now the op in the model: from `attn.probs` and its d to the d of `attn.scores`.


# %%
def softmax_backward(dp, p):
    return p * (dp - (dp * p).sum(-1, keepdims=True))


dscores = softmax_backward(grads["block0.attn.probs"], trace["block0.attn.probs"])
same("d(block0.attn.scores)", dscores, grads["block0.attn.scores"])
same(
    "…and with the matrix",
    jacobian(trace["block0.attn.probs"][0, 0, 7]) @ grads["block0.attn.probs"][0, 0, 7],
    dscores[0, 0, 7],
)
print(f"largest sum of a row of dscores: {abs(dscores.sum(-1)).max():.0e}")

# %% [markdown]
# Each row of dscores sums to zero: to add the same to all scores changes nothing, so the slope in that direction is
# none.
#
# **Question 3.** That has a consequence. Queries, keys and values have a bias each (`attn.qkv.b` is three of them side
# by side). One of the three gets a gradient of zero, in every block, for every picture, forever. Which: `"q"`, `"k"` or
# `"v"`?

# %%
answer = ...
### BEGIN SOLUTION
answer = "k"
### END SOLUTION
by_part = np.abs(grads.params["blocks"][0]["attn"]["qkv"]["b"]).reshape(3, -1).max(-1)
right = "qkv"[int(by_part.argmin())]
added = "added to all keys, b changes every score of query q by the same q · b"
hints = {"q": f"scores change by b · k, another number for every key. But {added}", "v": "it shifts every z"}
check(answer, right, hints)

# %%
for part, largest in zip("qkv", by_part, strict=True):
    print(f"largest gradient of the bias of {part}: {largest:.1e}")

# %% [markdown]
# A parameter that no training ever moves, and every published ViT carries it along. (What you see in its place is
# rounding.) The golden gradients of the official code have the same zeros: section 8.
#
# ## 5 · LayerNorm: two directions are lost
#
# $$n = \frac{x - \mathrm{mean}}{\sigma}, \quad y = n \cdot \text{scale} + \text{bias}, \quad g = dy \cdot \text{scale}
# \qquad\Longrightarrow\qquad
# dx = \frac{1}{\sigma}\Bigl(g - \mathrm{mean}(g) - n\,\mathrm{mean}(g \odot n)\Bigr)$$
#
# Lena writes g/σ and forgets the rest. What does the rest do? LayerNorm throws two facts about a token away: its mean
# and its length. Nothing that only changes these can change the loss. So dx must have no part in the direction (1, 1,
# …, 1) and none along n. The two terms take these parts out.
#
# > **Predict.** For the token in row 30 of `block0.ln1`: the dot products of dx with (1, …, 1) and with n. And of
# > Lena's?

# %%
z, dy, p_norm = trace["embed.out"], grads["block0.ln1.out"], params["blocks"][0]["ln1"]


def layernorm_backward_lena(dy, x, scale, eps):
    n = x - x.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt(np.square(n).mean(-1, keepdims=True) + eps)
    rows = tuple(range(dy.ndim - 1))
    return dy * scale * inverse, (dy * n * inverse).sum(rows), dy.sum(rows)


n = (z - z.mean(-1, keepdims=True)) / z.std(-1, keepdims=True)
both_ways = {"right": ops.backward.layernorm, "Lena ": layernorm_backward_lena}
for who, backward in both_ways.items():
    dx = backward(dy, z, p_norm["scale"], config.eps)[0][0, 30]
    along_one, along_n = dx.sum() / np.sqrt(dx.size), dx @ n[0, 30] / np.linalg.norm(n[0, 30])
    print(f"{who}: length {np.linalg.norm(dx):.5f}, part along (1, …, 1) {along_one:+.1e}, along n {along_n:+.1e}")

# %% [markdown]
# Two directions of D out of 192. Lena's gradient is *nearly* right for one layer and points *nearly* downhill. Keep
# that in mind for her bet.
#
# ## 6 · The V
#
# Section 1 gave a test that knows nothing about formulas: wiggle. For a backward pass under suspicion, choose a random
# direction, and compare the slope that it claims with the one that is measured, for many step widths h.
#
# > **Predict.** For large h the measurement is bad because the loss is curved. Will it get better and better the
# > smaller h is? What will the curve of error over h look like? And if the backward is *wrong*?


# %%
def gelu_backward_gus(dy, x, kind):
    return dy * (x > 0)


def scores_backward_rita(dscores, q, k):
    return dscores @ k, dscores.swapaxes(-1, -2) @ q


def softmax_backward_sam(dp, p):
    return dp * p


colleagues = {
    "Gus: ReLU's slope": {"gelu_backward": gelu_backward_gus},
    "Rita: no √K": {"scores_backward": scores_backward_rita},
    "Sam: no competition": {"softmax_backward": softmax_backward_sam},
    "Lena: two terms missing": {"layernorm_backward": layernorm_backward_lena},
}
in_ref = tiers.load("ref", "float64")
right_curves = gradcheck.run(in_ref)
ops_of = {"Gus": "gelu tanh", "Rita": "scores", "Sam": "softmax", "Lena": "layernorm"}
wrong_curves = {"softmax, right": right_curves["softmax"]}
for who, how in colleagues.items():
    name = who.split(":")[0]
    wrong_curves[f"{name}’s {ops_of[name]}"] = gradcheck.check_op(ops_of[name], in_ref.replace(**how))
panels.row(lambda ax: gradcheck.draw(ax, right_curves), height=4.4)

# %% [markdown]
# The **V**, in every op, and in a whole model with all its parameters (black). On its right arm the curvature shrinks
# with h². On its left arm the loss is a number of 16 digits, the difference of two of them has fewer, and dividing by a
# tiny h blows the rest up. At best ten digits agree: no accident produces that.
#
# Now the four:

# %%
panels.row(lambda ax: gradcheck.draw(ax, wrong_curves), height=3.8)

# %% [markdown]
# A mistake has no V (one right op is drawn beside the four). The measured slope gets better and better, the claimed one
# does not, and what remains is a flat line **at the height of the mistake**, whatever h is. You need not know the
# formula to read it.
#
# **Question 4.** Why two-sided, L(x + h) − L(x − h)? For L(x) = x³ at x = 1 and h = 0.1 the true slope is 3. What is
# the error of the two-sided quotient (L(1.1) − L(0.9)) / 0.2? (The one-sided one, (L(1.1) − L(1)) / 0.1, is off by
# 0.31.)

# %%
answer = ...
### BEGIN SOLUTION
answer = 0.01
### END SOLUTION
right = round((1.1**3 - 0.9**3) / 0.2 - 3, 9)
check(answer, right, {0.31: "that is the one-sided one", 3.01: "less the true slope", 0.1: "of order h², not h"})

# %% [markdown]
# ## 7 · The bet
#
# A very small ViT, 16 drawn shapes, 60 steps, from the same first weights. Who falls?

# %%
tiny = ViTConfig("tiny", 4, 32, 2, 2, 64, classes=12, image=(32, 32), preprocess=config.preprocess)
pictures, labels = shapes.draw(16)
lesson = minivit.Model(tiny, initial(tiny)).preprocess(pictures)
wanted = one_hot(labels, tiny.classes)


def learn(ops, steps=60, rate=3e-3):
    # -> the loss of every step
    vector, optimiser, losses = Vector(initial(tiny)), AdamW(weight_decay=0), []
    state = optimiser.start(len(vector), np.float32)
    for step in range(steps):
        loss, _, gradient = gradients_of_batch(ops.prepare(vector.tree), lesson, wanted, tiny, ops)
        optimiser.update(vector.numbers, gradient.numbers, state, rate, step)
        losses.append(loss)
    return losses


fast = tiers.load("ref", "float32")
fates = {"all right": learn(fast), **{who: learn(fast.replace(**how)) for who, how in colleagues.items()}}
for who, losses in fates.items():
    print(f"{who:24s} loss {losses[0]:.3f} → {losses[-1]:.3f}")
panels.row(panels.curves(np.arange(60), fates, "loss while learning", "step"), height=3.6)

# %% [markdown]
# **All five fall.** Gus's curve lies on the right one: the slopes of ReLU and GELU agree for most numbers, and the
# optimiser makes up for the rest. Rita's is hardly behind. Only Sam and Lena are clearly worse, and only *because the
# blue line is there to compare with*. Without it Sam says "my rate is a bit high", Lena says "it needs more steps", and
# both go on for a week. A gradient that points only roughly downhill still leads downhill.
#
# That is the answer to the question of this lesson: a falling loss is no test of a backward pass. Some of the mistakes
# cost nothing today (on 16 pictures), and no curve tells which line of which file is wrong. The V of each op does.
#
# ## 8 · And against the official code
#
# The V says that our backward fits our forward. It cannot say that our forward is the right one. For that, this
# repository holds gradients that the *official* JAX code computed, for a small model, two kinds of labels, and every
# parameter: the golden case `grad__vit_token`.

# %%
folder = Path(minivit.__file__).parents[1] / "tests" / "golden" / "grad__vit_token"


def official():
    if not folder.exists():
        return print("the golden gradients come with a clone of the repository, not with an installed package")
    verdicts = [v for v in goldens.run(folder, dtype="float64") if "/grad" in v.name]
    errors = np.array([max(v.error, 1e-19) for v in verdicts])
    print(f"{sum(v.ok for v in verdicts)} of {len(verdicts)} gradients agree; the largest error is {errors.max():.0e}")

    def draw(ax):
        ax.plot(np.log10(errors), "o", color=panels.LINES[0], markersize=4)
        ax.axhline(np.log10(verdicts[0].tolerance), color=panels.MARK, linewidth=1, linestyle="--", label="allowed")
        ticks = range(-18, -8, 2)
        ax.set_yticks(ticks, [f"1e{t}" for t in ticks])
        panels.finish_chart(ax, "error of every gradient, relative to the largest", "gradient", "", legend=True)

    return panels.row(draw, height=2.8)


official()

# %% [markdown]
# Fourteen digits or more. Two programs that share nothing but the paper agree as closely as float64 can tell.
#
# ## 9 · What a gradient is good for, besides learning
#
# Two last looks. First: blame runs backwards. After the last block, the head reads the class token only.
#
# **Question 5.** For how many of the 65 tokens of the last `resid_post` is the gradient not zero?

# %%
answer = ...
### BEGIN SOLUTION
answer = 1
### END SOLUTION
last = config.blocks - 1
blame = np.stack(
    [np.linalg.norm(grads[f"block{b}.resid_post"][0], axis=-1) for b in range(config.blocks)]
)  # (blocks, N)
check(answer, int((blame[last] > 0).sum()), {65: "who reads the other 64 after that block?", 64: "the other way round"})

# %%
rgb = colours(x[0], config)
some = list(dict.fromkeys(np.linspace(last, 0, min(config.blocks, 6)).round().astype(int)))
of_patches = [blame[b, config.prefix :].reshape(config.grid) for b in some]
panels.row(
    *(
        panels.overlay(rgb, m, f"block {b}", below=f"class token: {blame[b, 0]:.2g}")
        for b, m in zip(some, of_patches, strict=True)
    ),
    height=2.7,
)

# %% [markdown]
# From left to right, backwards: after the last block all patches are dark. What they say is never read any more, and
# most of the last block's work on them was done for nothing. One block earlier they matter, because the class token
# will *look* at them: the gradient flows against the attention, and a patch that nobody looks at cannot be blamed.
# Further back every patch has passed something on to others, too.
#
# Second: gradients of pixels. Every pixel moves by the same small amount, ε, either up or down. Once at random, once as
# the sign of its gradient says, so that the loss rises (Goodfellow et al.,
# [arXiv:1412.6572](https://arxiv.org/abs/1412.6572)).
#
# > **Predict.** Colours run from −1 to 1. By how much does P(ship) fall at ε = 0.04: along the gradient, and at random?

# %%
sizes = np.array([0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08])
directions = {
    "along the gradient": np.sign(grads["image"]),
    "at random": np.random.default_rng(0).choice([-1.0, 1.0], x.shape),
}
chances = {
    what: ops.softmax(model.run(np.concatenate([x + size * step for size in sizes])))[:, ship_class]
    for what, step in directions.items()
}
moved = {what: x + 0.04 * step for what, step in directions.items()}
for what, pixels in moved.items():
    print(f"ε = 0.04 {what:18s}", *model.classify(pixels[0], 2), sep="  ")
panels.row(
    *(panels.picture(colours(pixels[0], config), f"ε = 0.04 {what}") for what, pixels in moved.items()),
    panels.curves(sizes, chances, "P(ship)", "ε, per pixel"),
    widths=(2, 2, 4),
    height=2.9,
)

# %% [markdown]
# To a human the two pictures are equally grainy. For the model one of them is on its way to another class, and the
# other is the same ship as before. Three thousand tiny pushes, all in the direction that counts, add up; as many random
# ones cancel. The gradient knows the direction; noise does not. How far the ship can be pushed before it sinks is a
# property of the model, and one that accuracy does not show.
#
# ## What you have now
#
# * Backwards through a product: times the other factor. Backwards through a sum: the same for all. Used many times: the
#   sum.
# * The V, a test that needs no formula, finds every mistake, and tells its size.
# * A bet that shows why you need it: a loss that falls proves nothing.
#
# **Assignment A6** asks for all of these backwards, from `linear_backward` to `cross_entropy_backward`. In a notebook:
# `from minivit.course import check as grade`, then `grade("A6.4", my_softmax_backward)`; each is checked with a V.
#
# Try next: Gus, Rita, Sam and Lena in one model (`fast.replace(**a, **b, …)`); `gradcheck.check_op` with float32 ops:
# how deep is that V? Gradients for the label "cat" in the last experiment: push the ship until it is one.
