# %% [markdown]
# # 01 · An image is a sequence
#
# A Transformer was made for text: it reads a sequence of vectors. A Vision Transformer changes almost nothing about it
# and feeds it pictures. So the first step must turn a picture into a sequence, and that step decides what all others
# can ever know about the picture.
#
# **The question of this lesson.** A picture of 32×32 pixels becomes 64 vectors. *Is the picture still in there?* If
# somebody hands you nothing but the 64 vectors and the weights: can you paint the picture again, only a blurred
# version of it, or nothing at all? Decide now, and write your answer down. In section 5 you will do it.
#
# About 35 minutes to read; a few seconds of CPU. Equation numbers are those of *An Image is Worth 16x16 Words*
# ([arXiv:2010.11929](https://arxiv.org/abs/2010.11929)). Read each **Predict** box and decide before you run the cell.

# %%
import numpy as np
from quiz import check, deit_tiny

import minivit
from minivit.viz import mosaic, panels, ship
from minivit.viz.scene import colours

# %% [markdown]
# The model is the one in the box: minivit trained it on CIFAR-10, pictures of 32×32 pixels in ten classes. The picture
# is ours, painted with inequalities (`minivit/viz/ship.py`). One run records every tensor by name.

# %%
model = minivit.load(dtype="float64")
picture = ship.draw(32)  # or a file of yours: picture = "boat.jpg"
trace = model.trace(picture)
seen = {name: tensor[0] for name, tensor in trace.items()}  # one picture: drop the axis of the batch
rgb = colours(seen["image"], model.config)  # what the model saw, as colours from 0 to 1

P, D = model.config.patch, model.config.width
print(f"patches of {P}×{P} pixels, D = {D} numbers per token")
trace.table("image,embed.patches")

# %% [markdown]
# ## 1 · Read it like a page
#
# The paper reshapes the picture into a sequence of flattened squares, from left to right and from top to bottom
# (section 3.1):
#
# $$\mathbf{x} \in \mathbb{R}^{H \times W \times C} \;\to\;
# \mathbf{x}_p \in \mathbb{R}^{N \times (P^2 C)}, \qquad N = HW/P^2$$
#
# In memory a picture is one long row of numbers: all of pixel row 0, then all of pixel row 1. A patch is *not* in one
# piece there. Its first four pixels are together, and the next four stand one whole pixel row later.
#
# **Question 1.** Patches are numbered from 0. In which patch is the pixel of row 18, column 9?

# %%
answer = ...
### BEGIN SOLUTION
answer = (18 // 4) * 8 + 9 // 4
### END SOLUTION
hints = {4 * 8 + 9: "columns of pixels are not columns of patches", 2 * 8 + 4: "rows and columns are exchanged"}
check(answer, 34, {**hints, 35: "counting starts at 0"})

# %% [markdown]
# **Question 2.** The 48 numbers of a patch are in the order (row, column, colour), with red, green, blue = 0, 1, 2. At
# which place, from 0 to 47, does the *green* of that pixel stand?

# %%
answer = ...
### BEGIN SOLUTION
answer = (18 % 4) * 12 + (9 % 4) * 3 + 1
### END SOLUTION
hints = {16 + 9: "that is the order (colour, row, column), PyTorch's; here a pixel's three colours stand together"}
check(answer, 28, {**hints, 27: "that is its red", 24 + 1: "it is the second pixel of its row: column 9 % 4 = 1"})

# %% [markdown]
# ## 2 · Right shape, wrong picture
#
# The cell has two candidates for the 64 patches. Both have the right shape, and both hold the same numbers.
#
# > **Predict.** What is on the tiles of `without`, where the transpose is missing?

# %%
x = seen["image"]
rows, columns = model.config.grid

split = x.reshape(
    rows, P, columns, P, 3
)  # names of the axes: row of patches, row in it, column of patches, column in it
with_it = split.transpose(0, 2, 1, 3, 4).reshape(rows * columns, P * P * 3)
without = x.reshape(rows * columns, P * P * 3)
print("with", with_it.shape, " without", without.shape)


def tiles(patches):
    # (N, 48) -> (rows, columns, P, P, 3) colours
    return colours(patches.reshape(-1, P, 3), model.config).reshape(rows, columns, P, P, 3)


panels.row(
    panels.picture(rgb, "the picture and its 64 squares", P),
    mosaic.grid(tiles(with_it), "with the transpose: 64 tiles"),
    mosaic.grid(tiles(without), "without: 64 tiles of the same shape"),
    height=3.7,
)

# %% [markdown]
# Without the transpose, a "patch" is a thread of 16 neighbouring pixels of one row, wound up into a square. No error
# appears anywhere: shapes tell nothing. A test of this function must look at *numbers*, best at a picture in which
# every pixel is different, and higher than wide (or wider than high), so that rows cannot pass for columns.

# %%
patches = with_it
assert patches[34, 28] == x[18, 9, 1]  # your answers to questions 1 and 2

# %% [markdown]
# **Question 3.** What does not fill a patch at the right and lower border is dropped. How many patches of 4×4 pixels
# does a picture 30 pixels high and 45 wide give?

# %%
answer = ...
### BEGIN SOLUTION
answer = 7 * 11
### END SOLUTION
right = int(np.prod(model.config.grid_of(30, 45)))
check(answer, right, {30 * 45 // 16: "whole patches only, in each direction", 8 * 12: "nothing is padded"})

# %% [markdown]
# ## 3 · One matrix reads every patch
#
# Each flattened patch is multiplied by the same matrix **E** (eq. 1; the published models add a bias **b**). What comes
# out is a **token**:
#
# $$\mathbf{x}_p^i\,\mathbf{E} + \mathbf{b}, \qquad \mathbf{E} \in \mathbb{R}^{(P^2 C) \times D}$$
#
# Follow the shapes: `image` (32, 32, 3) → patches (64, 48) → `embed.patches` (64, 192).

# %%
w, b = model.params["embed"]["w"], model.params["embed"]["b"]
E = w.reshape(P * P * 3, D)
tokens = patches @ E + b
assert np.allclose(tokens, seen["embed.patches"], rtol=0, atol=1e-12)
print(f"✓ embed.patches {tokens.shape}: the same numbers as the model's")

# %% [markdown]
# Number *d* of every token comes from column *d* of **E**: 48 weights, which fit on a patch like a stencil. Elsewhere
# you will find this step as a *convolution* with stride P. Here is why that is the same: slide one stencil over the
# picture, pixel by pixel (this is what a convolution does), and then keep every fourth place only.
#
# > **Predict.** The slide gives a map of 29×29 numbers. Which 64 of them will be column *d* of the tokens?

# %%
d = int(tokens.std(0).argmax())  # the number that differs most between the patches of this picture
windows = np.lib.stride_tricks.sliding_window_view(x, (P, P), axis=(0, 1))  # (29, 29, 3, P, P): a window per place
slide = np.einsum("hwcij,ijc->hw", windows, w[..., d]) + b[d]
assert np.allclose(slide[::P, ::P].ravel(), tokens[:, d])


def slid(ax):
    panels.heat(slide, f"stencil {d} at all 29×29 places; the 64 that count", square=True)(ax)
    ax.plot(*np.meshgrid(range(0, 32, P), range(0, 32, P)), ".", color=panels.INK, markersize=4)


panels.row(
    panels.heat(np.hstack(np.moveaxis(w[..., d], -1, 0)), f"stencil {d}: red, green, blue", square=True),
    slid,
    panels.heat(tokens[:, d].reshape(rows, columns), f"number {d} of the 64 tokens", square=True),
    height=3.9,
)

# %% [markdown]
# The model never computes what is between the dots. A stride of P with a window of P looks at every pixel exactly once:
# it *is* a matrix product on the flattened patches, and `minivit/ops/patches/ref.py` computes it as one.
#
# ## 4 · What the matrix listens to
#
# 192 stencils of 48 weights are hard to look at. The singular value decomposition sorts them: **E** = U S Vᵀ. The
# columns of U are 48 patterns of 4×4 pixels, orthogonal to each other, in the order of how loudly **E** passes them
# on. (Figure 7, left, of the paper shows the same for a large model, by PCA: it subtracts the mean stencil first.)
#
# > **Predict.** Every patch of every picture is a mixture of these 48 patterns. Which are louder, smooth ones or those
# > like a chessboard? And which ones is our ship mixed from?

# %%
U, S, Vt = np.linalg.svd(E, full_matrices=False)
used = np.sqrt(np.square(patches @ U).mean(0))  # how strong each pattern is in the patches of this picture
number = np.arange(1, 49)


def as_tiles(patterns, side):
    # (count, P, P, 3) patterns around zero -> three rows of tiles, grey where a pattern is zero
    shown = 0.5 + 0.5 * patterns / abs(patterns).max((1, 2, 3), keepdims=True)
    return shown.reshape(3, -1, side, side, 3)


flat = int(abs(U.sum(0)).argmax()) + 1
print(f"plain brightness (nearly the same weight everywhere) is pattern {flat} of 48")
panels.row(
    mosaic.grid(as_tiles(U.T.reshape(-1, P, P, 3), P), "the 48 patterns, loudest first, row by row"),
    panels.curves(
        number, {"how loudly E passes it on": S, "how much the ship uses it": used}, "loud is not used", "pattern"
    ),
    widths=(5, 3),
    height=2.6,
)

# %% [markdown]
# You see what training left there; nobody wrote these patterns down. Compare the two lines: *loud* and *used* are not
# the same thing. Most of what differs between the patches of a picture is plain brightness. A matrix that passed
# everything on alike would talk about little else. If brightness is far behind in the order (the line printed above
# says so), then training has muffled it and made room for the fine detail, which is rare.
#
# For the question of this lesson something else counts, at the right end of the curve: **no loudness is zero**. No
# pattern is mute.
#
# ## 5 · Paint it again
#
# A token is 192 numbers made from 48. The product with **E** can be undone if no pattern is lost, and none is. The
# pseudo-inverse E⁺ = V S⁻¹ Uᵀ is the way back:
#
# $$\mathbf{x}_p = (\text{token} - \mathbf{b})\,\mathbf{E}^{+}$$
#
# > **Predict.** Here your answer from the beginning is due. The picture, a blur, or nothing?

# %%
back = (tokens - b) @ np.linalg.pinv(E)
print(f"largest error of any pixel: {abs(back - patches).max():.0e}")

# %% [markdown]
# The picture, to all digits. **The 64 vectors *are* the picture, in another language**: so far nothing has been lost
# and nothing has been understood. All that a ViT ever recognises, it recognises in the blocks that follow.
#
# And how much of it must you keep? Store only k coordinates of each patch, and paint from those.
#
# > **Predict.** Which k patterns paint the better ship: the loudest k, or those that the ship uses most?

# %%
kept = (1, 2, 4, 8, 16, 48)


def painted(chosen):
    # numbers of some patterns -> the picture (h, w, 3) from these coordinates of its patches
    again = (patches @ U[:, chosen] @ U[:, chosen].T).reshape(rows, columns, P, P, 3).transpose(0, 2, 1, 3, 4)
    return colours(again.reshape(rows * P, columns * P, 3), model.config)


loudest, most_used = np.arange(48), np.argsort(-used)
paintings = np.array([[painted(order[:k]) for k in kept] for order in (loudest, most_used)])
title = (
    "from k numbers per patch, k = " + ", ".join(map(str, kept)) + ".  Above: the loudest k.  Below: the most used k"
)
panels.row(mosaic.grid(paintings, title, gap=2), height=3.6)

# %% [markdown]
# A handful of the right numbers makes a ship, as many of the wrong ones a haze. Keep this in mind for all that
# follows: *what a model amplifies* and *what a picture consists of* are two different questions.
#
# **Question 4.** DeiT-tiny has patches of 16×16 pixels and also D = 192. Each flattened patch is a point in a space of
# 768 dimensions. In how many directions can you move it without changing its token at all?

# %%
answer = ...
### BEGIN SOLUTION
answer = 16 * 16 * 3 - 192
### END SOLUTION
check(answer, 576, {192: "those are the directions that it hears", 0: "192 numbers cannot tell 768 directions apart"})

# %% [markdown]
# **Optional, with official weights.** If DeiT-tiny is on your machine (`minivit doctor` shows where it is looked
# for), the cell paints a picture from its tokens. This famous model hears a quarter of the directions only. How much
# of the ship do you expect to come back?

# %%
deit = deit_tiny()


def painted_again():
    big = deit.trace(ship.draw(224), keep="image,embed.patches")
    stencils = deit.params["embed"]["w"].reshape(768, 192)
    again = (big["embed.patches"][0] - deit.params["embed"]["b"]) @ np.linalg.pinv(stencils)
    again = again.reshape(14, 14, 16, 16, 3).transpose(0, 2, 1, 3, 4).reshape(224, 224, 3)
    loud = np.linalg.svd(stencils, full_matrices=False)[0].T[:27].reshape(-1, 16, 16, 3)
    return panels.row(
        panels.picture(colours(big["image"][0], deit.config), "what went in"),
        panels.picture(colours(again, deit.config), "painted again from 196 tokens"),
        mosaic.grid(as_tiles(loud, 16), "DeiT-tiny's 27 loudest patterns"),
        widths=(3, 3, 8),
    )


painted_again() if deit else None

# %% [markdown]
# Nearly all of it: training has spent the few directions on those that pictures use.
#
# ## 6 · Confetti
#
# One thing has been lost after all. To see what, cut the picture along its patches, shuffle them, and glue them
# together.
#
# > **Predict.** Of the 64 vectors in `embed.patches`, how many will be *new*, vectors that were not there before?

# %%
order = np.random.default_rng(1).permutation(rows * columns)
glued = patches[order].reshape(rows, columns, P, P, 3).transpose(0, 2, 1, 3, 4).reshape(x.shape)
confetti = model.trace(glued, keep="embed.patches,logits")

moved = confetti["embed.patches"][0]
print("vectors that are not among the old ones:", int((abs(moved - tokens[order]).max(1) > 1e-9).sum()))
print("the picture:", *model.top(seen["logits"], 3), sep="  ")
print("confetti:   ", *model.top(confetti["logits"][0], 3), sep="  ")

panels.row(
    panels.picture(rgb, "the picture", P),
    panels.picture(colours(glued, model.config), "confetti", P),
    panels.heat(tokens, "tokens of the picture", "192 numbers each", "64 tokens"),
    panels.heat(moved, "tokens of the confetti", "192 numbers each"),
    height=3.2,
)

# %% [markdown]
# None. To you the confetti is another picture; to **E** it is the same 64 vectors in another order. The rows of the
# right matrix are those of the left one, exchanged. A sequence knows *what* comes after what. It does not know that
# patch 8 lay *below* patch 0.
#
# Look at the answers above. Whether the model fell for it or not, you cannot know yet why. That is lesson 02.
#
# ## What you have now
#
# * Patches by reshape, transpose, reshape; a convolution with stride P that is one matrix product.
# * A proof that cutting up costs nothing while P²·C ≤ D: you painted the ship from its tokens.
# * A reason why the order of the tokens needs a word of its own.
#
# **Assignment A1** asks for the functions: `patchify`, its inverse and the product with **E**, for a whole batch and
# for pictures that are not square and not a multiple of P. Draw the axes on paper first. Each is checked on its own:
#
# ```python
# from minivit.course import check as grade
#
# grade("A1.1", patchify)  # A1.2: unpatchify, A1.3: patch_embed
# ```
#
# Try next: `picture = "your.jpg"`; another stencil `d`; `model.params["embed"]["w"]` of `minivit.load("demo")`, never
# trained: what do its loudest patterns look like?
