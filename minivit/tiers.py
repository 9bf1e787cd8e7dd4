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
from .files import release
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

#: tier -> the dtypes of its weights.  Activations are float64 for float64 weights, and float32 for all others
TIERS = {"ref": ("float32", "float64"), "cpu": ("float32", "bfloat16", "float16", "int8")}


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
    store: Callable = lambda name, value, dtype: np.asarray(value, dtype)  # how one parameter is kept

    @property
    def activations(self):
        """The dtype of pixels and of every tensor of the forward pass."""
        return "float64" if self.dtype == "float64" else "float32"

    def prepare(self, params):
        """Parameters as this tier wants them, once: converted to its dtype, copied only where they have another.

        params: the canonical tree, or pairs (flat name, array) as `Checkpoint.stream` yields them.  Tier "cpu" packs
        matrices for its kernels.
        """
        kept = {}
        for name, value in flatten(params).items() if isinstance(params, dict) else params:
            kept[name] = self.store(name, value, self.dtype)
            if kept[name] is not value:
                release(value)
        return nest(kept)

    def replace(self, **functions):
        """The same ops with some functions swapped for yours.

        Fused steps are switched off, so that your function is really the one that runs.
        Raises InputError, with the nearest names, for an unknown op.
        """
        for name in functions:
            if name not in FOLDERS:
                raise InputError(f"there is no op {name!r}{nearest(name, FOLDERS)}")
        return dataclasses.replace(self, fused={}, **functions)


def load(tier="ref", dtype="float32", threads=None):
    """The ops of a tier.  `threads` (tier "cpu"): how many to use; default NUMBA_NUM_THREADS, or one per CPU.

    Raises InputError for an unknown tier, a dtype that it does not know, a thread count that this machine does not
    have, or a tier that cannot work here, with the reason.
    """
    if tier not in TIERS:
        raise InputError(f"unknown tier {tier!r}{nearest(tier, TIERS)}")
    if dtype not in TIERS[tier]:
        raise InputError(f"tier {tier!r} works with {' or '.join(TIERS[tier])}, not with {dtype!r}")
    if tier == "cpu":
        return _compiled(dtype, threads)
    if threads is not None:
        raise InputError(f"threads={threads} is for tier 'cpu'; tier {tier!r} runs on NumPy's (OPENBLAS_NUM_THREADS)")
    return Ops(tier, dtype, **_functions(tier))


def _functions(tier):
    return {op: getattr(import_module(f"minivit.ops.{folder}.{tier}"), op) for op, folder in FOLDERS.items()}


def _compiled(dtype, threads):
    try:
        from .ops.simd import team
    except ImportError as error:
        raise InputError(f"tier 'cpu' needs Numba ({error}): pip install numba, or use tier 'ref'") from error
    from .ops.attention.cpu import functions as attention
    from .ops.block.cpu import block, encoder
    from .ops.linear.packed import store

    if threads is not None:
        team.set_threads(threads)
    scores, mix, attend = attention(dtype)
    functions = {**_functions("cpu"), "scores": scores, "mix": mix}
    return Ops("cpu", dtype, **functions, fused={"encoder": encoder, "block": block, "attend": attend}, store=store)
