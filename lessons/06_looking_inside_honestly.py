# %% [markdown]
# # 06 · Looking inside, honestly
#
# "The model looks at the ship": you have seen such pictures, with a warm glow on the right spot. Attention is the one
# part of a Transformer that draws maps by itself, so these pictures are cheap. What are they worth?
#
# **The question of this lesson.** The second cell paints four posters of the same ship. They come from *two* models of
# the same architecture: one has been trained, the other has never seen a picture, and its weights are random numbers.
# *Which posters belong to which model?* Write four letters down and a word beside each. You will get the answer in
# section 2, and it is not the last one to be uncomfortable.
#
# About 40 minutes to read; some seconds of CPU. You need attention (lesson 04) and the residual stream (lesson 00). On
# the way you reproduce figure 7, right, of the paper ([arXiv:2010.11929](https://arxiv.org/abs/2010.11929)) with a
# model of your own.

# %%
import numpy as np
from quiz import check, deit_tiny

import minivit
from minivit.data import shapes
from minivit.viz import faithful, film, flow, maps, panels, picture, plots, ship, statistics
from minivit.viz.explain import explain
from minivit.viz.scene import colours

# %%
model = minivit.load(dtype="float64")
config = model.config
untrained = minivit.Model(config, minivit.params.seeded(config, seed=5), model.ops, model.labels)
rows, columns = config.grid
last = config.blocks - 1

x = model.preprocess(ship.draw(32))
rgb = colours(x[0], config)
trace = model.trace(x)
print("trained:  ", *model.top(trace["logits"][0], 3), sep="  ")
print("untrained:", *untrained.classify(x, 3), sep="  ")

found = {
    f"{name}, {who}": values[0]
    for who, each in (("trained", model), ("untrained", untrained))
    for name, values in explain(each, x, ("attention", "rollout"))[1].items()
}
secret = np.random.default_rng(int.from_bytes(b"ship")).permutation(list(found))


def poster(values):
    # (rows,columns) -> the picture with the map over it, its smallest value dark and its largest one bright
    return film.blend(rgb, values, (values.min(), values.max()))


panels.row(
    panels.picture(rgb, "the picture"),
    *(panels.picture(poster(found[name]), letter) for letter, name in zip("ABCD", secret, strict=True)),
    height=2.4,
)

# %% [markdown]
# ## 1 · A map is one row of a matrix
#
# $$A = \mathrm{softmax}\!\left(\mathbf{q}\,\mathbf{k}^\top / \sqrt{D_h}\right)$$
#
# Row *i* of A says from where token *i* fetches its values (eq. 6). The class token is token 0, and its row in the last
# block is the famous map. Walk: `attn.probs` of the last block (1, H, 65, 65) → one head → row 0: 65 shares → without
# the class token: 64 → put back into rows and columns: 8×8. That is all that `maps.query_map` does, and it rescales
# nothing.
#
# **Question 1.** The patches are numbered row by row from 0, and the class token stands in front. Which row of A says
# where the patch in row 3, column 5 looks?

# %%
answer = ...
### BEGIN SOLUTION
answer = 1 + 3 * 8 + 5
### END SOLUTION
hints = {
    29: "the class token is number 0",
    3 * 8 + 5: "the class token is number 0",
    1 + 5 * 8 + 3: "row and column exchanged",
}
check(answer, config.prefix + 3 * columns + 5, hints)

# %%
A = trace[f"block{last}.attn.probs"]
row = A[0, 0, 0]  # of the one picture, head 0, the class token
by_head = maps.query_map(A, 0, config.prefix, (rows, columns))[0]  # (H, 8, 8)
assert np.array_equal(by_head[0], row[config.prefix :].reshape(rows, columns))
print(f"row 0 of head 0: {len(row)} shares, sum {row.sum():.6f}")
print("each head's share for the class token itself:", A[0, :, 0, 0].round(3))
print("what is left for its map:                    ", by_head.sum((1, 2)).round(3))

# %% [markdown]
# A map whose patches hold a sum of 0.2 and one whose patches hold 0.98 look equally bright once each is stretched to
# its own largest value. So a figure that does not print its numbers has thrown the most important one away.
#
# ## 2 · The posters unmasked
#
# The posters were painted the usual way: the smallest value dark, the largest one bright. Here they are again, and this
# time colour begins at 0, all four share *one* scale, and the range stands below.
#
# > **Predict.** 65 tokens share an attention of 1. How large is a share if a token looks everywhere alike? Which of the
# > two models will be close to that?

# %%
highest = max(values.max() for values in found.values())


def unmasked(letter, name):
    def draw(ax):
        values = found[name]
        ax.imshow(values, cmap=panels.QUANTITY, vmin=0, vmax=highest, interpolation="nearest")
        panels.finish(ax, f"{letter}: {name}", panels.spread(values))

    return draw


print(f"everywhere alike: {1 / config.tokens:.4f}")
for name, values in found.items():
    print(f"{name:22s} largest patch = {values.max() / values.mean():5.2f} × the mean patch")
panels.row(*(unmasked(letter, name) for letter, name in zip("ABCD", secret, strict=True)), height=3)

# %% [markdown]
# Read the ranges. An untrained map is nearly flat: its largest patch has less than twice the share of an average one,
# and the whole glow of its poster was that small difference, stretched until it filled the colour scale. (A trained map
# may be nearly flat as well; then its poster lied just as much.) **Anything can be made to glow.** Hence three rules
# for the rest of this lesson: colours begin at 0; the range is part of the figure; maps that are to be compared share a
# scale, or say that they do not.
#
# ## 3 · All heads at a glance
#
# The map above was the mean over the heads of one block. Here are all of them, from the class token. This is the
# library's own figure; the words at its foot are the three rules at work.
#
# > **Predict.** In which blocks will the maps of different heads differ most from each other?

# %%
plots.heads(model, x)

# %% [markdown]
# Some heads prefer one corner, some a single patch, some the middle; some are flat. Which of them would you print on
# the poster? Whoever chooses the prettiest head out of dozens tells you about their taste. A number for *every* head is
# more honest.
#
# ## 4 · How far does a head look?
#
# A convolution of 3×3 sees one pixel to each side, by construction. A head may look anywhere. Does it? The paper
# measures the **mean attention distance**: from every query patch to every patch it looks at, in pixels, weighted by
# its shares (section 4.5):
#
# $$d_h = \frac{1}{N}\sum_i \frac{\sum_j A_{ij}\,\lVert x_i - x_j \rVert}{\sum_j A_{ij}}$$
#
# i and j are patches; what goes to the class token has no distance, so it is left out, and the rest is divided by its
# own sum.
#
# **Question 2.** Three patches of 16 pixels in a row, and a class token. The left patch gives the class token 0.5,
# itself 0.25, and 0.125 to each of the others. What is its distance, in pixels?

# %%
answer = ...
### BEGIN SOLUTION
answer = (0.125 * 16 + 0.125 * 32) / 0.5
### END SOLUTION
pencil = np.array([[0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125], [1, 0, 0, 0], [1, 0, 0, 0]])
left = statistics.distance(pencil[None, None], 1, (1, 3), 16)[0, 0] * 3  # the other two look at no patch: 0
check(answer, left, {6: "divide by what goes to patches", 12 / 16: "in pixels, please", 24: "mean, not sum of the two"})

# %% [markdown]
# By hand for one query of one head of the first block, then with `statistics.distance` for all:

# %%
query = 1 + 3 * columns + 5
shares = trace["block0.attn.probs"][0, 0, query, config.prefix :]
centres = config.patch * np.array([(r, c) for r in range(rows) for c in range(columns)])
far = np.linalg.norm(centres - centres[query - 1], axis=1)  # pixels from our patch to every patch
print(f"block 0, head 0, patch (3, 5): {(shares * far).sum() / shares.sum():.2f} pixels")


def distances(each, pixels):
    # -> (pictures, blocks, heads) in pixels
    probs = maps.per_block(each.trace(pixels, keep="block*.attn.probs"))
    return np.stack([statistics.distance(A, config.prefix, (rows, columns), config.patch) for A in probs], 1)


everywhere = np.full((1, 1, config.tokens, config.tokens), 1 / config.tokens)
alike = statistics.distance(everywhere, config.prefix, (rows, columns), config.patch)[0, 0]
print(f"a head that looks everywhere alike: {alike:.2f} pixels")

# %% [markdown]
# Now figure 7, right. The paper averages over pictures, so we do not trust one ship either: a dot is the mean over the
# ship and 31 drawn shapes, and the thin line through it reaches from the nearest to the farthest picture.
#
# > **Predict.** Sketch it: distance over depth, a dot per head. Where are the heads of block 0? Of the last block? And
# > where is *every* head of the untrained model?

# %%
pictures = np.concatenate([x, model.preprocess(shapes.draw(31)[0])])
far_trained, far_untrained = distances(model, pictures), distances(untrained, pictures)


def figure7(far, title):
    def draw(ax):
        for block in range(config.blocks):
            at = block + np.linspace(-0.25, 0.25, config.heads)
            ax.vlines(at, far[:, block].min(0), far[:, block].max(0), color=panels.LINES[0], linewidth=0.8, alpha=0.6)
            ax.plot(at, far[:, block].mean(0), "o", color=panels.LINES[0], markersize=5)
        ax.axhline(alike, color=panels.MARK, linestyle="--", linewidth=1, label="everywhere alike")
        ax.set(ylim=(0, 1.35 * alike), xticks=range(config.blocks))
        panels.finish_chart(ax, title, "block", "mean attention distance in pixels", legend=True)

    return draw


panels.row(figure7(far_trained, "trained: a dot per head"), figure7(far_untrained, "untrained"), height=3.6)

# %%
by_distance = np.argsort(far_trained.mean(0), axis=None)
for what, i in (("nearest", by_distance[0]), ("farthest", by_distance[-1])):
    block, head = np.unravel_index(i, far_trained.shape[1:])
    print(f"{what:8s} trained head: block {block}, head {head}, {far_trained.mean(0)[block, head]:.1f} pixels")
flat = abs(far_untrained - alike).max()
print(f"untrained: no head of no picture is farther than {flat:.1f} pixels from the dashed line")

# %% [markdown]
# **The untrained heads sit on the dashed line**, at every depth: nothing in the architecture makes a head look near or
# far. What lies below the line on the left has been *learnt*, and what lies above it as well. The wider the dots of one
# block are spread, the more its heads have divided the work.
#
# The paper's figure, for a far larger model and more data, shows heads of a few pixels beside heads of half the picture
# in the first blocks, and only far ones at the end. Compare with yours: how many of your heads are local? Small models
# on small pictures have fewer of them: their 64 patches are coarse already, and a patch of 4 pixels has done the
# convolution's first job.
#
# And mind the thin lines. A distance is not a property of a head; it is one of a head *and a picture*.
#
# ## 5 · How broadly, and down which drain?
#
# Two more numbers per head. The entropy −Σ A log A says how broadly it looks (lesson 04: e to the entropy is the number
# of tokens it listens to). And the share that ends in the class token, averaged over all queries, says how much goes
# where no map shows it.
#
# > **Predict.** If all looked everywhere alike, what would be the share of the class token?

# %%
probs = maps.per_block(trace)
broad = np.stack([np.exp(statistics.entropy(A)[0]).mean(-1) for A in probs], 1)  # (heads, blocks)
in_front = np.arange(config.tokens) < config.prefix
drain = np.stack([statistics.sink_mass(A, in_front)[0] for A in probs], 1)
length = statistics.norms(trace[f"block{last}.resid_post"])[0]
long = statistics.high_norm(trace[f"block{last}.resid_post"], config.prefix)[0]
print(f"everywhere alike: {config.tokens} tokens, share of the class token {1 / config.tokens:.4f}")
print(f"patches longer than 3 × the median after the last block: {long.sum()}")
panels.row(
    panels.matrix(broad, "tokens that a query listens to, mean", "block", "head", "{:.0f}"),
    panels.matrix(drain, "share of all attention for the class token", "block", "head", "{:.2f}"),
    panels.overlay(rgb, length[config.prefix :].reshape(rows, columns), f"length of the patches after block {last}"),
    widths=(4, 4, 3),
    height=3.1,
)

# %% [markdown]
# A head whose class-token share is far above 1/65 uses it as a **drain**: softmax forces every query to spend its whole
# 1 somewhere, and a head that has nothing to say puts it where it does no harm (attention sinks,
# [arXiv:2309.17453](https://arxiv.org/abs/2309.17453)). Large ViTs drain into *patches*, too, mostly into empty ones
# that then become several times longer than the rest; maps light up there, and there is nothing to see
# ([arXiv:2309.16588](https://arxiv.org/abs/2309.16588)). That is why the library counts long patches, and why you
# should before you write "the model looks at the sky".
#
# ## 6 · Rollout: through all blocks
#
# The map of the last block says from which *tokens of the last block* the class token fetches, and those are no patches
# any more: each has been mixed with others in every block before. Rollout follows the mixing (Abnar & Zuidema,
# [arXiv:2005.00928](https://arxiv.org/abs/2005.00928), eq. 1):
#
# $$R = \hat A_L \cdots \hat A_2\,\hat A_1, \qquad \hat A = \tfrac12\,\bigl(\bar A + I\bigr), \qquad
# \bar A = \text{mean over heads}$$
#
# The identity stands for the residual stream, in which every token also remains itself.
#
# **Question 3.** With a pencil: two tokens, two blocks, one head. In both blocks, each token looks only at the *other*
# one. How much of token 1 (counted from 0) is in token 0 at the end, R[0, 1]?

# %%
answer = ...
### BEGIN SOLUTION
answer = 0.5
### END SOLUTION
swap = np.array([[0, 1], [1, 0]])[None, None]
right = flow.rollout([swap, swap])[0, 0, 1]
hints = {
    0: "without the identity everybody gets back what they gave",
    1: "half of each stays where it is, in each block",
}
check(answer, right, hints)

# %% [markdown]
# Without the identity the answer is 0: "no token has ever looked at another", the contrary of the truth. This is the
# mistake that every second home-made rollout has; the other two favourites are to multiply in the wrong order and to
# divide columns instead of rows.
#
# > **Predict.** Which of the three mistakes is hardest to see on the picture?


# %%
def product(factors):
    # L × (N,N), first block first -> the last one on the left
    R = np.eye(len(factors[0]))
    for factor in factors:
        R = factor @ R
    return R


means = [A[0].mean(0) for A in probs]
with_identity = [(A + np.eye(len(A))) / 2 for A in means]
candidates = {
    "rollout": product(with_identity),
    "without I": product(means),
    "wrong order": product(with_identity[::-1]),
    "columns divided": product([2 * A / (2 * A).sum(0) for A in with_identity]),
}
assert np.allclose(candidates["rollout"], flow.rollout(probs)[0])  # the library's, two lines longer


def class_row(R):
    return maps.query_map(R, 0, config.prefix, (rows, columns))


for name, R in candidates.items():
    alike_to = faithful.rank_correlation(class_row(R), class_row(candidates["rollout"]))
    print(
        f"{name:16s} row sum of the class token {R[0].sum():.3f}   rank correlation with the right one {alike_to:+.2f}"
    )
panels.row(*(panels.overlay(rgb, class_row(R), name) for name, R in candidates.items()), height=3)

# %% [markdown]
# The sum of a row finds one of them at once, and a test must know the order of factors to find another. All four "look
# at something". **Nobody can check a map by looking at it.** That is the whole problem of this lesson, and of the next
# but one.
#
# And the right one, block by block:

# %%
steps = [class_row(R[0]) for R in flow.rollout_steps(probs)]
shown = list(dict.fromkeys(np.linspace(0, last, 6).round().astype(int)))
panels.row(*(panels.overlay(rgb, steps[i], f"after block {i}", colours="range") for i in shown), height=2.6)

# %% [markdown]
# (Colour runs over the range of each map here, and the range stands below: rollout's maps are too flat to be drawn from
# 0.)
#
# Every step averages averages. The product of many such matrices goes towards one in which all rows are alike, whatever
# the model has learnt; with twelve or more blocks the map of one token hardly differs from that of another. And look at
# the equation again for what is *not* in it: no values, no MLP, no class. Rollout cannot know what the answer was.
#
# ## 7 · Does looking matter?
#
# Here is the test that maps are usually spared. For each head, two numbers:
#
# * how much of the class token's attention to patches lies on the ship (a box of 4×6 patches, framed below);
# * what happens to the logit of the answer if the head is **silenced**, its z set to zero (Michel et al.,
#   [arXiv:1905.10650](https://arxiv.org/abs/1905.10650)).
#
# > **Predict.** If attention were explanation, which shape would the cloud of dots have?

# %%
on_ship = np.zeros((rows, columns), bool)
on_ship[2:6, 1:7] = True
to_patches = np.stack([maps.query_map(A, 0, config.prefix, (rows, columns))[0] for A in probs])  # (blocks, heads, 8, 8)
looks = to_patches[..., on_ship].sum(-1) / to_patches.sum((-2, -1))
change = faithful.knock_out(model, x)[0]  # (blocks, heads): Δ logit of the most probable class


def cloud(ax):
    by_block = np.repeat(np.arange(config.blocks)[:, None], config.heads, 1)
    dots = ax.scatter(looks, change, c=by_block, cmap="viridis", s=30, edgecolor=panels.INK, linewidth=0.4)
    ax.figure.colorbar(dots, ax=ax, label="block", ticks=range(config.blocks))
    ax.axhline(0, color=panels.INK, linewidth=0.8)
    ax.axvline(on_ship.mean(), color=panels.FAINT, linestyle="--", linewidth=1)
    title = "a dot per head; dashed: looks everywhere alike"
    panels.finish_chart(ax, title, "share of its attention on the ship", "Δ logit if silenced")


def told(what, where):
    block, head = np.unravel_index(where, change.shape)
    share, effect = looks[block, head], change[block, head]
    print(f"{what:24s} block {block}, head {head}: share on the ship {share:.2f}, Δ logit {effect:+.2f}")


def boxed(ax):
    panels.picture(rgb, "the box: 4×6 patches", config.patch)(ax)
    ax.plot([3.5, 27.5, 27.5, 3.5, 3.5], [7.5, 7.5, 23.5, 23.5, 7.5], color=panels.MARK, linewidth=2)


told("looks most at the ship", looks.argmax())
told("is missed most", change.argmin())
told("disturbs most", change.argmax())
print(f"rank correlation of looking and mattering: {faithful.rank_correlation(looks, -change):+.2f}")
panels.row(boxed, cloud, widths=(2, 5), height=3.6)

# %% [markdown]
# If looking at the ship were mattering for "ship", the cloud would fall in a line from the upper left to the lower
# right, with a rank correlation near +1. Read off what it is. Look for dots far to the right on the zero line: those
# heads stare at the ship, and nobody misses them. And for dots far below it, at or left of the dashed line: those are
# missed, and look elsewhere.
#
# (Not the whole truth either: heads that stand in for each other look idle when silenced one at a time. Every method
# answers *its* question.)
#
# **Optional, with official weights.** DeiT-tiny on the balloon, twelve blocks: distance over depth as in the paper.


# %%
deit = deit_tiny()
deit and plots.distance(deit, picture.draw())

# %% [markdown]
# ## What you have now
#
# * Figure 7, right, from a model of your own, with the line on which untrained heads sit.
# * Rollout in three lines, its three favourite mistakes, and a check with a pencil (two tokens that swap) that finds
#   the first.
# * A cloud of dots that says how much looking and mattering have to do with each other *in this model, for this
#   picture*.
#
# Where a head looks is a fact. Why the model answers as it does is another question, and lesson 08 asks it with the
# means of lesson 07.
#
# **Assignment A5**, tasks 1 to 3, asks for `query_map`, `distance` and `rollout`. In a notebook: `from minivit.course
# import check as grade`, then `grade("A5.3", my_rollout)`.
#
# Try next: `plots.attention(model, x, patch=(4, 2))`, where one patch looks and who looks at it; `minivit explore` for
# a page to click; the posters for a picture of yours.
