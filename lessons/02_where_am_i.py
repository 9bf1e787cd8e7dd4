# %% [markdown]
# # 02 · Where am I?
#
# A friend cuts a photograph into 64 squares, shuffles them, and asks what was on it. You would look for edges that
# fit. A Vision Transformer does not: nothing in it knows that a picture has rows. It gets a bag of vectors, and one
# table of learnt vectors that it may use to tell where each of them came from.
#
# **The question of this lesson.** *Does the model need to know where its patches were? And what does that table
# know about pictures?* Bet on one of these now, and write it down: after shuffling all patches, the model
# in the box answers "ship" with (a) the same probability to the last digit, (b) about the same, (c) hardly any at all.
#
# The lesson is a series of six experiments. Each of them changes one tensor, `embed.position` or the order of the
# patches, and leaves everything else alone. About 40 minutes to read; a few seconds of CPU. Equations are those of
# [arXiv:2010.11929](https://arxiv.org/abs/2010.11929).

# %%
import numpy as np
from quiz import check, deit_tiny

import minivit
from minivit.ops.positions.ref import resize_matrix
from minivit.viz import mosaic, panels, picture, ship, similarity
from minivit.viz.scene import colours

# %%
model = minivit.load(dtype="float64")
config, embed = model.config, model.params["embed"]
rows, columns = config.grid
P = config.patch

x = model.preprocess(ship.draw(32))  # (1, 32, 32, 3)
trace = model.trace(x)


def probability(logits, of):
    # logits (B, C), number of a class -> (B,): its probability for each picture
    return model.ops.softmax(logits)[:, of]


def p_ship(logits):
    return probability(logits, model.labels.index("ship"))


print(f"P(ship) = {p_ship(trace['logits'])[0]:.3f}")
trace.table("embed.*,block0.ln1.out")

# %% [markdown]
# ## The two learnt things of equation 1
#
# $$\mathbf{z}_0 = [\mathbf{x}_\text{class};\; \mathbf{x}_p^1\mathbf{E};\; \dots;\; \mathbf{x}_p^N\mathbf{E}]
# + \mathbf{E}_{pos}, \qquad \mathbf{E}_{pos} \in \mathbb{R}^{(N+1) \times D}$$
#
# Walk it through the trace. `embed.patches` (64, 192) comes from lesson 01. The class token, one vector for all
# pictures, is put **in front**: `embed.tokens` (65, 192). The table `embed.position` (65, 192) is added, row by row:
# `embed.out`.

# %%
patches, tokens, table = (trace[f"embed.{name}"][0] for name in ("patches", "tokens", "position"))
assert np.array_equal(tokens, np.vstack([embed["prefix"][0], patches]))
assert np.array_equal(tokens + table, trace["embed.out"][0])
print("length of a position vector, median:", np.median(np.linalg.norm(table[1:], axis=1)).round(2))
print("length of a patch's vector, median: ", np.median(np.linalg.norm(patches, axis=1)).round(2))

# %% [markdown]
# **Question 1.** The class token is no patch and lies nowhere. Yet the table has a row for it: `embed.position[0]`.
# Which *parameter* could take up this row, so that it could be deleted and nothing would change? Its name has the
# form `"embed.…"`, and it is `"w"`, `"b"` or `"prefix"`.

# %%
answer = ...
### BEGIN SOLUTION
answer = "embed.prefix"
### END SOLUTION
hint = "that one would change the patches, too"
check(answer, "embed.prefix", {"embed.w": hint, "embed.b": hint, "prefix": "the right one: write embed.prefix"})

# %% [markdown]
# Two learnt vectors that are always added to each other are one learnt vector. The row is there only because it makes
# the equation shorter.
#
# ## Experiment 1 · No positions, shuffled
#
# Now the bag of patches in its pure form: replace the table by zeros and shuffle the squares of the picture.
#
# > **Predict.** The logits of the shuffled picture, compared with those of the whole one: the same to how many digits?


# %%
def shuffled(x, order, side=P):
    # x (1,h,w,c), order: numbers of squares of side×side pixels -> the picture glued together in that order
    _, h, w, c = x.shape
    squares = x.reshape(h // side, side, w // side, side, c).transpose(0, 2, 1, 3, 4)
    glued = squares.reshape(-1, side, side, c)[order].reshape(squares.shape)
    return glued.transpose(0, 2, 1, 3, 4).reshape(x.shape)


rng = np.random.default_rng(3)
order = rng.permutation(rows * columns)
no_positions = {"embed.position": np.zeros_like}

whole = model.trace(x, patch=no_positions)
bag = model.trace(shuffled(x, order), patch=no_positions)
print("largest difference between the logits:", abs(whole["logits"] - bag["logits"]).max())

# %% [markdown]
# To all digits. Nothing else in the model looks at the order: `linear`, LayerNorm and GELU treat each token by
# itself, and attention adds up over a *set*. So every tensor on the way is the same with its rows exchanged. This is
# called **permutation equivariance**, and it is worth a check, for it is a test that any attention of yours must
# pass:

# %%
both = np.concatenate([[0], 1 + order])  # the class token stays in front
for name in ("embed.out", "block0.attn.z", "block1.mlp.act", f"block{config.blocks - 1}.resid_post"):
    a, b = whole[name][0], bag[name][0]
    a = a[:, both] if name.endswith("attn.z") else a[both]  # attn.z is (heads, tokens, K)
    print(f"{name:18s} the same after exchanging rows: {np.allclose(a, b, rtol=0, atol=1e-9)}")

# %% [markdown]
# **Question 2.** `block0.attn.probs` is (heads, 65, 65). If `both` says which old token stands at each new place, which
# expression turns a head A of the whole picture into that of the bag? Answer with 1, 2 or 3:
#
# 1. `A[both]`   2. `A[:, both]`   3. `A[both][:, both]`

# %%
answer = ...
### BEGIN SOLUTION
answer = 3
### END SOLUTION
for head in (0, config.heads - 1):
    A, B = whole["block0.attn.probs"][0, head], bag["block0.attn.probs"][0, head]
    assert np.allclose(A[both][:, both], B) and not np.allclose(A[both], B)
check(
    answer, 3, {1: "rows are who asks; who is asked moved as well", 2: "columns are who is asked; who asks moved, too"}
)

# %% [markdown]
# ## Experiment 2 · With positions, shuffled
#
# Now the model as it is, with its table. This is your bet. We shuffle 20 times in each of three sizes of squares:
# coarse squares leave most of the ship together, the finest are the patches themselves.

# %%
sizes = (16, 8, 4)
mixes = {s: np.concatenate([shuffled(x, rng.permutation((32 // s) ** 2), s) for _ in range(20)]) for s in sizes}
answers = {s: p_ship(model.run(mixed)) for s, mixed in mixes.items()}


def spread_of_answers(ax):
    for place, s in enumerate(sizes):
        ax.plot(place + rng.uniform(-0.2, 0.2, 20), answers[s], ".", color=panels.LINES[place], alpha=0.6)
    ax.axhline(p_ship(trace["logits"])[0], color=panels.INK, linewidth=1, linestyle="--")
    ax.set(xticks=range(len(sizes)), xticklabels=[f"{s}×{s} pixels" for s in sizes], ylim=(0, 1))
    panels.finish_chart(ax, "P(ship) of 20 shuffles each; dashed: the whole ship", "size of the squares", "")


panels.row(
    *(panels.picture(colours(mixes[s][0], config), f"squares of {s}×{s}", s) for s in sizes),
    spread_of_answers,
    widths=(2, 2, 2, 5),
    height=2.4,
)

# %% [markdown]
# What you see here is a fact about *this model and this picture*. If the points stay near the dashed line, the model
# calls things a ship because of what the patches contain (hull, water and sky), wherever they are: it has a table of
# positions and hardly asks it. That is not rare among small models, and **no accuracy figure would have told you.**
# If the points fall, it asks.
#
# Experiment 6 asks the same of official weights, where they are present.
#
# ## Experiment 3 · The map in the table
#
# Whether it is used or not: has the table learnt anything about where things are? Compare the position vector of every
# patch with those of all others by their cosine (figure 7, centre, of the paper; what all 64 have in common is taken
# away first). Each tile below belongs to one patch and shows its similarity to all 64, in their places: orange for
# alike, violet for opposite.
#
# > **Predict.** Where on each tile will the most similar place be? And the second, if the table knows that pictures
# > have two dimensions? What would a table look like that knows nothing?


# %%
def alike(table, grid=config.grid):
    # table (1,N,D) -> (rows, columns, rows, columns): cosine of every two places, less what all have in common
    shared = table[:, config.prefix :].mean(1, keepdims=True)
    return similarity.position_similarity(table - shared, config.prefix, grid)


untrained = rng.standard_normal((20, *embed["position"].shape))  # twenty tables that know nothing
trained = "trained: similarity of each patch's position to all others"
panels.row(
    mosaic.grid(alike(embed["position"]), trained, rows="row", columns="column"),
    mosaic.grid(alike(untrained[0]), "random: a table that knows nothing", rows="row", columns="column"),
    height=5.2,
)

# %% [markdown]
# Be strict with pictures, count: for how many of the 64 patches is the most similar *other* position vector that of a
# direct neighbour (above, below, left or right)?
#
# > **Predict.** How many will it be in a random table? (A patch has three or four direct neighbours among the 63.)


# %%
def neighbours_found(table):
    # table (1,N,D) -> for how many patches the most similar other position is next to it
    cosine = alike(table).reshape(rows * columns, -1)
    np.fill_diagonal(cosine, -2)
    nearest = np.stack(np.divmod(cosine.argmax(1), columns))
    here = np.stack(np.divmod(np.arange(rows * columns), columns))
    return int((abs(nearest - here).sum(0) == 1).sum())


print("trained:", neighbours_found(embed["position"]), "of 64")
print("random: ", np.mean([neighbours_found(table) for table in untrained]), "of 64 on average")

# %% [markdown]
# **Who told it that patch 8 lies below patch 0?** For the model in the box the honest answer is: we did. Its training
# is short, so it did not begin with noise but with waves in two directions (`minivit/train/mimetic.py`); training has
# kept and bent them. The models of the paper began with noise, and DeiT-tiny, too: it has seen nothing but sequences of
# 196 patches and names of things, and the second dimension came out of that. Its table is the last picture of this
# lesson, where a machine has the weights; figure 7 of the paper shows another.
#
# How is it written? Take the directions in which the 64 vectors differ most (PCA) and put the coordinates back into
# their places:

# %%
directions, shares = similarity.principal(table[1:], 6)
waves = (table[1:] - table[1:].mean(0)) @ directions.T  # (64, 6)
panels.row(
    *(panels.heat(waves[:, i].reshape(rows, columns), f"{shares[i]:.0%} of variance", square=True) for i in range(6)),
    height=2.2,
)

# %% [markdown]
# Broad bumps and slopes first, finer ripples later, like the vibrations of a drum's skin: a few smooth waves over the
# picture, and a place is known by their heights there. The sines and cosines that the first Transformer prescribed
# ([arXiv:1706.03762](https://arxiv.org/abs/1706.03762), section 3.5) were a good guess.
#
# ## Experiment 4 · A larger picture
#
# A ViT can take pictures of another size: more patches, the same matrix. Only the table has too few rows. The paper
# resizes it *like a picture*: its 64 vectors stand on an 8×8 grid and are interpolated to, say, 16×16 (section 3.2).
#
# The class token's row is not part of the grid and is kept as it is.
#
# **Question 3.** A picture of 64×48 pixels (height × width), P = 4. How many rows has the resized table?

# %%
answer = ...
### BEGIN SOLUTION
answer = 1 + 16 * 12
### END SOLUTION
check(answer, 1 + 16 * 12, {16 * 12: "one row is not a patch's", 64 * 48: "rows of the table are patches, not pixels"})

# %% [markdown]
# Here is a mistake that has been made more than once: take the 64 rows *as a sequence* and interpolate them to 256
# along that one axis. The shape is right, and nothing complains.
#
# > **Predict.** What will the similarity to one patch look like in a table that was resized along the sequence?

# %%
large = (16, 16)
resize = model.ops.resize_positions
in_two = resize(embed["position"], config.grid, large, config.prefix, config.position_resize)
in_one = resize(embed["position"], (rows * columns, 1), (256, 1), config.prefix, "bilinear")
print("8×8:", embed["position"].shape, "  16×16:", in_two.shape, in_one.shape)


panels.row(
    panels.heat(alike(embed["position"])[3, 4], "8×8: similarity to patch (3, 4)", square=True),
    panels.heat(alike(in_two, large)[6, 8], "16×16, in two dimensions: to (6, 8)", square=True),
    panels.heat(alike(in_one, large)[6, 8], "16×16, along the sequence: to (6, 8)", square=True),
    height=3.4,
)

# %% [markdown]
# Along the sequence, one old row of patches is stretched over two new rows: its left half lands on the first, its right
# half on the second. Every place gets the vector of another place.
#
# And what does the *answer* say about the mistake?

# %%
big = model.preprocess(ship.draw(64), (64, 64))
wrong = model.run(big, patch={"embed.position": lambda _: in_one})
print(f"P(ship) of the 64×64 ship, in two dimensions:  {p_ship(model.run(big))[0]:.3f}")
print(f"                           along the sequence: {p_ship(wrong)[0]:.3f}")

# %% [markdown]
# The answer may hardly show the mistake, for one ship at least. The tensor shows it always. A good test looks at the
# tensor.
#
# There is a second trap. Official programs agree on *two dimensions* and on nothing else: the JAX code
# uses `scipy.ndimage.zoom(order=1)`, which keeps the corner samples on the corners; Hugging Face and timm use two
# different bicubic ones. One row of the table, resized by each rule (one channel; the dots are the eight old samples):

# %%
channel = int(abs(waves[:, 1] @ table[1:]).argmax())
samples = table[1:].reshape(rows, columns, -1)[3, :, channel]
rules = {"JAX: corners stay": "corner_bilinear", "Hugging Face": "bicubic", "timm": "bicubic_antialias"}
at = {name: np.linspace(0, 7, 21) if "JAX" in name else (np.arange(21) + 0.5) * 8 / 21 - 0.5 for name in rules}


def resized(ax):
    ax.plot(range(8), samples, "o", color=panels.INK, label="8 samples")
    for (name, rule), colour in zip(rules.items(), panels.LINES, strict=False):
        ax.plot(at[name], resize_matrix(8, 21, rule) @ samples, ".-", color=colour, label=name, linewidth=1)
    panels.finish_chart(ax, f"channel {channel} along patch row 3, resized from 8 to 21", "place", "", legend=True)


by_index = {name: resize_matrix(8, 21, rule) @ samples for name, rule in rules.items()}
panels.row(resized, panels.curves(np.arange(21), by_index, "the same 21 numbers, as the model gets them", "new sample"))

# %% [markdown]
# Left, each rule puts its samples at its own places of the old axis, and the curves nearly agree. Right, by index, as
# the model receives them, they differ: the corner rule stretches the row by a little. Weights trained with one rule
# want that rule. `minivit/ops/positions` has six.
#
# ## Experiment 5 · Move the positions instead
#
# > **Predict.** Shuffle the patches *and* the table in the same way. What will P(ship) be, and to how many digits?
# > And if the picture stays whole and only the table is shuffled?

# %%
moved = {"embed.position": lambda t: t[:, both]}
together = model.run(shuffled(x, order), patch=moved)
only_table = model.run(x, patch=moved)
print("patches and table:", abs(together - trace["logits"]).max(), "away from the whole picture's logits")
print("table only:       ", abs(only_table - trace["logits"]).max(), "away")

# %% [markdown]
# Patch and place travel as one vector, their sum: where it stands in the sequence is of no importance. A ViT reads a
# *set of placed patches*. And to shuffle only the table is the same as to shuffle only the picture the other way
# round: the model cannot tell a moved world from a moved map.
#
# **Question 4.** You shuffle the table with `both`. With which order must you shuffle the *picture* (its table left
# alone) to get exactly the same logits: `"order"` or `"inverse of order"`?

# %%
answer = ...
### BEGIN SOLUTION
answer = "inverse of order"
### END SOLUTION
inverse = np.argsort(order)
assert np.allclose(model.run(shuffled(x, inverse)), only_table, rtol=0, atol=1e-9)
known = {"order": "with that table, the patch at place i claims to lie at place order[i]; so put it there"}
check(answer, "inverse of order", known)

# %% [markdown]
# ## Experiment 6 · Official weights (optional)
#
# If DeiT-tiny is on your machine (`minivit doctor` shows where it is looked for), it sees a painted balloon,
# shuffled, and at 384 pixels with both ways to resize the table.

# %%
deit = deit_tiny()


def same_experiments():
    balloon = 417  # its number among the classes of ImageNet
    b224, b384 = (deit.preprocess(picture.draw(side), (side, side)) for side in (224, 384))
    along = resize(deit.params["embed"]["position"], (196, 1), (576, 1), 1, "bilinear")
    runs = {
        "224 pixels": deit.run(b224),
        "224 pixels, patches shuffled": deit.run(shuffled(b224, rng.permutation(196), 16)),
        "384 pixels, table resized in two dimensions": deit.run(b384),
        "384 pixels, table resized along the sequence": deit.run(b384, patch={"embed.position": lambda _: along}),
    }
    for what, logits in runs.items():
        print(f"P(balloon) = {probability(logits, balloon)[0]:.3f}   {what}")
    tiles = alike(deit.params["embed"]["position"], (14, 14))[::2, ::2]
    return panels.row(mosaic.grid(tiles, "DeiT-tiny: every other patch's similarity to all 196"), height=6)


same_experiments() if deit else None

# %% [markdown]
# ## What you have now
#
# * Without the table a ViT is *exactly* blind to order: the same digits for a ship and for its confetti.
# * A table of vectors can know two dimensions, given or learnt; you have counted the neighbours that it knows.
# * Two mistakes that leave every shape right: a table resized along the sequence, or by somebody else's rule.
#
# **Assignment A1** goes on with `prepend` and `resize_positions`. Each is checked on its own:
#
# ```python
# from minivit.course import check as grade
#
# grade("A1.4", prepend)  # A1.5: resize_positions
# ```
#
# Try next: turn the picture upside down (`x[:, ::-1]`); read one position twice
# (`lambda t: t[:, [0, *([1] * 64)]]`): a model in a world where everything is in the top left corner.
