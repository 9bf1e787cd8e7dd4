"""Maps of a model by name: what `minivit look` draws and `minivit compare-maps` puts side by side.

targets, found = explain(model, "cat.jpg")  # seven maps, for the most probable class
found["relevance"]                          # (B,rows,columns)
"""

from dataclasses import dataclass

import numpy as np

from .. import models, names
from ..errors import InputError, nearest
from ..gradients import Saving
from ..ops.cross_entropy.ref import one_hot
from ..trace import Tap, Trace
from . import flow, maps, statistics
from .attribution import dense
from .lens import check_logits, patch_lens, targets_of


@dataclass(frozen=True)
class Seen:
    """One forward and, if asked, one backward pass: what the maps are made of."""

    model: object
    grid: tuple
    targets: np.ndarray | None  # (B,) the class each map is for
    trace: Trace
    gradients: Trace | None

    def probs(self):
        return maps.per_block(self.trace)


def attention(seen, layer):
    return maps.merge_heads(_read(seen, seen.trace[f"block{layer}.attn.probs"]))


def rollout(seen, layer):
    return _read(seen, flow.rollout(seen.probs()[: layer + 1]))


def norm_weighted(seen, layer):
    probs, v = seen.trace[f"block{layer}.attn.probs"], seen.trace[f"block{layer}.attn.v"]
    w_out = dense(seen.model.params["blocks"][layer]["attn"]["out"]["w"])
    return maps.merge_heads(_read(seen, statistics.norm_weighted(probs, v, w_out)))


def gradient(seen, layer):
    name = f"block{layer}.attn.probs"
    return _read(seen, flow.gradient_weighted(seen.trace[name], seen.gradients[name]))


def relevance(seen, layer):
    gradients = maps.per_block(seen.gradients)
    R = flow.relevance(seen.probs()[: layer + 1], gradients[: layer + 1])
    return _read(seen, R - np.eye(R.shape[-1]))  # what every token is to itself before any block tells nothing


def lens(seen, layer):
    logits = patch_lens(seen.model, seen.trace[f"block{layer}.resid_post"], seen.grid)
    return np.take_along_axis(logits, seen.targets[:, None, None, None], -1)[..., 0]


def random(seen, layer):
    shape = len(seen.trace[f"block{layer}.attn.probs"]), *seen.grid
    return np.random.default_rng(0).uniform(size=shape)


#: name -> (function of (Seen, layer) -> (B,rows,columns), whether it is for one class)
MAPS = {
    "attention": (attention, False),
    "rollout": (rollout, False),
    "norm-weighted": (norm_weighted, False),
    "gradient": (gradient, True),
    "relevance": (relevance, True),
    "lens": (lens, True),
    "random": (random, False),
}


def explain(model, images, which=tuple(MAPS), target=None, layer=None, size=None):
    """(targets, {name: map (B,rows,columns)}): which patches count for the image's feature, or for one of its classes.

    which: names of MAPS; target: a class, or one per image (default: the most probable; the returned targets (B,) are
    None if no map needs a class); layer: the block looked at, or up to which rollout and relevance go (default: the
    last).  Larger is more; only "lens" has negative numbers.
    Raises InputError for an unknown map, a block or class out of range, and class maps of a model without logits.
    """
    for name in which:
        if name not in MAPS:
            raise InputError(f"there is no map {name!r}{nearest(name, MAPS)}")
    layer = model.config.blocks - 1 if layer is None else layer
    if not 0 <= layer < model.config.blocks:
        raise InputError(f"{model.config.name} has no block {layer}, expected 0 to {model.config.blocks - 1}")
    keep = "block*.attn.probs, block*.attn.v, block*.resid_post"
    pixels = model.preprocess(images, size)
    if any(MAPS[name][1] for name in which):
        targets, trace, gradients = class_gradients(model, pixels, target, keep)
    else:
        targets, trace, gradients = None, model.trace(pixels, keep), None
    seen = Seen(model, model.config.grid_of(*pixels.shape[1:3]), targets, trace, gradients)
    return targets, {name: MAPS[name][0](seen, layer) for name in which}


def class_gradients(model, images, target=None, keep="block*.attn.probs"):
    """(targets (B,), Trace, gradients): tensors that match `keep`, and ∂logit[target]/∂tensor of each.

    Raises InputError for a model without one set of logits and for a class out of range.
    """
    check_logits(model.config)
    kept, pixels = names.expand(keep, model.config), model.preprocess(images)
    seen, felt, ops = Tap(kept), Tap(kept), model.ops.replace()  # without arguments: every step as written
    backward = models.backward_of(model.config)
    saving = Saving(seen, backward)
    logits = models.of(model.config).forward(model.params, pixels, model.config, ops, saving)
    targets = targets_of(logits, target)
    dlogits = one_hot(targets, model.config.classes, dtype=logits.dtype)
    backward.backward(model.params, saving.store, dlogits, model.config, ops, felt)
    return targets, Trace(seen.store, model.config), Trace(felt.store, model.config)


def _read(seen, probs):
    # (...,N,N) -> (...,rows,columns)
    return maps.readout_map(probs, seen.model.config, seen.grid)[1]
