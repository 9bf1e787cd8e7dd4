# %% [markdown]
# # 09 · Training a tiny ViT
#
# So far somebody else had done the learning. Now you start from random numbers. When a training run fails, it seldom
# says so: the loss is a number, it goes down a little, and one does not know whether to wait or to search. People who
# are good at this *know numbers before they press start*, and stop at the first one that is off.
#
# **The question of this lesson.** Four numbers, to be written down before anything has been run. The model will have
# four classes.
#
# 1. The loss before the first step, to three digits.
# 2. By how much the first step of AdamW moves a parameter whose gradient is 0.5, and one whose gradient is 0.0005.
# 3. The loss that a right program reaches on *one* batch of 32 pictures, if it sees nothing else. And if their labels
#    have been shuffled?
# 4. After 400 steps, less than half a minute of CPU: the accuracy on pictures that it has never seen.
#
# About 40 minutes to read, under a minute to run. You need the backward pass (lesson 07). At the end there is a film of
# what your model looked at while it learnt.

# %%
import base64
import tempfile
from pathlib import Path

import numpy as np
from quiz import check

import minivit
from minivit import tiers
from minivit.config import ViTConfig
from minivit.data import Augment, Split, Stream, shapes
from minivit.ops.cross_entropy.ref import one_hot
from minivit.train import AdamW, Vector, clip, gradients_of_batch, learning_rate
from minivit.train.learner import Learner
from minivit.train.presets import PIXELS
from minivit.train.recipe import Recipe
from minivit.train.start import initial
from minivit.viz import film, maps, mosaic, panels
from minivit.viz.scene import colours

# %% [markdown]
# ## The pictures
#
# They are drawn on the spot (`minivit/data/shapes.py`): one shape of any place, size, tilt and colour, as often
# brighter as darker than what is behind it. Only the outline tells the classes apart. We take four of the twelve.

# %%
CLASSES = ("crescent", "cross", "ring", "triangle")
numbers = [shapes.CLASSES.index(name) for name in CLASSES]


def some(count, seed):
    # a Split of the pictures of our classes among `count` drawn ones
    pixels, labels = shapes.draw(count, seed)
    ours = np.isin(labels, numbers)
    return Split(pixels[ours], np.searchsorted(numbers, labels[ours]))


learn, unseen = some(6000, seed=0), some(600, seed=1)
print(f"{len(learn)} pictures to learn from, {len(unseen)} others to test with")
table = np.stack([learn.pixels[learn.labels == c][:10] / 255 for c in range(4)])
panels.row(mosaic.grid(table, "ten of each class: " + ", ".join(CLASSES), gap=3), height=4.2)

# %% [markdown]
# ## 1 · The loss, and its value before the first step
#
# The model answers with a probability for each class. The loss is the mean of −log of the probability that it gave to
# the *right* one:
#
# $$L = -\frac1B \sum_b \log p_{b,\,\text{label}(b)}$$
#
# Right and sure costs 0; wrong and sure costs without limit. `initial` draws first parameters as the official code
# does, and the matrix of the head is *zero*. So all logits are zero.
#
# **Question 1.** Four classes. What is the loss before the first step, rounded to three digits behind the point?

# %%
answer = ...
### BEGIN SOLUTION
answer = round(np.log(4), 3)
### END SOLUTION
config = ViTConfig("tiny", 4, 48, 2, 3, 96, classes=4, image=(32, 32), preprocess=PIXELS)
ops = tiers.load("ref")
stream = Stream(learn, 32, config.image, config.preprocess, Augment(crop=2, flip=True))
images, labels = stream.batch(0)
targets = one_hot(labels, config.classes)
start = Vector(initial(config))
loss, logits, gradient = gradients_of_batch(start.tree, images, targets, config, ops)
check(answer, round(loss, 3), {0.25: "that is p; the loss is −log p", 0.602: "the natural logarithm"})

# %%
p = np.linspace(0.004, 1, 200)
print(f"{len(start):,} parameters; the loss of the first batch {loss:.6f}; log 4 = {np.log(4):.6f}")
panels.row(
    panels.curves(p, {"−log p": -np.log(p)}, "what it costs", "probability given to the right class", "loss"),
    panels.bars(
        CLASSES, ops.softmax(logits)[0], f"before the first step: p of a picture of a {CLASSES[labels[0]]}", ""
    ),
    height=2.6,
)

# %% [markdown]
# A first loss of 5 instead of 1.386 means that the model starts by being sure of something, wrongly: a head that was
# drawn too large, or labels that do not belong to the classes. It is the cheapest test of all, and it needs no step.
#
# ## 2 · One step, with nothing hidden
#
# Loss and gradient of the batch are there already. Two lines are left: clip the gradient, if it is longer than 1, and
# let the optimiser move the parameters. AdamW ([arXiv:1711.05101](https://arxiv.org/abs/1711.05101)) keeps two running
# means for every parameter, of its gradient and of its square:
#
# $$m \leftarrow \beta_1 m + (1-\beta_1)\,g, \qquad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2, \qquad
# \theta \leftarrow \theta - \eta\,\Bigl(\lambda\theta + \frac{\hat m}{\sqrt{\hat v} + \varepsilon}\Bigr)$$
#
# The hats undo that both means began at zero: m̂ = m / (1 − β₁ᵗ), and so for v. In the first step, t = 1, that makes m̂
# = g and v̂ = g².
#
# **Question 2.** In the *first* step, how many times farther does a parameter with gradient 0.5 move than one with
# gradient 0.0005? (No weight decay; ε is negligible.)

# %%
answer = ...
### BEGIN SOLUTION
answer = 1
### END SOLUTION
two, moved = np.array([0.5, 0.0005]), np.zeros(2)
optimiser = AdamW(weight_decay=0)
optimiser.update(moved, two, optimiser.start(2, np.float64), 0.003, 0)
check(answer, round(moved[0] / moved[1], 3), {1000: "that is plain gradient descent; here g is divided by √(g²)"})

# %%
print("they moved by", moved, "with rate 0.003")


def one_step(at, optimiser, state, step, rate=0.003):
    # parameters -> the parameters after it, the clipped gradient
    _, _, gradient = gradients_of_batch(at.tree, images, targets, config, ops)
    norm = clip(gradient.numbers, 1.0)
    after = Vector(at.tree)
    optimiser.update(after.numbers, gradient.numbers, state, rate, step)
    silent = np.mean(gradient.numbers == 0)
    print(f"step {step}: norm before clipping {norm:.3f}, parameters without any gradient {silent:.1%}")
    return after, gradient.numbers


state = optimiser.start(len(start), np.float32)
once, _ = one_step(start, optimiser, state, 0)
twice, g = one_step(once, optimiser, state, 1)
sizes = {
    "gradients": g,
    "plain descent: how far each moves": 0.003 * g,
    "AdamW: how far each moves": twice.numbers - once.numbers,
}
bins = np.linspace(-10, 0, 61)
panels.row(
    *(panels.histogram(np.log10(abs(v[v != 0])), name, "log₁₀ of the size", bins) for name, v in sizes.items()),
    height=2.6,
)

# %% [markdown]
# In the very first step only the head has a gradient: its matrix is zero, so nothing behind it can be blamed for
# anything. In the second, all have, and you see the difference. Plain descent spreads the steps over many powers of
# ten, as the gradients are. AdamW moves nearly everybody by about the rate, up or down, whatever the size of the
# gradient: what counts is its *sign*, and whether it keeps it. Later steps become shorter where a parameter's gradients
# contradict each other from batch to batch, since then m̂ is small beside √v̂.
#
# ## 3 · Warm-up
#
# Full steps for everybody, in a direction that one batch has given, in a network of random numbers: that is how runs
# die in their first minute. So the rate starts at zero, rises for some steps, and falls slowly to zero again. Large
# steps come when the means m and v know something.
#
# > **Predict.** One batch, again and again, with seven times the rate that we shall use, with and without warm-up. What
# > will the two losses look like in the first ten steps?

# %%
STEPS, RATE, WARMUP = 400, 3e-3, 40


def learner_of(steps, **changes):
    recipe = Recipe(config, steps=steps, batch=32, weight_decay=0.02, augment=stream.augment, **changes)
    return Learner(recipe, ops, steps)


def losses_of(learner, batch_of, steps):
    return [learner.step(*batch_of(step))[0] for step in range(steps)]


plain = Stream(learn, 32, config.image, config.preprocess).batch(0)  # without random changes
hot = {
    "with warm-up": losses_of(learner_of(200, rate=7 * RATE, warmup=15), lambda step: plain, 50),
    "without": losses_of(learner_of(200, rate=7 * RATE), lambda step: plain, 50),
}
rates = [1e3 * learning_rate(step, STEPS, WARMUP, RATE) for step in range(STEPS)]
panels.row(
    panels.curves(np.arange(STEPS), {"rate": rates}, "the rate of our run, in thousandths", "step"),
    panels.curves(np.arange(50), hot, "loss on one batch with seven times that rate", "step"),
    height=2.8,
)

# %% [markdown]
# Without warm-up the loss jumps *above its starting point* within the first ten steps: they were too long for the slope
# that they followed. (Later both curves are jagged. This rate is too large in any case, and a warm-up does not change
# that.) A model of this size recovers, and you might never have noticed. Large ones often do not: they stay near log C
# for ever, sure of nothing, or end in NaN. A loss that climbs in its first ten steps is worth a minute of your
# attention.
#
# ## 4 · Overfit one batch
#
# Before you train on everything, train on *one* batch, again and again. A program in which everything fits together
# must be able to learn 32 pictures by heart. If it cannot, then gradients, labels, optimiser or data do not fit
# together, and no larger run will mend that.
#
# > **Predict.** Your third number: the loss after 60 steps. And if the 32 labels are shuffled first, so that a ring may
# > be called a cross?

# %%
mixed = plain[0], np.random.default_rng(0).permutation(plain[1])
by_heart = {name: learner_of(60, rate=RATE, warmup=5) for name in ("right labels", "shuffled labels")}
falls = {
    name: losses_of(by_heart[name], lambda step, batch=batch: batch, 60)
    for name, batch in zip(by_heart, (plain, mixed), strict=True)
}


def model_of(learner):
    return minivit.Model(config, learner.state.vector.tree, ops, CLASSES)


def accuracy(model, pixels, truth):
    return float(np.mean(model.run(pixels).argmax(-1) == truth))


new = minivit.Model(config, start.tree, ops).preprocess(unseen.pixels)
for (name, learner), batch in zip(by_heart.items(), (plain, mixed), strict=True):
    own, others = accuracy(model_of(learner), *batch), accuracy(model_of(learner), new, unseen.labels)
    print(f"{name:16s} loss {falls[name][-1]:.3f}   right on its own 32: {own:.0%}   on new pictures: {others:.0%}")
panels.row(panels.curves(np.arange(60), falls, "one batch, again and again", "step", "loss"), height=2.8)

# %% [markdown]
# Both fall, to the same place. The second one has learnt 32 pictures and 32 names by heart, most of them false. And on
# new pictures *both* are about as good as guessing: 32 pictures teach a network nothing but themselves. So this test
# says that the *machine* works. It does not say that anything sensible is being learnt; only unseen pictures can tell
# that, and the next section asks them.
#
# **Question 3.** What accuracy on unseen pictures does guessing have, with four classes, equally frequent?

# %%
answer = ...
### BEGIN SOLUTION
answer = 0.25
### END SOLUTION
check(answer, 1 / len(CLASSES), {25: "as a number between 0 and 1", 0.5: "one right class among four"})

# %% [markdown]
# ## 5 · The run
#
# Now all pictures, moved and mirrored at random, so that no batch comes twice. Every 20 steps we note the accuracy on
# unseen pictures, and where the class token looks in four of them.
#
# > **Predict.** Your fourth number. And: will the model look at the shape first and then get it right, or get it right
# > first?

# %%
learner = learner_of(STEPS, rate=RATE, warmup=WARMUP)
watched = [int(np.flatnonzero(unseen.labels == c)[1]) for c in range(4)]  # a picture of each class
fixed = new[watched]
steps, losses, right, frames, sure = [], [], [], [], []


def look():
    model = model_of(learner)
    trace = model.trace(fixed, keep="block*.attn.probs,logits")
    last = maps.readout_map(trace[f"block{config.blocks - 1}.attn.probs"], config, config.grid)[1].mean(1)
    steps.append(learner.state.step)
    right.append(100 * accuracy(model, new, unseen.labels))
    frames.append(last)  # (4,8,8): mean over the heads of the last block
    sure.append(ops.softmax(trace["logits"])[np.arange(4), np.arange(4)])


for step in range(STEPS):
    if step % 20 == 0:
        look()
    losses.append(learner.step(*stream.batch(step))[0])
look()
print(f"accuracy on {len(unseen)} unseen pictures: {right[0]:.0f} % before, {right[-1]:.0f} % after {STEPS} steps")
smooth = np.convolve(losses, np.ones(20) / 20, "valid")
panels.row(
    panels.curves(np.arange(19, STEPS), {"loss, mean of 20 steps": smooth}, "loss while learning", "step"),
    panels.curves(np.array(steps), {"accuracy": right}, "accuracy on unseen pictures, %", "step"),
    height=2.8,
)

# %% [markdown]
# Was there a plateau at first, near log 4, before the loss began to fall? It is typical: for some dozens of steps the
# patches have to find features that the class token can use, and nothing of that shows in the loss.
#
# And this is what it looked at. Each row is one picture that it never learnt from, each column a moment. All maps share
# one colour scale.

# %%
rgbs = [colours(pixels, config) for pixels in fixed]
scale = film.shared_scale(list(np.concatenate(frames)))
moments = [0, 2, 4, 6, 8, 10, 14, 20]  # of the 21 that we noted
strip = np.array([[film.blend(rgb, frames[t][i], scale) / 255 for t in moments] for i, rgb in enumerate(rgbs)])
strip = np.concatenate([np.array(rgbs)[:, None], strip], 1)
title = "the picture, and where the class token looks after " + ", ".join(str(steps[t]) for t in moments) + " steps"
chances = np.array(sure).T  # (4, moments)
panels.row(mosaic.grid(strip, title, f"colours of all maps: {scale[0]:.3f} … {scale[1]:.3f}", gap=2), height=4.9)

# %%
panels.row(
    panels.curves(
        np.array(steps), dict(zip(CLASSES, 100 * chances, strict=True)), "how sure it was of the right class, %", "step"
    ),
    height=2.6,
)

# %% [markdown]
# Before the first step the maps are nearly flat: about 1/65 everywhere. Then light gathers. Whether on the shape, on
# its rim, or on something that you would not have thought of, is for you to see, and lesson 06 has told you how careful
# to be about it.
#
# The same as a film, to take home: one picture, 21 moments (`.save("learning.gif")` keeps it).


# %%
class Film:
    """A GIF that a notebook plays."""

    def __init__(self, frames, count):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.gif"
            film.write(path, frames, count, fps=4)
            self.gif = path.read_bytes()

    def save(self, path):
        Path(path).write_bytes(self.gif)

    def _repr_html_(self):
        return f'<img alt="attention while learning" src="data:image/gif;base64,{base64.b64encode(self.gif).decode()}">'


def frames_of(i):
    for t, step in enumerate(steps):
        said = [f"step {step}: “{CLASSES[i]}” with {chances[i, t]:.0%}", f"colours {scale[0]:.3f} … {scale[1]:.3f}"]
        yield film.frame(rgbs[i], frames[t][i], scale, said, t / (len(steps) - 1))


Film(frames_of(3), len(steps))

# %% [markdown]
# ## 6 · What it still gets wrong
#
# The accuracy is one number. The **confusion matrix** has sixteen: rows are what a picture is, columns what the model
# says.
#
# > **Predict.** Which two of crescent, cross, ring and triangle will it mix up most?

# %%
final = model_of(learner)
says = final.run(new)
confusion = np.zeros((4, 4))
np.add.at(confusion, (unseen.labels, says.argmax(-1)), 1)
confusion *= 100 / confusion.sum(1, keepdims=True)
doubt = ops.softmax(says)[np.arange(len(unseen)), unseen.labels].argsort()[:12]  # least sure of the right class
worst = np.array([unseen.pixels[i] / 255 for i in doubt]).reshape(2, 6, 32, 32, 3)


def mixed_up(ax):
    panels.matrix(confusion, "per cent of each class", "what it says", fmt="{:.0f}", rows=CLASSES)(ax)
    ax.set_xticks(range(4), CLASSES, fontsize=8)


panels.row(mixed_up, mosaic.grid(worst, "the twelve that it got most wrong", gap=2), widths=(4, 5), height=3)

# %%
for i in doubt[:6]:
    print(f"a {CLASSES[unseen.labels[i]]:9s} called {CLASSES[says[i].argmax()]}")

# %% [markdown]
# Look at the wrong ones before you turn any knob. Some are hard for you, too. The others tell what is missing.
#
# **Question 4.** One epoch is once through all pictures to learn from. You have seen their number at the top; a batch
# has 32 and a last, incomplete one is left out. How many steps is an epoch?

# %%
answer = ...
### BEGIN SOLUTION
answer = 2000 // 32
### END SOLUTION
check(answer, stream.steps, {63: "the last one is incomplete", 62.5: "whole batches", 400: "that is the whole run"})

# %% [markdown]
# ## The real thing
#
# What you have done in cells, `minivit train` does with everything that a long run needs: a log, a test per epoch, a
# moving average, a state from which Ctrl-C can be taken back, and a picture of the attention after each test, of which
# `minivit film` makes a film:
#
# ```
# minivit train --data shapes --preset shapes --output run      # all twelve shapes, some minutes
# minivit film run -o learning.gif
# minivit train --data cifar-10-batches-py --preset cifar10 --output run32      # like the model in the box
# ```
#
# ## What you have now
#
# * Four numbers to know before you press start, and what it means if one is off.
# * A step with nothing hidden: loss, gradient, clip, AdamW.
# * A Vision Transformer of your own that knows four shapes, and a film of how it came to look at them.
#
# **Assignment A6**, task 7, asks for the first line of all learning, `cross_entropy_backward`. In a notebook: `from
# minivit.course import check as grade`, then `grade("A6.7", my_cross_entropy_backward)`.
#
# Try next: `RATE = 3e-2`; a batch of 4; `weight_decay=0`; the positions taken away (`patch={"embed.position":
# np.zeros_like}` in `final.run`): does your model ask where its patches were?
