"""What makes tier "gpu": its functions, the steps it does in fewer launches, and how a whole forward pass runs."""

from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace

from ..errors import InputError
from . import compat
from .graph import Replay
from .parameters import store


def parts(dtype, folders):
    """Keyword arguments of tiers.Ops.  Raises InputError, one line, where this machine or its card cannot do it."""
    compat.refuse_what_cannot_run(dtype)
    from ..ops.attention.gpu import attend
    from ..ops.block.gpu import block, mlp

    return {
        **{op: _function(op, folder) for op, folder in folders.items()},
        "cross_entropy": _no_gradients,  # what learning starts with
        "backward": SimpleNamespace(**dict.fromkeys(folders, _no_gradients)),
        "fused": {"block": block, "attend": attend, "mlp": mlp},
        "store": store,
        "run": Replay(),
    }


def _function(op, folder):
    name = f"minivit.ops.{folder}.gpu"
    if find_spec(name) is None:
        return _missing(op)
    return getattr(import_module(name), op)


def _missing(op):
    def missing(*arguments, **options):
        raise InputError(f"tier 'gpu' has no kernel for {op!r} yet; use tier 'cpu' for this model")

    return missing


def _no_gradients(*arguments):
    raise InputError("tier 'gpu' computes no gradients; use tier 'cpu'")
