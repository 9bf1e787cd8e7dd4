"""Is a map true?  Take away what it points at, or the weights it was made from, and see what changes.

These run the model many times.  `images` and `size` as for Model.run; a map is (rows,columns), larger meaning more.
"""

import copy
from dataclasses import dataclass

import numpy as np

from .. import params
from ..errors import InputError, nearest
from ..models import vit
from ..ops.cross_entropy.ref import one_hot
from ..trace import Tap
from .lens import check_logits, targets_of

BASELINES = ("mean", "blur")
BATCH = 16  # pictures in memory at once
UNTRAINED = 1  # the seed of weights drawn anew; not 0, which made the demo model


def knock_out(model, images, target=None, size=None, progress=lambda done, total: None):
    """Δ logit of a class when one head says nothing (its z is zero), for every head: negative where the head helped.

    Same numbers as Model.run(patch={"block3.attn.z": …}); blocks before the head's are not run again.
    Source: Michel et al., arXiv:1905.10650.
    """
    # target: a class, or one per image (default: the most probable) -> (B,L,H)
    config, blocks = model.config, model.params["blocks"]
    check_logits(config)
    trace = model.trace(images, "embed.out, block*.resid_post, logits", size)
    chosen = one_hot(targets_of(trace["logits"], target), config.classes)
    change = np.empty((len(chosen), config.blocks, config.heads))
    for i in range(config.blocks):
        x = trace[f"block{i - 1}.resid_post" if i else "embed.out"]
        for h in range(config.heads):
            tap = Tap(patch={"block0.attn.z": lambda z, h=h: silence(z, h)})  # names count from the first block run
            logits = vit.head(model.params, vit.encoder(blocks[i:], x, config, model.ops, tap), config, model.ops, tap)
            change[:, i, h] = ((logits - trace["logits"]) * chosen).sum(-1)
            progress(i * config.heads + h + 1, config.blocks * config.heads)
    return change


def silence(z, head):
    # z (B,H,N,K) -> the same with zeros for one head
    z = np.array(z)
    z[:, head] = 0
    return z


@dataclass(frozen=True)
class Curve:
    """scores[i]: the class's probability when fractions[i] of the patches are replaced; `auc` is the area below."""

    fractions: np.ndarray
    scores: np.ndarray

    @property
    def auc(self):
        return float(np.trapezoid(self.scores, self.fractions))


def deletion(model, image, values, target=None, steps=14, baseline="mean", size=None):
    """Replace the patches from the map's largest on: the sooner the class is gone, the lower the area, the better.

    baseline: what a patch is replaced by, of BASELINES: the image's mean colour, or the image blurred by one patch.
    Source: RISE, arXiv:1806.07421; whole patches, because a map says nothing finer.
    """
    # one image, values (rows,columns) -> Curve of steps + 1 points
    pixels = one_picture(model, image, size)
    return curve(model, pixels, blank(pixels, baseline, model.config.cell), values, target, steps, intact=0)


def insertion(model, image, values, target=None, steps=14, baseline="blur", size=None):
    """The other way round: begin with nothing and put the patches back.  The higher the area, the better."""
    pixels = one_picture(model, image, size)
    return curve(model, blank(pixels, baseline, model.config.cell), pixels, values, target, steps, intact=-1)


def curve(model, before, after, values, target, steps, intact):
    # before, after (1,h,w,c), intact: which of the pictures in between is the whole image -> Curve
    check_logits(model.config)
    grid = model.config.grid_of(*before.shape[1:3])
    if values.shape != grid:
        raise InputError(f"the map has shape {values.shape}, expected {grid}, the patches of the image")
    if not 1 <= steps <= values.size:
        raise InputError(f"{steps} steps, expected 1 to {values.size}, the patches of the image")
    fractions = np.linspace(0, 1, steps + 1)
    pictures = replaced(before[0], after[0], values, fractions, model.config.cell)
    logits = np.concatenate([model.run(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)])
    target = targets_of(logits[intact][None], target)[0]
    probabilities = np.exp(logits - logits.max(-1, keepdims=True), dtype=np.float64)
    probabilities /= probabilities.sum(-1, keepdims=True)
    return Curve(fractions, probabilities[:, target])


def one_picture(model, image, size):
    """Preprocessed pixels (1,h,w,c).  Raises InputError for several pictures."""
    pixels = model.preprocess(image, size)
    if len(pixels) != 1:
        raise InputError(f"expected one picture, got {len(pixels)}: a map belongs to one")
    return pixels


def replaced(before, after, values, fractions, patch):
    """`before`, with its patches of largest value taken from `after`, one picture per fraction."""
    # before, after (h,w,c), values (rows,columns) -> (len(fractions),h,w,c); pixels beyond the last patch stay
    place = np.empty(values.size, int)
    place[np.argsort(-values, axis=None, kind="stable")] = np.arange(values.size)
    place = np.kron(place.reshape(values.shape), np.ones((patch, patch), int))
    place = place[: before.shape[0], : before.shape[1]]  # the last patches of a hybrid may reach beyond the image
    pictures = np.repeat(before[None], len(fractions), axis=0)
    height, width = place.shape
    for picture, fraction in zip(pictures, fractions, strict=True):
        gone = place < round(fraction * values.size)
        picture[:height, :width][gone] = after[:height, :width][gone]
    return pictures


def blank(pixels, baseline, patch):
    """What stands where a patch was taken away: the mean colour, or a Gaussian blur of σ = one patch."""
    # pixels (B,h,w,c) -> (B,h,w,c)
    if baseline == "mean":
        return np.broadcast_to(pixels.mean((1, 2), keepdims=True), pixels.shape)
    if baseline != "blur":
        raise InputError(f"there is no baseline {baseline!r}{nearest(baseline, BASELINES)}")
    rows, columns = (np.exp(-0.5 * (np.subtract.outer(*2 * [np.arange(n)]) / patch) ** 2) for n in pixels.shape[1:3])
    rows, columns = (weights / weights.sum(1, keepdims=True) for weights in (rows, columns))
    return np.einsum("ij,bjkc,lk->bilc", rows, pixels, columns, optimize=True).astype(pixels.dtype)


def randomisation(model, view, seed=UNTRAINED, progress=lambda done, total: None):
    """[(part, rank correlation)]: how alike a map is to the true one, as parts are redrawn from the head downwards.

    view: a function of a model that returns a map (rows,columns).  A map that stays the same although the model no
    longer knows anything shows the picture, not the model.  Source: Adebayo et al., arXiv:1810.03292.
    """
    truth, drawn = view(model), model.ops.prepare(params.seeded(model.config, seed))
    changed = copy.copy(model)
    last = [name for name in drawn if name not in ("stem", "embed", "blocks")]
    changed.params = {**model.params, **{name: drawn[name] for name in last}}
    found, blocks = [("head", rank_correlation(truth, view(changed)))], model.config.blocks
    for i in reversed(range(blocks)):
        changed = copy.copy(changed)
        changed.params = {**changed.params, "blocks": [*model.params["blocks"][:i], *drawn["blocks"][i:]]}
        found.append((f"block{i}", rank_correlation(truth, view(changed))))
        progress(blocks - i, blocks)
    return found


def untrained(model, seed=UNTRAINED):
    """The same model with all weights drawn anew: it knows nothing."""
    changed = copy.copy(model)
    changed.params = model.ops.prepare(params.seeded(model.config, seed))
    return changed


def rank_correlation(a, b):
    """Spearman's ρ: the correlation of the ranks, equal numbers sharing theirs; 0 where all are equal."""
    # a, b of the same shape -> float
    ranks = [_ranks(x.ravel()) for x in (a, b)]
    if min(np.ptp(r) for r in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(x):
    # x (n,) -> (n,)
    _, which, count = np.unique(x, return_inverse=True, return_counts=True)
    return (count.cumsum() - (count - 1) / 2)[which]
