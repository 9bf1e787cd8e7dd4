"""Build `ops`, the set of array functions that a model is called with: one per tier and dtype.

ops = tiers.load("ref", "float64")
mine = ops.replace(softmax=my_softmax)      # the one door for lessons, grading and ablations
ops.backward.softmax(dp, p)                 # the gradient of each op, by the same name
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import SimpleNamespace

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
    "cross_entropy": "cross_entropy",
    "standardise": "conv",
    "conv": "conv",
    "groupnorm": "groupnorm",
    "relu": "relu",
    "max_pool": "max_pool",
}

#: tier -> the dtypes of its weights.  Activations are float64 for float64 weights, and float32 for all others
TIERS = {
    "ref": ("float32", "float64"),
    "cpu": ("float32", "bfloat16", "float16", "int8"),
    "gpu": ("float32", "bfloat16", "float16"),
}


def _as_written(forward, params, inputs, config, ops, tap):
    return forward(params, inputs, config, ops, tap)


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
    cross_entropy: Callable
    standardise: Callable
    conv: Callable
    groupnorm: Callable
    relu: Callable
    max_pool: Callable
    backward: SimpleNamespace  # op -> its backward: (gradient of the output, what the forward saw) -> gradients
    fused: dict = field(default_factory=dict)  # whole model steps done in one kernel: see models/fusion.py
    store: Callable = lambda name, value, dtype: np.asarray(value, dtype)  # how one parameter is kept
    run: Callable = _as_written  # (forward, params, inputs, config, ops, tap) -> NumPy array: a whole forward pass

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
        """The same ops with some functions swapped for yours: `softmax=…`, `softmax_backward=…`.

        Fused steps are switched off, so that your function is really the one that runs.
        Raises InputError, with the nearest names, for an unknown op.
        """
        known = [*FOLDERS, *(f"{op}_backward" for op in FOLDERS)]
        for name in functions:
            if name not in known:
                raise InputError(f"there is no op {name!r}{nearest(name, known)}")
        forward = {name: f for name, f in functions.items() if name in FOLDERS}
        backward = {name.removesuffix("_backward"): f for name, f in functions.items() if name not in FOLDERS}
        backward = SimpleNamespace(**{**vars(self.backward), **backward})
        return dataclasses.replace(self, fused={}, backward=backward, **forward)


def load(tier="ref", dtype="float32", threads=None, training=False):
    """The ops of a tier.  `threads` (tier "cpu"): how many to use; default NUMBA_NUM_THREADS, or one per CPU.

    training: weights change, so `prepare` is called before every step and keeps them in the form that the backward
    pass wants too; for one model at a time.

    Raises InputError for an unknown tier, a dtype that it does not know, a thread count that this machine does not
    have, or a tier that cannot work here, with the reason.
    """
    if tier not in TIERS:
        raise InputError(f"unknown tier {tier!r}{nearest(tier, TIERS)}")
    if dtype not in TIERS[tier]:
        raise InputError(f"tier {tier!r} works with {' or '.join(TIERS[tier])}, not with {dtype!r}")
    if tier == "cpu":
        return _learning(_compiled(dtype, threads)) if training else _compiled(dtype, threads)
    if threads is not None:
        others = "has the GPU's" if tier == "gpu" else "runs on NumPy's (OPENBLAS_NUM_THREADS)"
        raise InputError(f"threads={threads} is for tier 'cpu'; tier {tier!r} {others}")
    if tier == "gpu":
        if training:
            raise InputError("tier 'gpu' computes no gradients; train with tier 'cpu'")
        from .gpu.tier import parts

        return Ops(tier, dtype, **parts(dtype, FOLDERS))
    return Ops(tier, dtype, **_functions(tier), backward=_backward(tier))


def obstacle(tier):
    """Why this machine cannot run a tier, in one line; None if it can."""
    try:
        load(tier)
    except InputError as error:
        return str(error)


def _learning(ops):
    from .ops.block.training import Encoder
    from .ops.linear.trained import Store, can_learn

    if not can_learn(ops.dtype):
        raise InputError(f"tier 'cpu' cannot train with {ops.dtype} weights on this CPU; use float32")
    encoder = Encoder()
    return dataclasses.replace(ops, fused={"encoder": encoder, "encoder_backward": encoder.backward}, store=Store())


def _functions(tier):
    return {op: getattr(_module(op, tier), op) for op in FOLDERS}


def _backward(tier):
    # a tier that has no backward of its own for an op uses that of "ref"
    def function(name, op):
        return getattr(_module(op, tier), name, None) or getattr(_module(op, "ref"), name)

    return SimpleNamespace(**{op: function(f"{op}_backward", op) for op in FOLDERS})


def _module(op, tier):
    return import_module(f"minivit.ops.{FOLDERS[op]}.{tier}")


def _compiled(dtype, threads):
    try:
        from .ops.simd import team
    except ImportError as error:
        raise InputError(f"tier 'cpu' needs Numba ({error}): pip install numba, or use tier 'ref'") from error
    from .ops.attention.cpu import functions as attention
    from .ops.block.cpu import block, encoder
    from .ops.block.mixer import mixer, mixer_block
    from .ops.conv.packed import store
    from .ops.gelu.cpu import function as gelu
    from .ops.stem.cpu import stem

    if threads is not None:
        team.set_threads(threads)
    scores, mix, attend = attention(dtype)
    functions = {**_functions("cpu"), "gelu": gelu(dtype), "scores": scores, "mix": mix}
    whole = {"encoder": encoder, "block": block, "mixer": mixer, "mixer_block": mixer_block}
    fused = {name: partial(function, dtype) for name, function in whole.items()}
    fused |= {"attend": attend, "stem": stem}
    return Ops("cpu", dtype, **functions, backward=_backward("cpu"), fused=fused, store=store)
