# %% [markdown]
# # 08 · Which explanation is right?
#
# Ask a Vision Transformer why it said "ship", and you get not one answer but seven: attention, rollout, norm-weighted
# attention, gradient times attention, relevance, the patch lens. (The seventh is a map of random numbers. It is here
# for a reason.) Each of them has a paper, and each paper has pictures on which it looks convincing.
#
# **The question of this lesson.** Below are the seven maps of one picture and one answer. *Which do you trust most, and
# by what would you know that you are right?* Write down your first, your last, and one sentence for the second half of
# the question. At the end there is a league table.
#
# About 45 minutes to read; some seconds of CPU. You need maps (lesson 06) and gradients (lesson 07).

# %%
import copy

import numpy as np
from quiz import check, deit_tiny

import minivit
from minivit.viz import attribution, faithful, flow, lens, maps, mosaic, panels, picture, ship
from minivit.viz.explain import MAPS, class_gradients, explain
from minivit.viz.scene import colours

# %%
model = minivit.load(dtype="float64")
config = model.config
rows, columns = config.grid
last = config.blocks - 1
x = model.preprocess(ship.draw(32))
rgb = colours(x[0], config)
trace = model.trace(x)
logits = trace["logits"][0]
first, second = (int(c) for c in np.argsort(-logits)[:2])  # the answer, and the runner-up
print(*model.top(logits, 3), sep="  ")

targets, found = explain(model, x)  # seven maps, for the most probable class
seven = {name: values[0] for name, values in found.items()}
panels.row(*(panels.overlay(rgb, seven[name], name) for name in list(seven)[:4]), height=3)

# %%
panels.row(
    *(panels.overlay(rgb, seven[name], name) for name in list(seven)[4:]),
    panels.picture(rgb, f"“{model.label(first)}”, says the model", config.patch),
    height=3,
)

# %% [markdown]
# ## 1 · Seven witnesses
#
# Do they say the same? Maps have different units, so only the *order* of the patches is compared: Spearman's rank
# correlation. It is 1 for the same order, 0 for none in common, −1 for the reverse.
#
# > **Predict.** Which two agree best? With whom does "random" agree?

# %%
names = list(MAPS)
agree = np.array([[faithful.rank_correlation(seven[a], seven[b]) for b in names] for a in names])


def agreement(ax):
    panels.matrix(agree, "rank correlation of the maps", fmt="{:+.2f}", rows=names)(ax)
    ax.set_xticks(range(len(names)), names, fontsize=8)


panels.row(agreement, height=3.4)

# %% [markdown]
# **Question 1.** A map has positive numbers only. Somebody squares each of them, "to make it clearer". What is the rank
# correlation of the new map with the old one?

# %%
answer = ...
### BEGIN SOLUTION
answer = 1
### END SOLUTION
right = faithful.rank_correlation(np.arange(1.0, 65), np.arange(1.0, 65) ** 2)
check(answer, round(right, 9), {0: "the order of the patches has not changed", 2: "it is never above 1"})

# %% [markdown]
# Witnesses who contradict each other cannot all be right. Witnesses who agree may have copied from each other: several
# of the maps are made of the same attention matrix. So we leave the maps alone for a while and ask for something that
# is *certain*.
#
# ## 2 · What is certain: the logit is a sum
#
# The residual stream is a sum by construction; every head and every MLP adds its part (lesson 00). Between the stream
# and the logit there are only LayerNorm and one matrix. LayerNorm is not linear, but once its divisor σ is *frozen at
# the value that it had in this run*, it is, and so
#
# $$\text{logit}_c = \sum_{\text{parts } s}
# \frac{u_s - \mathrm{mean}(u_s)}{\sigma} \odot \text{scale} \cdot \mathbf{w}_c
# + \text{biases}$$
#
# holds exactly (Elhage et al. 2021; [arXiv:2310.05916](https://arxiv.org/abs/2310.05916)). Here is one part, by hand:
# head 0 of the last block, from its z to its share of the logit.

# %%
head = 0
out = model.params["blocks"][last]["attn"]["out"]["w"].reshape(config.heads, config.head_width, config.width)
wrote = trace[f"block{last}.attn.z"][0, head, 0] @ out[head]  # (D,): what it added to the class token
stream = trace[f"block{last}.resid_post"][0, 0]
sigma = np.sqrt(stream.var() + config.eps)
share = (wrote - wrote.mean()) / sigma * model.params["norm"]["scale"] @ model.params["head"]["w"]  # (classes,)

whole = attribution.attribute(model, trace)
by_part = dict(zip(whole.names, whole.values[0], strict=True))  # {part: (classes,)}
assert np.allclose(share, by_part[f"block{last}.head{head}"])
print(f"head {head} of block {last} gives “{model.label(first)}” {share[first]:+.4f}")
print(f"all {len(by_part)} parts together {sum(by_part.values())[first]:.12f}")
print(f"the logit             {logits[first]:.12f}")

# %% [markdown]
# The bars *must* sum to the logit: an explanation with a built-in check, and every map above lacks one.
#
# One trap is left. Softmax does not notice if a part gives the same to all classes, so a large bar may mean nothing.
#
# **Question 2.** A head adds 5.0 to each of the ten logits. By how much does the probability of "ship" change?

# %%
answer = ...
### BEGIN SOLUTION
answer = 0
### END SOLUTION
change = model.ops.softmax(logits[None] + 5.0)[0, first] - model.ops.softmax(logits[None])[0, first]
check(answer, round(abs(float(change)), 12), {5: "softmax sees differences between logits only"})

# %% [markdown]
# So we explain the *difference* between two logits: why the first class rather than the second?
#
# > **Predict.** Which kind of part decides: embedding, heads or MLPs? Early blocks or late ones? Are there parts that
# > argue for the runner-up?

# %%
margin = {name: values[first] - values[second] for name, values in by_part.items()}
largest = sorted(margin, key=lambda name: -abs(margin[name]))[:10]
heads = (whole.heads(config)[0, ..., first] - whole.heads(config)[0, ..., second]).T  # (heads, blocks)
mlps = np.array([[margin[f"block{b}.mlp"] for b in range(config.blocks)]])
said = f"“{model.label(first)}” rather than “{model.label(second)}”: {logits[first] - logits[second]:+.2f}"
rows_of_table = [*(f"head {h}" for h in range(config.heads)), "MLP"]
panels.row(
    panels.bars(largest, [margin[name] for name in largest], f"{said}; ten largest parts", "logit difference", "%.2f"),
    panels.matrix(np.vstack([heads, mlps]), "heads and MLPs, by block", "block", rows=rows_of_table),
    height=3.6,
)

# %%
for_it = sum(value for value in margin.values() if value > 0)
against = sum(value for value in margin.values() if value < 0)
print(f"for “{model.label(first)}” {for_it:+.2f}, against it {against:+.2f}, together {for_it + against:+.2f}")

# %% [markdown]
# A decision is a balance; there are always parts that argue for the other side. This account is exact, and it answers a
# narrow question: what each part wrote *directly*. What an early head did for a later one is booked under the later
# one's name. And it speaks of heads, not of patches. Exactness is bought with modesty.
#
# ## 3 · When does it know? The logit lens
#
# The head can read the stream after every block, not only after the last one:
#
# $$\text{lens}_\ell = \mathrm{head}\bigl(\mathrm{LN}(\mathbf{z}_\ell^0)\bigr)$$
#
# It was trained for the last block only, so this is a *reading*, not a confession.
#
# > **Predict.** Draw P(ship) over the number of blocks passed. Where does it begin, and where does it rise?

# %%
streams = lens.streams(trace)
readings = model.ops.softmax(np.concatenate([lens.logit_lens(model, z) for z in streams]))  # (blocks + 1, classes)
assert np.allclose(readings[-1], model.ops.softmax(logits[None])[0])
followed = [int(c) for c in np.argsort(-readings.max(0))[:4]]
over_depth = {model.label(c): 100 * readings[:, c] for c in followed}
of_patches = np.stack([lens.patch_lens(model, z, (rows, columns))[0, ..., first] for z in streams])
shown = list(dict.fromkeys(np.linspace(0, config.blocks, 4).round().astype(int)))
panels.row(
    panels.curves(np.arange(config.blocks + 1), over_depth, "what the class token says", "blocks passed", "%"),
    *(panels.overlay(rgb, of_patches[i], f"patches, {i} blocks passed", colours="signed") for i in shown),
    widths=(5, *[3] * len(shown)),
    height=2.7,
)

# %% [markdown]
# **Question 3.** At 0 blocks passed: how many different answers does the class token give for a thousand different
# pictures?

# %%
answer = ...
### BEGIN SOLUTION
answer = 1
### END SOLUTION
other = model.trace(x[:, :, ::-1] * 0.5, keep="embed.out")["embed.out"]
right = len(np.unique(np.concatenate([streams[0][:, 0], other[:, 0]]), axis=0))
check(answer, right, {1000: "which patch has it looked at so far?", 10: "it has seen no patch yet"})

# %% [markdown]
# The maps on the right read each *patch* as if it were the class token: orange patches "say ship", purple ones the
# contrary. It is tempting, and no patch was ever trained to be read like that. Whether it is true, the league will
# tell.
#
# ## 4 · For which class?
#
# Attention and rollout have one map per picture. Ask them "why ship?" and "why airplane?", and they give the same
# answer: they were computed before anybody asked. To speak about a class, a map must contain the class. Relevance
# (Chefer et al., [arXiv:2103.15679](https://arxiv.org/abs/2103.15679), eq. 5 and 6) weights attention by the gradient
# of *that* logit, keeps what speaks for it, and follows it through all blocks:
#
# $$\bar A = \mathrm{mean}_h\,(\nabla A \odot A)^+, \qquad R \leftarrow R + \bar A\,R, \qquad R_0 = I$$
#
# Walk, block by block: `block0.attn.probs` (1, H, 65, 65) times its gradient, negatives to 0, mean over the heads: (65,
# 65). Multiply by R, add. Row 0 of the last R, without the class token: 64 numbers, 8×8.


# %%
def relevance_of(target):
    _, kept, gradients = class_gradients(model, x, target)
    R = np.eye(config.tokens)
    for A, dA in zip(maps.per_block(kept), maps.per_block(gradients), strict=True):
        R = R + np.maximum(A * dA, 0).mean(1)[0] @ R
    assert np.allclose(R, flow.relevance(maps.per_block(kept), maps.per_block(gradients))[0])
    return maps.query_map(R, 0, config.prefix, (rows, columns))


asked = [int(c) for c in np.argsort(-logits)[:2]] + [int(logits.argmin())]
by_class = {model.label(c): relevance_of(c) for c in asked}
panels.row(
    panels.picture(rgb, "the picture", config.patch),
    *(panels.overlay(rgb, values, f"what speaks for “{label}”") for label, values in by_class.items()),
    height=3,
)

# %%
ask = [model.label(c) for c in asked]
for a, b in ((0, 1), (0, 2)):
    alike = faithful.rank_correlation(by_class[ask[a]], by_class[ask[b]])
    print(f"relevance for {ask[a]} and for {ask[b]}: rank correlation {alike:+.2f}")

# %% [markdown]
# **Question 4.** The attention map of the last block for "ship" and the attention map for "frog": what is their rank
# correlation?

# %%
answer = ...
### BEGIN SOLUTION
answer = 1
### END SOLUTION
one, two = (explain(model, x, ("attention",), target=model.labels.index(c))[1]["attention"] for c in ("ship", "frog"))
check(answer, round(faithful.rank_correlation(one, two), 9), {0: "is the class part of the formula?"})

# %% [markdown]
# Maps that differ by class are *able* to be right about a class. That does not make them right. (The range below each
# map matters: a map for a class that nothing speaks for may glow as well.)
#
# **Optional, with official weights.** One picture, two things: our balloon on the left, our freighter on the right.
# DeiT-tiny is asked for each.


# %%
def two_things(deit):
    both = np.concatenate([picture.draw()[:, 46:158], ship.draw(224)[:, 40:152]], axis=1)
    seen, drawn = colours(deit.preprocess(both)[0], deit.config), []
    for what, number in (("balloon", 417), ("container ship", 510)):  # their numbers among the classes of ImageNet
        values = explain(deit, both, ("relevance",), target=number)[1]["relevance"][0]
        print(f"{what:14s} {values[:, :7].sum() / values.sum():.0%} of its relevance lies on the left half")
        drawn.append(panels.overlay(seen, values, f"DeiT-tiny: “{what}”"))
    return panels.row(panels.picture(seen, "two things"), *drawn, height=3.4)


deit = deit_tiny()
deit and two_things(deit)

# %% [markdown]
# ## 5 · Take it away
#
# A map claims: *these* patches carry the answer. Then take them away, and the answer should go. **Deletion** (RISE,
# [arXiv:1806.07421](https://arxiv.org/abs/1806.07421)): replace the patches by the mean colour, the map's largest
# first, and watch the probability. The area under the curve is the score; the lower, the better the map knew.
#
# > **Predict.** What will the curve of "random" look like? It is the line that every witness has to beat.

# %%
steps = 14
fractions = np.array([0, 0.15, 0.3, 0.5, 0.8])
grey = faithful.blank(x, "mean", config.patch)


def strip(name):
    # (5,32,32,3): the picture as patches go, the map's largest first
    return np.stack(
        [colours(p, config) for p in faithful.replaced(x[0], grey[0], seven[name], fractions, config.patch)]
    )


curves = {name: faithful.deletion(model, x, values, first, steps) for name, values in seven.items()}
order = sorted(curves, key=lambda name: curves[name].auc)
strips = np.stack([strip("relevance"), strip("random")])
panels.row(
    mosaic.grid(strips, "taken away: 0, 15, 30, 50, 80 %.  Above: by relevance.  Below: at random", gap=2), height=4.2
)

# %%
lines = {f"{name}: area {curves[name].auc:.3f}": curves[name].scores for name in order}
percent = np.linspace(0, 100, steps + 1)
panels.row(
    panels.curves(percent, lines, "deletion", "patches taken away, %", f"P({model.label(first)})", True), height=3.4
)

# %% [markdown]
# Look where "random" is. A map that does not beat it has not found what the model uses, however convincing it looks.
# (And remember what is measured: a picture with grey squares is unlike anything the model was trained on. It may drop
# "ship" because it sees squares.)
#
# ## 6 · Make it forget
#
# The second test (Adebayo et al., [arXiv:1810.03292](https://arxiv.org/abs/1810.03292)) takes the knowledge away
# instead of the picture. Draw the weights anew, from the head downwards, block by block, and recompute the map. A map
# that explains the *model* must change. One that stays the same shows the *picture*.
#
# > **Predict.** The head is redrawn, all blocks stay. Which of the seven maps do not change at all?

# %%
single = minivit.load()  # float32: the same model, faster
remains = {}
for name in names:

    def view(changed, name=name):
        return explain(changed, x, (name,), target=first)[1][name][0]

    remains[name] = [1.0, *(value for _, value in faithful.randomisation(single, view))]
redrawn = ["nothing", "head", *(f"block {b}" for b in reversed(range(config.blocks)))]


def forgetting(ax):
    panels.curves(np.arange(len(redrawn)), remains, "how much of the map is left", "", "rank correlation", True)(ax)
    ax.set_xticks(range(len(redrawn)), redrawn, fontsize=8)
    ax.set_xlabel("weights drawn anew from the head down to here", fontsize=8)
    ax.axhline(0, color=panels.FAINT, linewidth=1)


panels.row(forgetting, height=3.4)

# %% [markdown]
# *Attention, rollout and norm-weighted attention do not change when the head forgets all its classes*: the head is not
# in their formulas. So they cannot tell "ship" from "frog"; section 4 has shown the same from the other side. "random"
# stays at 1 to the end, of course: it never looked at the model. It fails this test as clearly as it is possible to
# fail, and it also shows what the test is: necessary, not sufficient. A map may change with the weights and still be
# wrong.
#
# ## 7 · The league
#
# One picture proves nothing. Here are six: the ship as it is, mirrored, larger (two crops), at dusk, in fog. For each
# map:
#
# * **deletion** with the mean colour, area under the curve: low is good;
# * **deletion** with a blurred picture in place of the patches: low is good, and it *should* give the same order;
# * **insertion** into the blurred picture: high is good;
# * **untrained**: rank correlation with the map of a model that knows nothing: near 0 is good.
#
# > **Predict.** Your first and your last. And: will the two deletions agree on the winner?

# %%
base = ship.draw(32)
large = ship.draw(40)
views = [base, base[:, ::-1], large[2:34, 6:38], large[6:38, 1:33], base // 2, (base // 2 + 110).astype(np.uint8)]
rough = 8  # steps of a curve
scenes = [single.preprocess(np.ascontiguousarray(v)) for v in views]
untrained = copy.copy(single)
untrained.params = single.ops.prepare(minivit.params.seeded(config, 3))


def scores_of(pixels):
    # -> (maps, 4) of one picture, for its own most probable class
    target, own = explain(single, pixels)
    _, forgot = explain(untrained, pixels, target=int(target[0]))
    scores = []
    for name in names:
        values, c = own[name][0], int(target[0])
        deleted = [faithful.deletion(single, pixels, values, c, rough, baseline).auc for baseline in ("mean", "blur")]
        inserted = faithful.insertion(single, pixels, values, c, rough).auc
        scores.append([*deleted, inserted, faithful.rank_correlation(values, forgot[name][0])])
    return scores


league = np.array([scores_of(pixels) for pixels in scenes])  # (pictures, maps, 4)
mean = league.mean(0)
print("they are, for the model:", *(single.classify(s[0], 1)[0] for s in scenes), sep="  ")
panels.row(*(panels.picture(colours(s[0], config), "") for s in scenes), height=1.8)

# %%
tests = ("deletion, mean colour", "deletion, blurred", "insertion", "untrained")
place = np.stack([mean[:, 0], mean[:, 1], -mean[:, 2], abs(mean[:, 3])], 1).argsort(0).argsort(0) + 1  # (maps, 4)
table = sorted(range(len(names)), key=lambda i: place[i, :3].sum())
print(f"{'':16s}" + "".join(f"{test:>24s}" for test in tests))
for i in table:
    print(f"{names[i]:16s}" + "".join(f"{mean[i, t]:18.3f}  ({place[i, t]}.)" for t in range(4)))

print()
for t in range(2):
    below_random = [names[i] for i in range(len(names) - 1) if mean[i, t] >= mean[-1, t]]
    print(f"no better than random numbers at {tests[t]}:", ", ".join(below_random) or "none")


def spread(ax):
    by_mean = mean[:, 0].argsort()
    for rank, i in enumerate(by_mean):
        ax.plot(league[:, i, 0], np.full(len(scenes), rank), "o", color=panels.LINES[0], alpha=0.5, markersize=5)
        ax.plot(mean[i, 0], rank, "|", color=panels.MARK, markersize=16, markeredgewidth=2)
    ax.set_yticks(range(len(names)), [names[i] for i in by_mean])
    ax.invert_yaxis()
    panels.finish_chart(
        ax, "deletion, mean colour: a dot per picture, red: the mean", "area under the curve: low is good", ""
    )


panels.row(spread, height=3)

# %% [markdown]
# Before you cheer for the winner, read the table against yourself.
#
# * **The dots of one map are spread more widely than the means of neighbouring maps differ.** Six ships are no study;
#   the order of two neighbours in this table is chance.
# * **Compare the columns.** Change what stands in place of a deleted patch, and places change. The score judges the map
#   *and* the way of taking away.
# * **A good place is not a reason.** Deletion rewards maps that find the patches to which the model is sensitive.
#   Whether it was these that made it say "ship" is a finer question.
#
# What remains, and what holds in larger studies as well (`minivit compare-maps` does yours): maps that contain the
# *class* can do better than those that do not; a map worse than random numbers at both deletions should not be shown to
# anybody as an explanation; and the exact sum of section 2 is never wrong, because it claims so little.
#
# ## What you have now
#
# * A league table of seven maps, made by you, with the reasons not to believe its order to the last place.
# * The exact account: parts that sum to the logit, to twelve digits.
# * Three questions for every coloured map you will ever be shown: *for which class? better than random? does it notice
#   when the model forgets?*
#
# **Assignment A5**, tasks 4 and 5, asks for `gradient_weighted` and `relevance`. In a notebook: `from minivit.course
# import check as grade`, then `grade("A5.5", my_relevance)`.
#
# Try next: `minivit.viz.plots.compare(model, "your.jpg")` for all seven at once; the league with `rough = 32`;
# relevance without the $^+$, so that negative votes count too.
