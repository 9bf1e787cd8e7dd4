"""Training: the arithmetic of a step, then the loop and its files.

    vector.py      all parameters as one flat vector, and the tree as views of it
    step.py        loss and gradient of a batch, in parts if it is large
    noise.py       dropout and stochastic depth, as taps
    schedule.py    the learning rate of each step; clipping by global norm
    optimiser.py   SGD with the official bfloat16 momentum; AdamW; muon.py: orthogonal steps
    average.py     exponential moving average of the parameters

    recipe.py      every hyper-parameter in one record; presets.py: those that are known to work
    start.py       the first parameters: fresh ones (mimetic.py: others), or a checkpoint with a new head
    learner.py     a recipe at work: one step
    run.py         the loop and the run's folder; log.py, watch.py: what it tells; interrupt.py: Ctrl-C
    state.py       the files from which an interrupted run goes on

One step, with nothing hidden:

    loss, logits, gradient = gradients_of_batch(ops.prepare(vector.tree), images, targets, config, ops)
    norm = clip(gradient.numbers, 1.0)
    optimiser.update(vector.numbers, gradient.numbers, state, learning_rate(step, total, warmup, base), step)
"""

from .muon import Muon
from .noise import Noise
from .optimiser import SGD, AdamW
from .schedule import clip, learning_rate
from .step import first_bad, first_bad_tensor, gradients_of_batch
from .vector import Vector

__all__ = [
    "SGD",
    "AdamW",
    "Muon",
    "Noise",
    "Vector",
    "clip",
    "first_bad",
    "first_bad_tensor",
    "gradients_of_batch",
    "learning_rate",
]
