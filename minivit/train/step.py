"""The gradient of one batch, in one piece or in parts that fit in memory; and where a NaN came from."""

import numpy as np

from .. import models
from ..gradients import loss_and_gradients
from ..trace import NO_TAP
from .vector import Vector


def gradients_of_batch(prepared, images, targets, config, ops, parts=1, noise=None, step=0, into=None):
    """(loss, logits (B,C), gradient Vector) of the mean loss of a batch, worked through in consecutive parts.

    prepared: ops.prepare(tree); images (B,h,w,c); targets (B,C), a distribution over the classes per image.
    noise: a Noise, whose masks depend on `step` and the part.  into: a Vector to overwrite with the gradient.
    Without noise, any number of parts gives the same mean but for rounding (official accum_steps; a last part that is
    smaller counts less).
    """
    loss, logits, gradient = 0.0, [], into
    for part, span in enumerate(spans(len(images), parts)):
        tap = noise.at(step, part) if noise else None
        mean, outputs, grads = loss_and_gradients(prepared, images[span], targets[span], config, ops, tap)
        if part == 0:
            gradient = Vector(grads, ops.activations) if gradient is None else gradient
            gradient.numbers[:] = 0
        weight = len(outputs) / len(images)
        gradient.add(grads, weight)
        loss += weight * float(mean)
        logits.append(outputs)
    return loss, np.concatenate(logits), gradient


def spans(count, parts):
    """Consecutive slices of a batch of `count` images: equal, or the last one smaller (or missing)."""
    size = -(-count // parts)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def first_bad(loss, gradient):
    """What is not finite: "loss", or else the first parameter whose gradient is not; None if all is well."""
    if not np.isfinite(loss):
        return "loss"
    return next((name for name, g in gradient.flat.items() if not np.isfinite(g).all()), None)


def first_bad_tensor(prepared, images, config, ops, parts=1, noise=None, step=0):
    """The first tensor of the forward pass, by name, that is not finite; None if all are.

    A NaN loss says only that something went wrong: this runs the same batch again and says where.
    """
    for part, span in enumerate(spans(len(images), parts)):
        watch = Watch(noise.at(step, part)[0] if noise else NO_TAP)
        models.of(config).forward(prepared, images[span], config, ops, watch)
        if watch.found:
            return watch.found[0]
    return None


class Watch:
    """A tap that notes the names of tensors that are not finite, in the order in which they are made."""

    active = True

    def __init__(self, tap, found=None, prefix=""):
        self.tap, self.prefix = tap, prefix
        self.found = [] if found is None else found

    def inside(self, part):
        return Watch(self.tap.inside(part), self.found, f"{self.prefix}{part}.")

    def __call__(self, name, x):
        x = self.tap(name, x)
        if not np.isfinite(x).all():
            self.found.append(self.prefix + name)
        return x
