"""A recipe at work: what one step does with a batch, and nothing about files or time."""

import math

import numpy as np

from ..data import mix
from ..errors import InputError
from ..ops.cross_entropy.ref import one_hot
from . import average
from .noise import Noise
from .schedule import clip, learning_rate
from .start import initial
from .state import State
from .step import first_bad, first_bad_tensor, gradients_of_batch
from .vector import Vector

MIX = 2  # a random stream of its own: data.Stream has 0 and 1


class Learner:
    """A model that learns by a Recipe in `total` steps: `state` is all that a step changes.

    tree: the first parameters; default those of `start.initial`.
    """

    def __init__(self, recipe, ops, total, tree=None):
        self.recipe, self.config, self.ops, self.total = recipe, recipe.model, ops, total
        vector = Vector(tree or initial(self.config, recipe.seed, recipe.initial))
        self.optimiser = recipe.optimiser_for(vector)
        arrays = self.optimiser.start(len(vector), vector.numbers.dtype)
        self.state = State(vector, arrays, None if recipe.average is None else Vector(vector.tree))
        self.gradient = vector.like()
        rates = recipe.dropout, recipe.attention_dropout, recipe.stochastic_depth
        self.noise = Noise(self.config, *rates, recipe.seed) if any(rates) else None

    def step(self, images, labels):
        """Learn from one batch (B,h,w,3), (B,): (loss, learning rate, norm of the gradient before clipping).

        Raises InputError, naming step and tensor, if the loss or a gradient is not finite; nothing is changed then.
        """
        recipe, state = self.recipe, self.state
        images, targets = self.mixed(images, labels)
        prepared = self.ops.prepare(state.vector.tree)
        how = self.config, self.ops, recipe.parts, self.noise, state.step
        rate = learning_rate(state.step, self.total, recipe.warmup, recipe.rate, recipe.decay)
        loss, _, gradient = gradients_of_batch(prepared, images, targets, *how, self.gradient)
        norm = clip(gradient.numbers, math.inf if recipe.clip is None else recipe.clip)
        if bad := first_bad(loss, gradient):
            tensor = first_bad_tensor(prepared, images, *how) or (bad if bad == "loss" else f"the gradient of {bad}")
            raise self.diverged(f"{tensor} is not finite (loss {loss:g}, rate {rate:.3g})")
        self.optimiser.update(state.vector.numbers, gradient.numbers, state.optimiser, rate, state.step)
        if state.average:
            average.update(state.average.numbers, state.vector.numbers, state.step, recipe.average)
        state.step, state.losses = state.step + 1, state.losses + loss
        return loss, rate, norm

    def mixed(self, images, labels):
        """Images and targets (B,C) after label smoothing, mixup and cutmix."""
        recipe = self.recipe
        targets = one_hot(labels, self.config.classes, recipe.smoothing, images.dtype)
        return mix(images, targets, self._random(), recipe.mixup, recipe.cutmix)

    def check(self):
        """Raise InputError unless all parameters are finite."""
        if bad := first_bad(0.0, self.state.vector):
            raise self.diverged(f"the parameter {bad} is not finite")

    def diverged(self, what):
        """The InputError for numbers that are no longer finite."""
        return InputError(f"training diverged at step {self.state.step + 1}: {what}; start again with a smaller rate")

    def _random(self):
        return np.random.default_rng((self.recipe.seed, MIX, self.state.step))
