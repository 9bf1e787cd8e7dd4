# %% [markdown]
# # 00 · Your image, step by step
#
# You give a Vision Transformer a picture, and it answers with a name. Between the two lie millions of numbers. In this
# lesson you follow **one picture from its pixels to the answer** and compute every step yourself, in a few lines of
# NumPy each. After every step you compare: your numbers must be those of the model.
#
# It takes about 40 minutes to read, runs in seconds, and needs neither a GPU nor the network. You should know what a
# matrix product is. The paper is *An Image is Worth 16x16 Words* (Dosovitskiy et al.,
# [arXiv:2010.11929](https://arxiv.org/abs/2010.11929)); equation numbers are those of the paper.
#
# Read each **Predict** box, decide, and only then run the cell (Shift+Enter). Where a cell says `answer = ...`, put
# your answer in place of the three dots.

# %%
import math
import os
from pathlib import Path

import numpy as np
from quiz import check

import minivit
from minivit.loading import found_weights
from minivit.viz import maps, panels, picture, plots

# %% [markdown]
# ## The model and the picture
#
# The lesson takes the first fitting trained model on your machine (`minivit doctor` lists what is there). If there is
# none, it takes a small *demo model* of the same structure whose weights are random numbers. Every step and every
# equation is the same for both; only a trained model knows what it is looking at. The cell says which one you have.


# %%
def choose_model():
    """A trained ViT of 16×16 patches and 224×224 pixels, with class token and head, or the demo model."""
    data = Path(os.environ.get("MINIVIT_DATA", "no folder"))
    labels = data / "text" / "imagenet-simple-labels.json"
    deit = data / "deit_tiny" / "deit_tiny_patch16_224.timm.safetensors", {"labels": labels, "preprocess": "deit"}
    for source, options in [deit, *((path, {}) for path in found_weights())]:
        try:
            model = minivit.load(source, dtype="float64", **options)
        except minivit.InputError:  # not there, or not a ViT
            continue
        c = model.config
        if (c.patch, c.image, c.pool, c.prefix, c.representation) == (16, (224, 224), "token", 1, None) and c.classes:
            return model
    return minivit.load("demo", dtype="float64")


model = choose_model()
image = picture.draw()  # or a file of yours: image = "cat.jpg"

config, params = model.config, model.params
print("the demo model: random weights, never trained" if model.source == "demo" else f"trained: {model.source}")
print(f"{config.blocks} blocks, width D = {config.width}, {config.heads} heads, {config.classes} classes")

# %% [markdown]
# Now run the model once and keep everything: a **trace** holds every tensor of the run by its name. The first axis
# of each tensor counts the images of a batch. We have one image, so we drop that axis.
#
# The model computes in float64 here, so that two right ways to compute a tensor agree to ten digits and a
# wrong way has no excuse.

# %%
trace = model.trace(image)
seen = {name: tensor[0] for name, tensor in trace.items()}


def same(name, mine):
    """Compare an array computed here with the one that the model computed."""
    assert mine.shape == seen[name].shape, f"{name}: shape {mine.shape}, the model has {seen[name].shape}"
    assert np.allclose(mine, seen[name], rtol=0, atol=1e-10 * abs(seen[name]).max()), f"{name}: other numbers"
    print(f"✓ {name} {mine.shape}: the same numbers as the model's")


trace.table("image,embed.*,block0.*")

# %% [markdown]
# ## 1 · Pixels become numbers around zero
#
# A colour in a file is three whole numbers from 0 to 255. The model wants 224×224 pixels and numbers around zero:
#
# $$x = \frac{\text{pixel}/255 - \text{mean}}{\text{std}}$$
#
# Mean and standard deviation, one per colour, belong to the weights like everything else that was fixed in
# training. With others, no error appears; only the answers get worse.

# %%
print("mean", config.preprocess.mean, " std", config.preprocess.std)
x = seen["image"]
print(f"x has shape {x.shape}, numbers from {x.min():.2f} to {x.max():.2f}")

# %% [markdown]
# **Question 1.** How many numbers go into the model?

# %%
answer = ...
### BEGIN SOLUTION
answer = 224 * 224 * 3
### END SOLUTION
check(answer, x.size, {224 * 224: "every pixel has three numbers", 224 * 3: "that is one row of pixels"})

# %% [markdown]
# ## 2 · The picture is cut into patches, and every patch becomes a vector
#
# A Transformer reads a sequence of vectors. So the picture is cut into squares of P×P pixels, here P = 16, row by row
# like a page of text, and every square is flattened to one vector of P²·C numbers, with C = 3 colours (section 3.1):
#
# $$\mathbf{x} \in \mathbb{R}^{H \times W \times C} \;\to\;
# \mathbf{x}_p \in \mathbb{R}^{N \times (P^2 C)}, \qquad N = HW/P^2$$
#
# > **Predict.** How many patches are there, and how many numbers does each one hold?

# %%
P = config.patch
rows, columns = config.grid
squares = x.reshape(rows, P, columns, P, 3).transpose(0, 2, 1, 3, 4)  # (rows, columns, P, P, 3)
patches = squares.reshape(rows * columns, P * P * 3)
print(patches.shape)

# %% [markdown]
# **Question 2.** How many patches does a picture of 384×384 pixels give?

# %%
answer = ...
### BEGIN SOLUTION
answer = 24 * 24
### END SOLUTION
right = math.prod(config.grid_of(384, 384))
check(answer, right, {24: "that is one row of patches", 196: "that is for 224×224 pixels"})

# %% [markdown]
# We follow one patch through the lesson, number (5, 8). Choose another if you like: 0 to 13, from the top left corner.

# %%
row, column = 5, 8
index = row * columns + column  # its place in the sequence of patches
numbers = patches[index].reshape(P, P * 3)

rgb = plots.visible(trace)  # the picture as the model got it, with its colours back
panels.row(
    panels.picture(rgb, "the picture, its patches, and ours", P, mark=(row, column)),
    panels.picture(rgb[row * P : (row + 1) * P, column * P : (column + 1) * P], f"our patch: {P}×{P} pixels"),
    panels.heat(numbers, f"the same as {numbers.size} numbers", "16 pixels × 3 colours", "16 rows"),
    height=3.6,
)

# %% [markdown]
# One matrix now turns each flattened patch into a vector of D numbers, a **token**. It is the same matrix for all
# patches. (The paper's equations leave out the bias **b**; the published models have one.)
#
# $$\mathbf{x}_p^i \mathbf{E} + \mathbf{b}, \qquad \mathbf{E} \in \mathbb{R}^{(P^2 C) \times D}$$
#
# You will often see this step written as a convolution with kernel P×P and stride P. That is the same: the kernel
# never overlaps its previous place, so each output is the product of one flattened patch with the flattened kernel.

# %%
E = params["embed"]["w"].reshape(P * P * 3, config.width)
embedded = patches @ E + params["embed"]["b"]
same("embed.patches", embedded)

# %% [markdown]
# ## 3 · A token for the answer, and a place for every patch
#
# Two things are missing.
#
# *Where shall the answer be collected?* In front of the patches the model puts a **class token**: one more vector,
# learnt, and the same for every picture.
#
# *Where was each patch?* All that follows treats the tokens as a set: shuffle them, and the results come out
# shuffled in the same way, otherwise unchanged. So a learnt **position** vector is added to each (eq. 1):
#
# $$\mathbf{z}_0 = [\mathbf{x}_\text{class};\; \mathbf{x}_p^1\mathbf{E};\; \dots;\; \mathbf{x}_p^N\mathbf{E}]
# + \mathbf{E}_{pos}$$

# %%
tokens = np.concatenate([params["embed"]["prefix"][0], embedded])
position = params["embed"]["position"][0]
z = tokens + position
same("embed.tokens", tokens)
same("embed.out", z)

panels.row(
    panels.heat(tokens, "tokens: row 0 is the class token", "D numbers each", "197 tokens"),
    panels.heat(position, "+ positions", "D numbers each"),
    panels.heat(z, "= z₀: the residual stream starts", "D numbers each"),
    height=3.4,
)

# %% [markdown]
# > **Predict.** Compare the position vector of one patch with those of all others (cosine similarity). Which ones will
# > be similar if the model has learnt that pictures have two dimensions? And if the weights are random?

# %%
unit = position[1:] / np.linalg.norm(position[1:], axis=1, keepdims=True)


def similarity(row, column):
    return (unit @ unit[row * columns + column]).reshape(rows, columns)


some = [(row, column), (0, 0), (12, 7)]
panels.row(*(panels.heat(similarity(*place), f"similarity to patch {place}", square=True) for place in some))

# %% [markdown]
# Nobody told the model that patch 15 lies below patch 1: the sequence has no rows. In trained models the neighbours
# light up, often along the same row and column (figure 7, centre, of the paper): to know them pays off. With random
# weights, only the patch itself stands out.

# %% [markdown]
# ## 4 · LayerNorm: every token on the same scale
#
# From here on one array of shape (197, D) flows through all blocks: the **residual stream** z. A block never
# overwrites it; it reads a copy and *adds* its result. What it reads is normalised, each token by itself over
# its D numbers ([arXiv:1607.06450](https://arxiv.org/abs/1607.06450)):
#
# $$\mathrm{LN}(x) = \frac{x - \mathrm{mean}(x)}{\sqrt{\mathrm{var}(x) + \varepsilon}} \cdot \text{scale}
# + \text{bias}$$
#
# > **Predict.** What are mean and standard deviation of each token after the fraction, before scale and bias?


# %%
def normalise(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + config.eps)


def layernorm(x, scale, bias):
    return normalise(x) * scale + bias


block0 = params["blocks"][0]
y = layernorm(z, **block0["ln1"])
same("block0.ln1.out", y)

number = np.arange(len(z))
after = normalise(z)
panels.row(
    panels.curves(number, {"before": z.mean(-1), "after": after.mean(-1)}, "mean of each token", "token"),
    panels.curves(number, {"before": z.std(-1), "after": after.std(-1)}, "standard deviation of each token", "token"),
)

# %% [markdown]
# Mean 0 and standard deviation 1, for every token. (Nearly: the small ε, which keeps a constant token from being
# divided by zero, makes the deviation a hair smaller than 1.) The learnt scale and bias then say how much each of
# the D numbers counts.

# %% [markdown]
# ## 5 · Attention: who looks at whom
#
# So far every token knows only itself. Attention is the one place where tokens exchange anything. From each token
# three vectors are computed: a **query** (what do I look for?), a **key** (what have I got?) and a **value** (what do I
# pass on?) (eq. 5):
#
# $$[\mathbf{q}, \mathbf{k}, \mathbf{v}] = \mathrm{LN}(\mathbf{z})\,\mathbf{U}_{qkv}$$
#
# This is done in several *heads* side by side, each with vectors of K = D/heads numbers (the paper writes $D_h$).


# %%
def split_heads(qkv):
    # (N, 3·D) -> three arrays (heads, N, K)
    return qkv.reshape(len(qkv), 3, config.heads, config.head_width).transpose(1, 2, 0, 3)


q, k, v = split_heads(y @ block0["attn"]["qkv"]["w"] + block0["attn"]["qkv"]["b"])
same("block0.attn.q", q)
same("block0.attn.k", k)
same("block0.attn.v", v)

# %% [markdown]
# How well query *i* fits key *j* is their dot product. A sum of K products spreads about √K times as wide as one
# product, so it is divided by √K. The softmax turns the scores of one query into shares: row *i* of A says how token
# *i* divides its attention, and sums to one (eq. 6):
#
# $$A = \mathrm{softmax}\!\left(\mathbf{q}\,\mathbf{k}^\top / \sqrt{K}\right)$$


# %%
def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))  # less the largest: the same result, and exp cannot overflow
    return e / e.sum(-1, keepdims=True)


scores = q @ k.swapaxes(1, 2) / np.sqrt(config.head_width)
probs = softmax(scores)
same("block0.attn.scores", scores)
same("block0.attn.probs", probs)

# %% [markdown]
# **Question 3.** How many shares does *one* head of *one* block form for this picture?

# %%
answer = ...
### BEGIN SOLUTION
answer = 197 * 197
### END SOLUTION
one_row = "that is one row: every token has a query"
check(answer, probs[0].size, {196 * 196: "the class token takes part, too", 197: one_row, 196: one_row})

# %% [markdown]
# This square is what makes ViTs expensive for large pictures: twice the side, four times the tokens, about sixteen
# times the shares.
#
# One row of A without the class token, put back into the shape of the picture, shows where a token looks. Here is
# the row of our patch (framed): scores, then shares.

# %%
query = 1 + index  # the class token is number 0
on_grid = scores[0, query, 1:].reshape(rows, columns)
where = maps.query_map(trace["block0.attn.probs"], query, config.prefix, config.grid)[0]  # (heads, rows, columns)
assert np.array_equal(where[0], trace["block0.attn.probs"][0, 0, query, 1:].reshape(rows, columns))  # that is all

panels.row(
    panels.picture(rgb, "our patch asks", P, mark=(row, column)),
    panels.heat(on_grid, "block 0, head 0: scores", square=True),
    panels.overlay(rgb, where[0], "block 0, head 0: shares", mark=(row, column)),
)

# %% [markdown]
# The numbers below a map are its smallest and its largest value. Somebody who looks everywhere alike gives each token
# 1/197 ≈ 0.005.
#
# > **Predict.** Will all heads look at the same places?

# %%
some = range(min(config.heads, 4))
panels.row(*(panels.overlay(rgb, where[h], f"block 0, head {h}: shares", mark=(row, column)) for h in some))

# %% [markdown]
# Now the shares are put to use. Each token receives the **average of all values**, weighted by its row of A (eq. 7).
# The heads are laid side by side and mixed by one more matrix (eq. 8), and the result is *added* to the stream (eq. 2):
#
# $$\mathrm{SA}(\mathbf{z}) = A\mathbf{v}, \qquad
# \mathrm{MSA}(\mathbf{z}) = [\mathrm{SA}_1(\mathbf{z}); \dots; \mathrm{SA}_k(\mathbf{z})]\,\mathbf{U}_{msa}, \qquad
# \mathbf{z}'_\ell = \mathrm{MSA}(\mathrm{LN}(\mathbf{z}_{\ell-1})) + \mathbf{z}_{\ell-1}$$

# %%
mixed = probs @ v  # (heads, N, K)
same("block0.attn.z", mixed)

side_by_side = mixed.transpose(1, 0, 2).reshape(len(z), config.width)
attended = side_by_side @ block0["attn"]["out"]["w"] + block0["attn"]["out"]["b"]
same("block0.attn.out", attended)

middle = z + attended
same("block0.resid_mid", middle)

panels.row(
    panels.heat(z, "the stream", "D numbers each", "197 tokens"),
    panels.heat(attended, "+ what attention brings", "D numbers each"),
    panels.heat(middle, "= the stream after attention", "D numbers each"),
    height=3.4,
)

# %% [markdown]
# ## 6 · MLP: every token by itself
#
# The second half of a block works on each token alone: normalise, widen to M numbers, bend, narrow to D again, add
# (eq. 3):
#
# $$\mathbf{z}_\ell = \mathrm{MLP}(\mathrm{LN}(\mathbf{z}'_\ell)) + \mathbf{z}'_\ell, \qquad
# \mathrm{MLP}(x) = \mathrm{GELU}(x W_1 + b_1)\,W_2 + b_2$$
#
# GELU ([arXiv:1606.08415](https://arxiv.org/abs/1606.08415)) is x·Φ(x), where Φ is the distribution function of the
# normal distribution. The official JAX code computes a close approximation with tanh, DeiT the exact one with the
# error function; the config says which.
#
# > **Predict.** What does GELU make of 3? Of −3? Of −0.5?


# %%
def gelu(x):
    if config.gelu == "erf":
        return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


print("GELU of 3, −3, −0.5:", gelu(np.array([3, -3, -0.5])).round(3))

hidden = layernorm(middle, **block0["ln2"]) @ block0["mlp"]["fc1"]["w"] + block0["mlp"]["fc1"]["b"]
active = gelu(hidden)
added = active @ block0["mlp"]["fc2"]["w"] + block0["mlp"]["fc2"]["b"]
same("block0.mlp.pre", hidden)
same("block0.mlp.act", active)
same("block0.mlp.out", added)
same("block0.resid_post", middle + added)

line = np.linspace(-4, 4, 200)
panels.row(
    panels.histogram(hidden, "hidden layer before GELU", "block0.mlp.pre"),
    panels.curves(line, {"GELU": gelu(line), "x": line}, "GELU", "x"),
    panels.histogram(active, "after GELU: nothing below −0.171", "block0.mlp.act"),
)

# %% [markdown]
# Without the bend between them, two matrix products would be one matrix product, and the MLP could do no more than a
# single layer.
#
# **Question 4.** Suppose that attention and MLP of block 0 gave nothing but zeros. Which tensor would
# `block0.resid_post` then be equal to? Answer with its name, such as `"block0.ln1.out"`.

# %%
answer = ...
### BEGIN SOLUTION
answer = "embed.out"
### END SOLUTION
not_read = "the normalised copy is only read; the stream itself is never normalised"
hints = {"block0.ln1.out": not_read, "block0.ln2.out": not_read, "embed.tokens": "positions are in the stream, too"}
check(answer, "embed.out", hints)

# %% [markdown]
# You need not believe it. `patch` replaces a tensor on the way, here by zeros:

# %%
nothing = {"block0.attn.out": np.zeros_like, "block0.mlp.out": np.zeros_like}
emptied = model.trace(image, keep="block0.resid_post", patch=nothing)
assert np.array_equal(emptied["block0.resid_post"], trace["embed.out"])
print("✓ a block that adds nothing leaves the stream as it was")

# %% [markdown]
# ## 7 · The same again, block after block
#
# That was all. The other blocks do the same with weights of their own. Here is a whole block in one function, put
# together from the pieces that you have just checked:


# %%
def linear(x, w, b):
    return x @ w + b


def block(z, p):
    q, k, v = split_heads(linear(layernorm(z, **p["ln1"]), **p["attn"]["qkv"]))
    mixed = softmax(q @ k.swapaxes(1, 2) / np.sqrt(config.head_width)) @ v
    z = z + linear(mixed.transpose(1, 0, 2).reshape(z.shape), **p["attn"]["out"])  # eq. 2
    return z + linear(gelu(linear(layernorm(z, **p["ln2"]), **p["mlp"]["fc1"])), **p["mlp"]["fc2"])  # eq. 3


stream = [z]
for i, p in enumerate(params["blocks"]):
    stream.append(block(stream[-1], p))
    same(f"block{i}.resid_post", stream[-1])

# %% [markdown]
# > **Predict.** Every block adds something to the stream. What happens to the length (norm) of the token vectors on
# > their way through the blocks?


# %%
def class_and_patches(numbers):
    # numbers (depth, N) -> the lines of a chart
    return {"class token": numbers[:, 0], "mean of the patches": numbers[:, 1:].mean(1)}


length = np.linalg.norm(stream, axis=-1)  # (blocks + 1, N)
steps = np.linalg.norm(np.diff(stream, axis=0), axis=-1)  # (blocks, N)
passed = range(len(stream))
panels.row(
    panels.curves(passed, class_and_patches(length), "length of the tokens", "blocks passed"),
    panels.curves(passed[1:], class_and_patches(steps), "length of what a block adds", "block, counted from 1"),
)

# %% [markdown]
# With random weights, every block adds a vector of random direction, and such a sum gets longer and longer. A
# trained model also uses the other possibility: what it adds may point *against* the stream and erase something
# (DeiT-tiny shortens its patches over the first blocks). Nothing keeps the length within limits, and nothing has to:
# whoever reads from the stream normalises first (step 4).
#
# And this is where the class token looks: head by head in the last block, then the mean of the heads block by block.

# %%
plots.attention_figure(trace)

# %% [markdown]
# Beware: attention shows *from where* a token copies, not *why* the model decides as it does. And with random weights
# the maps mean nothing at all, though the mathematics that draws them is the same.

# %% [markdown]
# ## 8 · The class token gives the answer
#
# After the last block the tokens are normalised once more, and then only *one* of them is read: the class token, which
# has collected from all the others (eq. 4). One last matrix gives a number per class, the **logits**, and softmax turns
# them into probabilities:
#
# $$\mathbf{y} = \mathrm{LN}(\mathbf{z}_L^0), \qquad \text{logits} = \mathbf{y}\,W_\text{head} + b_\text{head}$$

# %%
final = layernorm(stream[-1], **params["norm"])
same("final.norm", final)
same("head.pooled", final[0])
logits = linear(final[0], **params["head"])
same("logits", logits)

# %% [markdown]
# **Question 5.** Add 7 to *every* logit. By how much does the probability of the winner change?

# %%
answer = ...
### BEGIN SOLUTION
answer = 0
### END SOLUTION
check(answer, 0, {7: "only differences between logits count: compare softmax(logits) with softmax(logits + 7)"})

# %%
best = np.argsort(-logits)[:5]
probability = softmax(logits)
for i, official in zip(best, model.classify(image), strict=True):
    assert i == official.index and math.isclose(probability[i], official.probability)

panels.row(
    panels.picture(rgb, "the picture"),
    panels.bars([model.label(i) for i in best], probability[best], "the five most probable classes", "probability"),
    widths=(1, 2),
)

# %% [markdown]
# A model that was trained on ImageNet may well say *balloon* (class 417) to the painted picture, though it has seen
# photographs only. The demo model's answer means nothing, and that is worth a thought: **every equation was right,
# and still nothing was recognised.** What tells a balloon from a cat is not the architecture but the weights.
#
# ## What you have now
#
# A handful of functions of your own (`layernorm`, `softmax`, `gelu`, `linear`, `split_heads`, `block`) that give the
# model's numbers, tensor by tensor. Open `minivit/models/vit.py`: you can read all of it now.
#
# Try next:
#
# * your own picture: `image = "cat.jpg"` in the second code cell, then run all cells;
# * another patch in step 2: the sun, a corner, the edge of the balloon;
# * in a terminal, `minivit trace cat.jpg --model demo` prints every tensor with its shape, range and symbol.
