"""Loss and gradients of a model: forward, cross-entropy, backward.

grads = model.gradients("cat.jpg", targets=281)
grads["block5.attn.probs"]                     # with keep="block5.attn.probs": how the loss changes with each of them
grads["image"]                                 # …and with each pixel; always there
grads.params["blocks"][3]["mlp"]["fc1"]["w"]   # …and with each parameter: a tree like model.params
"""

import re

import numpy as np

from . import models, names
from .errors import InputError
from .ops.cross_entropy.ref import one_hot
from .trace import NO_TAP, Trace


def loss_and_gradients(params, images, targets, config, ops, tap=None):
    """(loss, logits, gradients) of a batch; gradients is a tree like params.

    images (B,h,w,c); targets (B,C), a distribution over the classes per image, see `ops.cross_entropy`.
    tap: a pair (of the forward pass, of the backward pass), called with every tensor and with every gradient by name.
    A forward tap must return a new array rather than change the one it gets.
    """
    forward_tap, backward_tap = tap or (NO_TAP, NO_TAP)
    fused = "encoder_backward" in ops.fused and not (forward_tap.active or backward_tap.active)
    ops = ops if fused else ops.replace()  # without arguments: every step as written
    backward = models.backward_of(config)
    saving = Saving(forward_tap, backward)
    logits = models.of(config).forward(params, images, config, ops, saving)
    loss = ops.cross_entropy(logits, targets)
    dlogits = ops.backward.cross_entropy(logits, targets)
    if fused:
        saving.store.update(ops.fused["encoder"].saved)  # what is read outside it; the rest it keeps to itself
    grads, _ = backward.backward(params, saving.store, dlogits, config, ops, backward_tap)
    return loss, logits, grads


class Saving:
    """A tap that keeps what the backward pass reads again: references, not copies, to what `tap` lets through."""

    def __init__(self, tap, backward, store=None, prefix=""):
        self.tap, self.active, self.backward, self.prefix = tap, tap.active, backward, prefix
        self.store = {} if store is None else store

    def inside(self, part):
        return Saving(self.tap.inside(part), self.backward, self.store, f"{self.prefix}{part}.")

    def __call__(self, name, x):
        passed = self.tap(name, x)
        name = self.prefix + name
        kind = re.sub(r"^(block\d+|stem\.stage\d+\.unit\d+)\.", "", name)
        if kind in self.backward.READ:
            self.store[name] = passed
        if kind in self.backward.OUTPUTS and passed is not x:
            self.store[f"{name}.made"] = x
        return passed


class Gradients(Trace):
    """The gradients of one loss by tensor name, with `loss`, `logits`, and `params`, a tree like the model's."""

    def __init__(self, tensors, config, loss, logits, params):
        super().__init__(tensors, config)
        self.loss, self.logits, self.params = loss, logits, params

    def __repr__(self):
        return f"Gradients of {len(self)} tensors and of the parameters, loss {self.loss:.4g}; .table() lists them"


def as_targets(targets, config, images):
    """Distributions over the classes, of the shape and type of the logits of `images`, from such ones or from labels.

    Raises InputError for a model without a head, a label that is not one of its classes, or another shape.
    """
    # targets (B,C) or (B,); (B,N,C) or (B,N) if unpooled; a single label stands for all images
    if not config.classes:
        raise InputError(f"{config.name} has no classification head, so it has no loss")
    shape = names.shape(names.of(config)["logits"], config, len(images), images.shape[1:3])
    targets = np.asarray(targets)
    if targets.shape in ((), shape[:-1]):
        targets = one_hot(np.broadcast_to(targets, shape[:-1]), config.classes, dtype=images.dtype)
    if targets.shape != shape:
        raise InputError(f"targets have shape {targets.shape}, expected labels {shape[:-1]} or probabilities {shape}")
    return targets.astype(images.dtype, copy=False)
