"""The learning rate of each step, and clipping by global norm, as in the official fine-tuning code
(vit_jax/utils.py `create_learning_rate_schedule`, optax `clip_by_global_norm`)."""

import math

import numpy as np

from ..errors import InputError, nearest
from .vector import CHUNK, chunks

DECAYS = ("cosine", "linear")


def learning_rate(step, total, warmup, base, decay="cosine", end=1e-5):
    """The rate of step 0, 1, … total − 1: a linear warm-up over `warmup` steps, then a decay from `base`.

    The counter starts at 0, so the first step of a warm-up has rate 0 and changes no parameter.
    end: where "linear" arrives after `total` steps; "cosine" arrives at 0.  Raises InputError for another decay.
    """
    if decay not in DECAYS:
        raise InputError(f"unknown decay {decay!r}{nearest(decay, DECAYS)}")
    progress = min(max((step - warmup) / max(total - warmup, 1), 0.0), 1.0)
    rate = base * 0.5 * (1 + math.cos(math.pi * progress)) if decay == "cosine" else end + (base - end) * (1 - progress)
    return rate * min(1.0, step / warmup) if warmup else rate


def clip(gradient, limit=math.inf):
    """Scale a flat gradient down, in place, to norm `limit`; returns the norm that it had.

    A gradient below the limit stays as it is, to the bit.  So does one that is not finite, for `first_bad` to look at.
    """
    norm = math.sqrt(sum_of_squares(gradient))
    if limit <= norm < math.inf:
        gradient /= norm
        gradient *= limit
    return norm


def sum_of_squares(numbers):
    # numbers (P,) -> float, summed in float64: a float32 sum over millions would lose digits
    part, total = np.empty(CHUNK), 0.0
    for span in chunks(len(numbers)):
        wide = part[: span.stop - span.start]
        wide[:] = numbers[span]
        total += float(np.einsum("i,i->", wide, wide))  # not BLAS: its threads would wait for those of the kernels
    return total
