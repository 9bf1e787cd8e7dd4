# %% [markdown]
# # 04 · One head by hand
#
# Everything in a Transformer except attention treats each token by itself. Attention is the only place where one patch
# can learn anything from another, and it is three lines of arithmetic.
#
# **The question of this lesson.** *Let one head paint: replace every patch of our ship by what this head fetches for
# it. What will the picture look like? And what becomes of it if you forget the famous division by √d?* Draw a small
# sketch of both before you go on. You will see them in section 3.
#
# You begin with three tokens and a pencil, go on with one query of the real model, then turn one knob and look. About
# 40 minutes to read; a few seconds of CPU. Equations are those of
# [arXiv:2010.11929](https://arxiv.org/abs/2010.11929), appendix A.

# %%
import numpy as np
from quiz import check, deit_tiny

import minivit
from minivit.viz import maps, mosaic, panels, picture, ship, statistics
from minivit.viz.explorer import explore
from minivit.viz.scene import colours

# %% [markdown]
# ## 1 · With a pencil
#
# Each token has a **query** (what it looks for), a **key** (what it has to offer) and a **value** (what it hands over),
# each of K numbers. One token's turn:
#
# $$s_j = \frac{\mathbf{q} \cdot \mathbf{k}_j}{\sqrt{K}}, \qquad
# A_j = \frac{e^{s_j}}{\sum_i e^{s_i}}, \qquad \mathbf{z} = \sum_j A_j \mathbf{v}_j$$
#
# **Question 1.** K = 4, q = (1, 3, 0, 2), k = (2, 0, 5, 2). What is the score?

# %%
answer = ...
### BEGIN SOLUTION
answer = 3
### END SOLUTION
check(
    answer, 3, {6: "divide by the root of K", 1.5: "by √K = 2, not by K = 4", 10: "multiply place by place, then add"}
)

# %% [markdown]
# **Question 2.** Three tokens have the scores (0, ln 2, 0) and the values (4, 0), (0, 4), (8, 8). What is z? Answer
# with a pair, such as `(1, 2)`.

# %%
answer = ...
### BEGIN SOLUTION
answer = (3, 4)
### END SOLUTION
hints = {(0, 4): "that is the value of the best key only", (4, 4): "that is the plain mean; exp makes shares 1 : 2 : 1"}
check(answer, (3, 4), {**hints, (12, 16): "the shares must sum to one"})

# %% [markdown]
# So z is an **average** of values, a weighted one. This is all that a head can do: it never makes anything that is not
# between the values. Its whole cleverness is in the weights.
#
# **Question 3.** A picture of one patch and no class token: N = 1. What is z, whatever q and k may be? Answer with a
# letter.

# %%
answer = ...
### BEGIN SOLUTION
answer = "v"
### END SOLUTION
check(answer, "v", {"q": "queries only decide on shares, and there is one share", "1": "that is the share; z = 1 · v"})

# %% [markdown]
# Remember this one. A test with N = 1 sees the value path *alone*: if it fails, do not look for the mistake in the
# softmax.
#
# ## 2 · One query of a real model
#
# We follow one query through `block0.attn`. The trace has each step: q, k, v (heads, N, K) → scores (heads, N, N) →
# probs → z (heads, N, K). We choose the head of block 0 that is the most decided (least entropy), and a patch of the
# ship. Choose others if you like.

# %%
model = minivit.load(dtype="float64")
config, params = model.config, model.params
x = model.preprocess(ship.draw(32))
trace = model.trace(x)
rgb = colours(x[0], config)
rows, columns = config.grid
K = config.head_width

block, place = 0, (4, 2)  # the patch in row 4, column 2
q, k, v, probs = (trace[f"block{block}.attn.{name}"][0] for name in ("q", "k", "v", "probs"))
head = int(statistics.entropy(probs).mean(-1).argmin())
i = config.prefix + place[0] * columns + place[1]  # its number among the tokens
print(f"head {head} of {config.heads}, token {i} of {config.tokens}, K = {K}")
trace.table(f"block{block}.attn.*")

# %% [markdown]
# > **Predict.** How many multiplications does the next cell do for this one query? (65 dot products, then 65 weighted
# > values, of K numbers each.)

# %%
score = np.array([q[head, i] @ k[head, j] for j in range(config.tokens)]) / np.sqrt(K)
share = np.exp(score - score.max())
share /= share.sum()
z = sum(share[j] * v[head, j] for j in range(config.tokens))

assert np.allclose(score, trace[f"block{block}.attn.scores"][0, head, i])
assert np.allclose(share, probs[head, i])
assert np.allclose(z, trace[f"block{block}.attn.z"][0, head, i])
print("✓ scores, shares and z of this query: the same numbers as the model's, after", 65 * K * 2, "multiplications")

on_grid = (rows, columns)
panels.row(
    panels.picture(rgb, "this patch asks", config.patch, mark=place),
    panels.heat(score[1:].reshape(on_grid), f"65 scores (64 of patches), head {head}", square=True),
    panels.overlay(rgb, share[1:].reshape(on_grid), "65 shares", mark=place, below=f"class token: {share[0]:.2g}"),
    height=3.7,
)

# %% [markdown]
# Compare the two maps: exp has made winners. A score that is larger by 1 has 2.7 times the share, one that is larger
# by 5, 150 times. So the *spread* of the scores decides how choosy the token is. Keep that in mind for √K.
#
# For all tokens at once, the 65 dot products of 65 queries are one matrix product (eq. 6 and 7), and the heads are one
# more axis in front:
#
# $$A = \mathrm{softmax}\!\left(\mathbf{q}\,\mathbf{k}^\top / \sqrt{D_h}\right), \qquad
# \mathrm{SA}(\mathbf{z}) = A\mathbf{v}$$
#
# `attend` in `minivit/models/vit.py` is these two equations: `ops.scores`, `ops.softmax`, `ops.mix`.
#
# ## 3 · A head paints
#
# A head averages *values*, and values are vectors in a space that nobody can see. So let us hand it something else to
# average: in place of each patch's value, **the patch's own pixels**. The shares stay those of the model. Every patch
# is painted over with the mixture of patches that this head fetches for it.
#
# > **Predict.** Here your sketch is due. And: will the heads of the first blocks or those of the last paint the better
# > ship? A head that looks everywhere alike makes which picture?


# %%
def patches_of(x):
    # (h, w, 3) -> (patches, P·P·3)
    squares = x.reshape(rows, config.patch, columns, config.patch, 3).transpose(0, 2, 1, 3, 4)
    return squares.reshape(rows * columns, -1)


def painting(A):
    # A (patches, patches), rows sum to one -> the picture (h, w, 3) in which each patch is its mixture
    mixed = (A @ patches_of(x[0])).reshape(rows, columns, config.patch, config.patch, 3)
    return colours(mixed.transpose(0, 2, 1, 3, 4).reshape(x.shape[1:]), config)


def among_patches(scores):
    # scores (..., N, N) -> shares among the patches only, the class token left out
    return model.ops.softmax(scores[..., config.prefix :, config.prefix :])


shares = [among_patches(trace[f"block{b}.attn.scores"][0]) for b in range(config.blocks)]  # (heads, 64, 64) each
gallery = np.array([[painting(A[h]) for A in shares] for h in range(config.heads)])
title = f"one ship, {config.heads * config.blocks} painters"
panels.row(mosaic.grid(gallery, title, rows="head", columns="block", gap=3), height=1.2 * config.heads + 0.3)

# %% [markdown]
# You can tell painters apart: those who wash neighbours together, those who fetch one kind of patch from all over the
# picture and hang it everywhere, and those who paint nearly the same grey-blue patch 64 times, because they look at
# all patches alike. The heads differ; that is why there are several.
#
# (This is a game with pixels, but the shares are real. What a head really hands over are values, and a value may hold
# anything about its patch. For trained models the game is prettiest in the first blocks: see the balloon at the end.)
#
# Now the knob. Multiply all scores of one head by a number before the softmax: by 0, by 1 (the model), by √K, which
# is **the model without the division**, and by 1/√K, for somebody who divides by K instead of √K.
#
# > **Predict** the two ends: times 0, and times 1000.

# %%
scores = trace[f"block{block}.attn.scores"][0]
knob = {
    "times 0": 0,
    "1/√K: divided by K": K**-0.5,
    "times 1: the model": 1,
    "√K: never divided": K**0.5,
    "times 1000": 1000,
}
panels.row(*(panels.picture(painting(among_patches(s * scores[head])), name) for name, s in knob.items()), height=2.4)

# %% [markdown]
# From left to right: a **blur** (everybody gets the mean of all patches, and the ship is gone), and at last a
# **pointer** (every patch is a copy of exactly one). *Attention is the way between the two, and √K says where on it
# you stand.*
#
# The same as a curve, for all heads. The entropy −Σ A log A of a row is log 65 for the blur and 0 for the pointer; e
# to the entropy is, roughly, **the number of tokens a query listens to**.

# %%
factors = np.geomspace(0.03, 300, 50)
heard = np.array([np.exp(statistics.entropy(model.ops.softmax(s * scores))).mean(-1) for s in factors])  # (50, heads)


def listening(ax):
    for h in range(config.heads):
        ax.plot(np.log10(factors), heard[:, h], color=panels.LINES[h], label=f"head {h}")
    for name, s in {"÷ K": K**-0.5, "÷ √K": 1, "not divided": K**0.5}.items():
        ax.axvline(np.log10(s), color=panels.INK, linewidth=0.8, linestyle="--")
        ax.text(np.log10(s), 66, f" {name}", fontsize=8, color=panels.INK)
    ax.set_xticks((-1, 0, 1, 2), ("0.1", "1", "10", "100"))
    title = "how many of the 65 tokens a query listens to, on average"
    panels.finish_chart(ax, title, "scores multiplied by", "tokens", legend=True)


panels.row(listening, height=3.4)

# %% [markdown]
# ## 4 · Why the root, and why of K
#
# A dot product of two random vectors is a sum of K products. If their numbers have variance 1, each product has
# variance 1, and the sum K: it spreads like √K. Divided by √K, it spreads like 1 whatever K is.
#
# > **Predict.** 65 random keys, K = 1024, no division. How large is the largest share of a row?

# %%
rng = np.random.default_rng(0)
print("     K   spread of q·k   largest share: not divided   ÷ √K    ÷ K")
for width in (4, 32, 256, 1024):
    a, b = rng.standard_normal((2, 400, width)), rng.standard_normal((2, 65, width))
    dots = a[0] @ b[0].T
    biggest = [model.ops.softmax(dots / by).max(-1).mean() for by in (1, np.sqrt(width), width)]
    print(f"{width:6d} {dots.std():15.1f} {biggest[0]:28.2f} {biggest[1]:6.2f} {biggest[2]:6.2f}")

# %% [markdown]
# Without the division, a wide head is a pointer *before it has learnt anything*, and a pointer cannot learn: the
# derivative of a share with respect to its score is A(1 − A), which is zero at both ends. Divided by K, it is a blur,
# and the wider the closer. Only √K makes heads of all widths start alike. It is a statement about the *beginning* of
# training:

# %%
spreads = np.array([trace[f"block{b}.attn.scores"][0].std((1, 2)) for b in range(config.blocks)])
panels.row(panels.matrix(spreads, "how far the scores of each head spread, after training", "head", "block"), height=3)

# %% [markdown]
# Trained heads have left 1: training makes queries and keys longer where a choosy head is worth it. Heads with large
# numbers here are those that lesson 03 was about.
#
# How much does the root matter to a *trained* model? Leave it out everywhere:

# %%
rootless = model.ops.replace(scores=lambda q, k: q @ k.swapaxes(-1, -2))
careless = minivit.Model(config, params, rootless, model.labels)
print("with √K:   ", *careless.top(trace["logits"][0], 3), sep="  ")
print("without √K:", *careless.classify(ship.draw(32), 3), sep="  ")

# %% [markdown]
# Whatever your line says, the answer is a poor test of an attention (lesson 05 has more of this kind).
#
# ## 5 · All heads from one matrix
#
# q, k and v of all heads come from one product with a matrix of D × 3D = 192 × 576 (eq. 5). Its 576 columns are ordered
# (q, k, v), then head, then number within the head.
#
# **Question 4.** Columns are counted from 0, and K was printed at the beginning of section 2. In which column do the
# *keys* of head 2 begin?

# %%
answer = ...
### BEGIN SOLUTION
answer = 192 + 2 * K
### END SOLUTION
hints = {2 * 3 * K + K: "that is the order (head, then q k v)", 2 * K: "that is where its queries begin"}
check(answer, config.width + 2 * K, {**hints, 192 + 2: "the K numbers of a head stand side by side"})

# %%
layer = params["blocks"][0]["attn"]["qkv"]
qkv = trace["block0.ln1.out"][0] @ layer["w"] + layer["b"]
begin = config.width + 2 * K
assert np.allclose(trace["block0.attn.k"][0, 2], qkv[:, begin : begin + K])


def with_band(ax):
    panels.heat(qkv, "65 tokens × 576 numbers; framed: the keys of head 2", "q | k | v", "tokens")(ax)
    for start in (192, 384):
        ax.axvline(start - 0.5, color=panels.INK, linewidth=1)
    ax.axvspan(begin - 0.5, begin + K - 0.5, fill=False, edgecolor=panels.MARK, linewidth=2)


panels.row(with_band, height=2.6)

# %% [markdown]
# To get an axis of heads in front, (65, 576) becomes (65, 3, heads, K), and *then* the axes are exchanged. The
# classic mistake is to reshape to the wanted shape at once:
#
# > **Predict.** Which numbers get into "head 0" then?

# %%
owner = np.repeat(np.arange(65), 192).reshape(65, 192)  # of each number of the keys: which token it belongs to
right = owner.reshape(65, config.heads, K).transpose(1, 0, 2)
wrong = owner.reshape(config.heads, 65, K)
print("shapes:", right.shape, wrong.shape)
print("tokens with a key in head 0: right", np.unique(right[0]).size, "  wrong", np.unique(wrong[0]).size)

# %% [markdown]
# The wrong "head 0" has the first few tokens only, all their heads mixed up as if they were positions. Shapes fit,
# nothing complains. Whoever tests with one head, or with one token, never sees it.
#
# ## 6 · Putting the heads together
#
# The z of all heads are laid side by side and mixed by one matrix (eq. 8). Cut that matrix into one band of K rows
# per head, and you see what "side by side" means: **each head adds its own part to the residual stream.**
#
# $$\mathrm{MSA}(\mathbf{z}) = [\mathrm{SA}_1; \dots; \mathrm{SA}_k]\,\mathbf{U}_{msa}
# = \sum_h \mathrm{SA}_h\,\mathbf{U}_{msa}^{(h)}$$

# %%
last = config.blocks - 1
out = params["blocks"][last]["attn"]["out"]
z_heads = trace[f"block{last}.attn.z"][0]  # (heads, N, K)
parts = np.einsum("hnk,hkd->hnd", z_heads, out["w"].reshape(config.heads, K, config.width))
assert np.allclose(parts.sum(0) + out["b"], trace[f"block{last}.attn.out"][0])

names = [f"head {h}" for h in range(config.heads)]
lengths = np.linalg.norm(parts[:, 0], axis=-1)  # what each adds to the class token
A = trace[f"block{last}.attn.probs"]
said = statistics.norm_weighted(A, trace[f"block{last}.attn.v"], out["w"])
loudest = int(lengths.argmax())
panels.row(
    panels.bars(names, lengths, f"what each head of block {last} adds to the class token", "length"),
    panels.overlay(rgb, maps.query_map(A, 0, 1, on_grid)[0, loudest], f"head {loudest}: where it looks (A)"),
    panels.overlay(rgb, maps.query_map(said, 0, 1, on_grid)[0, loudest], "what arrives: A times length of v U"),
    widths=(5, 4, 4),
    height=3.2,
)

# %% [markdown]
# The two maps need not agree. A token can be looked at a lot and say little (its value is short). Where a head
# *looks* is not yet what it *takes*. Lesson 06 starts from there.
#
# ## 7 · All of it, to click
#
# One page with every head of every block for our ship: click a patch, and you see where it looks. Try to find the
# head of section 2, and one that looks one patch to the left. The page needs no network; `.save("ship.html")` keeps
# it.

# %%
explore(model, ship.draw(32))

# %% [markdown]
# **Optional, with official weights.** The painting game with the balloon and the three heads of some blocks of
# DeiT-tiny.

# %%
deit = deit_tiny()


def balloons():
    seen = deit.trace(picture.draw(), keep="image,block*.attn.scores")
    squares = seen["image"][0].reshape(14, 16, 14, 16, 3).transpose(0, 2, 1, 3, 4).reshape(196, -1)

    def paint(block, h):
        A = deit.ops.softmax(seen[f"block{block}.attn.scores"][0, h, 1:, 1:])
        mixed = (A @ squares).reshape(14, 14, 16, 16, 3).transpose(0, 2, 1, 3, 4)
        return colours(mixed.reshape(224, 224, 3), deit.config)

    table = np.array([[paint(b, h) for b in (0, 1, 2, 4, 7, 11)] for h in range(3)])
    return panels.row(mosaic.grid(table, "DeiT-tiny: heads (rows) of blocks 0, 1, 2, 4, 7, 11", gap=6), height=5.2)


balloons() if deit else None

# %% [markdown]
# ## What you have now
#
# * Attention as an average between a blur and a pointer, and √K as the setting at which all heads begin.
# * One query computed with loops, all of them with two matrix products, many heads from one matrix and back into one.
# * Two tests that isolate a cause: N = 1 (only values), and more than one head with more than one token (only the
#   split).
#
# **Assignment A3** asks for attention in its parts and as a whole. Each is checked on its own:
#
# ```python
# from minivit.course import check as grade
#
# grade("A3.1", scores)  # A3.2: attend, A3.3: mix, A3.4: split_heads, A3.5: merge_heads, A3.6: attention
# ```
#
# Try next: `block = 1` in section 2 and run on; the painting with `scores * -1`: each patch made of what it likes
# *least*.
