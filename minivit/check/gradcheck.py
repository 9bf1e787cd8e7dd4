"""Check every hand-written backward by central differences, in float64.

    curves = gradcheck.run()                     # {name: [(h, error), …]} of every op and of a whole small model
    gradcheck.plot(curves, "gradcheck.png")
    gradcheck.run(ops.replace(softmax_backward=mine))["softmax"]

For a direction v of length one, (L(x + hv) − L(x − hv)) / 2h should be ⟨∇L, v⟩.  What is missing shrinks with h², until
the rounding of L, divided by h, takes over: on logarithmic axes a V, at best near 1e-10.  A mistake in the backward
stays, whatever h is: a flat line at the height of the mistake.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import models, params, tiers
from ..config import HybridConfig, Stem, ViTConfig
from ..gradients import loss_and_gradients
from ..trace import NO_TAP, make_tap

STEPS = np.logspace(-0.5, -9, 18)
LIMIT = 1e-8  # the minimum of the V of a right backward is below
MODEL = "whole model"


class Case(NamedTuple):
    """One op: shapes of its inputs, forward(ops, inputs…) -> y, backward(ops.backward, dy, y, inputs…) -> gradients."""

    shapes: tuple
    forward: Callable
    backward: Callable


GRIDS = (3, 4), (5, 2), 1, "bicubic"

#: what is checked -> how; the first word is the op
CASES = {
    "patch_embed": Case(((2, 5, 7, 2), (2, 2, 2, 3), (3,)),
        lambda ops, images, w, b: ops.patch_embed(images, w, b),
        lambda back, dy, y, images, w, b: back.patch_embed(dy, images, w)),
    "prepend": Case(((3, 4, 2), (1, 2, 2)),
        lambda ops, patches, prefix: ops.prepend(patches, prefix),
        lambda back, dy, y, patches, prefix: back.prepend(dy, prefix)),
    "resize_positions": Case(((1, 13, 2),),
        lambda ops, table: ops.resize_positions(table, *GRIDS),
        lambda back, dy, y, table: back.resize_positions(dy, *GRIDS)),
    "layernorm": Case(((2, 3, 8), (8,), (8,)),  # eps 0.1, so that its place shows
        lambda ops, x, scale, bias: ops.layernorm(x, scale, bias, 0.1),
        lambda back, dy, y, x, scale, bias: back.layernorm(dy, x, scale, 0.1)),
    "linear": Case(((2, 3, 4), (4, 4), (4,)),  # square, so that a missing transpose is a wrong number, not a shape
        lambda ops, x, w, b: ops.linear(x, w, b),
        lambda back, dy, y, x, w, b: back.linear(dy, x, w)),
    "scores": Case(((2, 2, 3, 4), (2, 2, 3, 4)),
        lambda ops, q, k: ops.scores(q, k),
        lambda back, dy, y, q, k: back.scores(dy, q, k)),
    "softmax": Case(((2, 3, 5),), lambda ops, x: ops.softmax(x), lambda back, dy, y, x: back.softmax(dy, y)),
    "mix": Case(((2, 2, 3, 3), (2, 2, 3, 4)),
        lambda ops, probs, v: ops.mix(probs, v),
        lambda back, dy, y, probs, v: back.mix(dy, probs, v)),
    "gelu tanh": Case(((4, 7),), lambda ops, x: ops.gelu(x, "tanh"), lambda back, dy, y, x: back.gelu(dy, x, "tanh")),
    "gelu erf": Case(((4, 7),), lambda ops, x: ops.gelu(x, "erf"), lambda back, dy, y, x: back.gelu(dy, x, "erf")),
    "tanh": Case(((4, 7),), lambda ops, x: ops.tanh(x), lambda back, dy, y, x: back.tanh(dy, y)),
    "pool token": Case(((2, 5, 3),),
        lambda ops, x: ops.pool(x, "token", 1),
        lambda back, dy, y, x: back.pool(dy, 5, "token", 1)),
    "pool gap": Case(((2, 5, 3),),
        lambda ops, x: ops.pool(x, "gap", 1),
        lambda back, dy, y, x: back.pool(dy, 5, "gap", 1)),
    "pool unpooled": Case(((2, 5, 3),),
        lambda ops, x: ops.pool(x, "unpooled", 1),
        lambda back, dy, y, x: back.pool(dy, 5, "unpooled", 1)),
    "cross_entropy": Case(((3, 5),),
        lambda ops, logits: ops.cross_entropy(logits, TARGETS),
        lambda back, dy, y, logits: dy * back.cross_entropy(logits, TARGETS)),
    "standardise std": Case(((2, 2, 3, 4),),  # eps 0.1, so that its place shows
        lambda ops, w: ops.standardise(w, 0.1, "std"),
        lambda back, dy, y, w: back.standardise(dy, w, 0.1, "std")),
    "standardise variance": Case(((2, 2, 3, 4),),
        lambda ops, w: ops.standardise(w, 0.1, "variance"),
        lambda back, dy, y, w: back.standardise(dy, w, 0.1, "variance")),
    "conv": Case(((2, 5, 4, 2), (3, 3, 2, 3)),
        lambda ops, x, w: ops.conv(x, w, 2),
        lambda back, dy, y, x, w: back.conv(dy, x, w, 2)),
    "groupnorm": Case(((2, 3, 2, 6), (6,), (6,)),
        lambda ops, x, scale, bias: ops.groupnorm(x, scale, bias, 3, 0.1),
        lambda back, dy, y, x, scale, bias: back.groupnorm(dy, x, scale, 3, 0.1)),
    "relu": Case(((4, 7),), lambda ops, x: ops.relu(x), lambda back, dy, y, x: back.relu(dy, y)),
    "max_pool": Case(((2, 4, 5, 2),),
        lambda ops, x: ops.max_pool(x, 3, 2),
        lambda back, dy, y, x: back.max_pool(dy, x, y, 3, 2)),
}  # fmt: skip
TARGETS = np.array([[0.9, 0.1, 0, 0, 0], [0, 0, 1, 0, 0], [0.2, 0.2, 0.2, 0.2, 0.2]])

#: small, but with everything that has a gradient; checked on images of another size than its position table is for
SMALL = ViTConfig("small", 2, width=8, blocks=2, heads=2, mlp=12, classes=3, image=(4, 4), representation=6)
IMAGES = (2, 6, 5, 3)
#: the same of a hybrid
STEM = Stem((1, 1), width=4, groups=2)
SMALL_HYBRID = HybridConfig("small", 1, width=8, blocks=1, heads=2, mlp=12, classes=3, image=(16, 16), stem=STEM)


def run(ops=None):
    """{name: [(h, error), …]} of every op and of a whole model; `ops` (default: tier "ref") must compute in float64."""
    ops = ops or tiers.load("ref", "float64")
    return {**{name: check_op(name, ops) for name in CASES}, MODEL: check_model(ops)}


def check_op(name, ops):
    """[(h, error), …] of one of CASES.

    The loss adds up r·y³ with random r: thanks to the cube, ops that are linear have a V too.
    """
    rng = np.random.default_rng(0)
    shapes, forward, backward = CASES[name]
    inputs = [rng.standard_normal(shape) for shape in shapes]
    y = forward(ops, *inputs)
    r = rng.standard_normal(np.shape(y))
    found = backward(ops.backward, 3 * r * y**2, y, *inputs)
    found = found if isinstance(found, tuple) else (found,)
    return curve(lambda *changed: np.sum(r * forward(ops, *changed) ** 3), inputs, found, directions=4)


def check_model(ops, config=SMALL, shape=IMAGES):
    """[(h, error), …] of the loss of a model: the images, and all its parameters."""
    rng = np.random.default_rng(0)
    images, targets = rng.standard_normal(shape), rng.dirichlet(np.ones(config.classes), shape[0])
    flat = params.flatten(params.seeded(config, dtype=np.float64))
    tap = make_tap(config, "image")
    _, _, tree = loss_and_gradients(params.nest(flat), images, targets, config, ops, (NO_TAP, tap))

    def loss(pixels, *values):
        changed = params.nest(dict(zip(flat, values, strict=True)))
        return ops.cross_entropy(models.of(config).forward(changed, pixels, config, ops), targets)

    return curve(loss, [images, *flat.values()], [tap.store["image"], *params.flatten(tree).values()])


def curve(loss, inputs, found, directions=1):
    """[(h, error), …]: the largest error over random directions of each input, relative to the longest gradient.

    loss(inputs…) gives a number; `found` are the gradients to be checked, one per input.
    """
    rng = np.random.default_rng(1)
    longest = max(np.linalg.norm(gradient) for gradient in found)
    errors = np.zeros(len(STEPS))
    for i, (x, gradient) in enumerate(zip(inputs, found, strict=True)):
        for v in rng.standard_normal((directions, *x.shape)):
            v /= np.linalg.norm(v)
            slopes = [_slope(lambda t, i=i, x=x, v=v: loss(*inputs[:i], x + t * v, *inputs[i + 1 :]), h) for h in STEPS]
            errors = np.maximum(errors, np.abs(slopes - np.vdot(gradient, v)) / longest)
    return list(zip(STEPS.tolist(), errors.tolist(), strict=True))


def _slope(f, h):
    return (f(h) - f(-h)) / (2 * h)


def smallest(curve):
    """The minimum of the V: the error at the best h."""
    return min(error for _, error in curve)


def plot(curves, path):
    """Write a PNG of {name: curve}: the error over h, a line each.  Raises InputError if it cannot be written."""
    from ..viz.panels import row

    row(lambda ax: draw(ax, curves), height=4.6).save(path)


def draw(ax, curves):
    """The same on a pair of matplotlib axes; a line that never gets below LIMIT is red."""
    from matplotlib import colormaps

    from ..viz.panels import FAINT, INK, MARK, QUANTITY

    order = sorted(curves, key=lambda name: -smallest(curves[name]))
    for name, colour in zip(order, colormaps[QUANTITY](np.linspace(0.05, 0.9, len(order))), strict=True):
        (h, error), best = zip(*curves[name], strict=True), smallest(curves[name])
        if name == MODEL or not best <= LIMIT:
            colour = INK if best <= LIMIT else MARK
        ax.loglog(h, error, color=colour, linewidth=2.4 if name == MODEL else 1.2, label=f"{best:.0e}  {name}")
    ax.axhline(LIMIT, color=FAINT, linewidth=1, linestyle="--", zorder=0)
    small = {"color": INK, "fontsize": 8}
    ax.text(0.08, 0.1, "small steps: rounding, ∝ 1/h", transform=ax.transAxes, **small)
    ax.text(0.68, 0.1, "large steps: curvature, ∝ h²", transform=ax.transAxes, **small)
    ax.set_title("Central differences against the backward pass", fontsize=9, color=INK)
    ax.set_xlabel("step h", **small)
    ax.set_ylabel("error, relative to the gradient", **small)
    ax.tick_params(labelsize=8, color=FAINT)
    ax.tick_params(which="minor", length=0)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0e}")  # a Plot draws no formulas such as 10⁻²
    ax.spines[:].set_color(FAINT)
    ax.spines[["top", "right"]].set_visible(False)
    legend = {"title": "smallest error", "title_fontsize": 8, "alignment": "left", "fontsize": 8, "frameon": False}
    ax.legend(**legend, loc="center left", bbox_to_anchor=(1, 0.5))
