"""What every task is tried on: one cause at a time, from the smallest input to odd sizes, then inside a real model.

Nothing here calls a function that is taught, so that the cases exist without the solutions, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np

OPS, TAP = "«ops»", "«tap»"  # stand for the library's ops and tap, which are put in when a function is called


SINGLE = "float32 in, float32 out"  # the case that is judged by the rounding of float32, whatever comes out
TRAINED = "the trained model"  # works in float32, too; stands in the name of what is computed with it


def plain(f, *inputs):
    return f(*inputs)


def several(f, *inputs):
    """For functions that give several arrays: one array with another axis in front will do, or a list."""
    found = f(*inputs)
    return tuple(found) if isinstance(found, list) or (isinstance(found, np.ndarray) and found.ndim) else found


@dataclass(frozen=True)
class Spec:
    """How one task is checked."""

    cases: dict  # title -> function of a random generator that makes the inputs; the last one draws its sizes
    call: Callable = plain  # how the function is called with the inputs
    inside: Callable | None = None  # runs the library with the function in it: () -> {what: array}
    gradients: tuple = ()  # names in check.gradcheck.CASES
    cost: Callable | None = None  # see cost.py
    derived: bool = True  # whether the last case is also tried in float32 and on views

    def all_cases(self):
        """The cases, and those that are made from the last one."""
        if not self.derived:
            return self.cases
        last = list(self.cases.values())[-1]
        return {
            **self.cases,
            SINGLE: lambda rng: mapped(_float32, last(rng)),
            "inputs that are views": lambda rng: mapped(_view, last(rng)),
        }


def of(task):
    """The Spec of a task."""
    return _specs(task.assignment)[task.id]


@cache
def _specs(assignment):
    return import_module(f".{assignment.lower()}", __name__).SPECS


def mapped(f, value):
    """The same nested value with f applied to every array of fractions in it."""
    if isinstance(value, dict):
        return {name: mapped(f, v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(f, v) for v in value)
    return f(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def _float32(x):
    return x.astype(np.float32)


def _view(x):
    # the same numbers, with others between them in memory, as after a slice or a transpose
    if not x.ndim:
        return x
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def normal(*shape, times=1.0, plus=0.0):
    """A case of one array of random numbers."""
    return lambda rng: (times * rng.standard_normal(shape) + plus,)


def sizes(rng, count, low=2, high=6):
    """Different whole numbers, so that an exchange of axes shows."""
    return [int(n) for n in rng.permutation(np.arange(low, high + 1))[:count]]


def distribution(rng, *shape):
    """Random rows that sum to one, as softmax gives them."""
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])
