"""Build `ops`, the set of array functions that a model is called with: one per tier and dtype.

ops = tiers.load("ref", "float64")
mine = ops.replace(softmax=my_softmax)      # the one door for lessons, grading and ablations
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np

from .errors import InputError, nearest
from .params import flatten, nest

#: op -> folder under minivit/ops that holds it, one file per tier
FOLDERS = {
    "patch_embed": "patches",
    "prepend": "embed",
    "resize_positions": "positions",
    "layernorm": "layernorm",
    "linear": "linear",
    "gelu": "gelu",
    "scores": "attention",
    "softmax": "softmax",
    "mix": "attention",
    "pool": "pool",
    "tanh": "tanh",
}

#: tier -> the dtypes it computes in
TIERS = {"ref": ("float32", "float64")}


@dataclass(frozen=True)
class Ops:
    """The functions of one tier; signatures and maths are on each op's card, `minivit/ops/<folder>/__init__.py`."""

    tier: str
    dtype: str
    patch_embed: Callable
    prepend: Callable
    resize_positions: Callable
    layernorm: Callable
    linear: Callable
    gelu: Callable
    scores: Callable
    softmax: Callable
    mix: Callable
    pool: Callable
    tanh: Callable
    fused: dict = field(default_factory=dict)  # whole model steps done in one kernel: see models/fusion.py

    def prepare(self, params):
        """Parameters as this tier wants them, once: converted to its dtype, copied only where they have another."""
        return nest({name: np.asarray(value, self.dtype) for name, value in flatten(params).items()})

    def replace(self, **functions):
        """The same ops with some functions swapped for yours.

        Fused steps are switched off, so that your function is really the one that runs.
        Raises InputError, with the nearest names, for an unknown op.
        """
        for name in functions:
            if name not in FOLDERS:
                raise InputError(f"there is no op {name!r}{nearest(name, FOLDERS)}")
        return dataclasses.replace(self, fused={}, **functions)


def load(tier="ref", dtype="float32"):
    """The ops of a tier.  Raises InputError for an unknown tier or a dtype that the tier does not compute in."""
    if tier not in TIERS:
        raise InputError(f"unknown tier {tier!r}{nearest(tier, TIERS)}")
    if dtype not in TIERS[tier]:
        raise InputError(f"tier {tier!r} computes in {' or '.join(TIERS[tier])}, not in {dtype!r}")
    functions = {op: getattr(import_module(f"minivit.ops.{folder}.{tier}"), op) for op, folder in FOLDERS.items()}
    return Ops(tier, dtype, **functions)
