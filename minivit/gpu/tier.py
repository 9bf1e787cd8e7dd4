"""What makes tier "gpu": its functions, the steps it does in fewer launches, and how a whole forward pass runs."""

from importlib import import_module
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
    from ..ops.stem.gpu import stem

    return {
        **{op: _function(op, folder) for op, folder in folders.items() if op != "cross_entropy"},
        "cross_entropy": _no_gradients,  # what learning starts with
        "backward": SimpleNamespace(**dict.fromkeys(folders, _no_gradients)),
        "fused": {"block": block, "attend": attend, "mlp": mlp, "stem": stem},
        "store": store,
        "run": Replay(),
    }


def _function(op, folder):
    return getattr(import_module(f"minivit.ops.{folder}.gpu"), op)


def _no_gradients(*arguments):
    raise InputError("tier 'gpu' computes no gradients; use tier 'cpu'")
