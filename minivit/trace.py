"""Look inside a forward pass: record any named tensor, replace it on the way, compare two runs.

trace = model.trace("cat.jpg", keep="block*.attn.probs")
trace["block3.attn.probs"]                     # (B,H,N,N), read-only
trace.show()                                   # a thumbnail of each, in a notebook
print(trace.table())                           # name, shape, dtype, min, mean, max, paper symbol
print(trace.diff(other))                       # a verdict per tensor, and the first that differs
model.run(image, patch={"block5.attn.probs": lambda a: a * 0})
"""

from collections.abc import Mapping

import numpy as np

from . import names
from .errors import InputError, nearest
from .files import read_arrays, write_npz
from .tables import Table

#: The largest difference, relative to max|reference|, that `diff` calls equal; float32 rounding over a ViT stays below
TOLERANCE = 2e-5


class _NoTap:
    """Nobody looks: every call gives its tensor back."""

    active = False

    def __call__(self, name, x):
        return x

    def inside(self, part):
        return self


NO_TAP = _NoTap()


class Tap:
    """Records and replaces tensors during one forward pass.  `inside("block3")` is the same tap with a name prefix."""

    def __init__(self, keep=(), patch=None, store=None, prefix=""):
        self.keep, self.patch, self.prefix = frozenset(keep), patch or {}, prefix
        self.store = {} if store is None else store

    @property
    def active(self):
        """True if a tensor inside this part is wanted, by name or for replacement."""
        return any(name.startswith(self.prefix) for name in (*self.keep, *self.patch))

    def inside(self, part):
        return Tap(self.keep, self.patch, self.store, f"{self.prefix}{part}.")

    def __call__(self, name, x):
        name = self.prefix + name
        if name in self.patch:
            x = self._replace(name, x)
        if name in self.keep:
            self.store[name] = np.array(x)
            self.store[name].flags.writeable = False
        return x

    def _replace(self, name, x):
        patched = np.asarray(self.patch[name](np.asarray(x)))
        if patched.shape != x.shape:
            raise InputError(f"patch of {name} returned shape {patched.shape}, expected {x.shape}")
        return patched.astype(x.dtype, copy=False)


def make_tap(config, keep=None, patch=None):
    """A tap for that model, or NO_TAP if nothing is asked.  Patterns are expanded; an unknown one is an InputError."""
    patch = {name: f for pattern, f in (patch or {}).items() for name in names.expand(pattern, config)}
    if keep is None:
        return Tap((), patch) if patch else NO_TAP
    return Tap(names.expand(keep, config), patch)


class Trace(Mapping):
    """The tensors of one forward pass, by name, in execution order.  Arrays are read-only copies."""

    def __init__(self, tensors, config=None):
        self._tensors, self.config = dict(tensors), config
        self._known = names.of(config) if config else {}

    def __getitem__(self, name):
        if name in self._tensors:
            return self._tensors[name]
        if name in self._known:
            raise InputError(f"{name} was not recorded: trace again with keep={name!r}, or keep='*' for every tensor")
        raise InputError(f"no tensor {name!r}{nearest(name, self._known or self._tensors)}")

    def __contains__(self, name):
        return name in self._tensors

    def get(self, name, default=None):
        return self._tensors.get(name, default)

    def __iter__(self):
        return iter(self._tensors)

    def __len__(self):
        return len(self._tensors)

    def __repr__(self):
        return f"Trace of {len(self)} tensors, {sum(x.nbytes for x in self.values()) / 1e6:.1f} MB; .table() lists them"

    def table(self, pattern="*"):
        """A printable Table: name, shape, dtype, min, mean, max, paper symbol (with `.rows`, for programs)."""
        chosen = names.expand(pattern, self.config) if self.config else list(self)
        rows = [self._row(name) for name in chosen if name in self]
        return Table(("name", "shape", "dtype", "min", "mean", "max", "paper"), rows)

    def _row(self, name):
        x = self[name]
        symbol = self._known[name].symbol if name in self._known else ""
        low, mean, high = float(x.min()), float(x.mean(dtype=np.float64)), float(x.max())
        return {
            "name": name,
            "shape": list(x.shape),
            "dtype": str(x.dtype),
            "min": low,
            "mean": mean,
            "max": high,
            "paper": symbol,
        }

    def diff(self, other, tolerance=TOLERANCE):
        """Compare with another trace (or any mapping of name to array), taken as the reference.

        A tensor is OK if max|self − other| ≤ tolerance · max|other|.  Every tensor of `other` gets a verdict; one that
        this trace lacks counts as different.
        """
        rows = []
        for name, reference in other.items():
            ok, error, note = compare(self._tensors.get(name), np.asarray(reference), tolerance)
            rows.append({"name": name, "ok": ok, "error": error, "tolerance": tolerance, "note": note})
        return Diff(rows)

    def show(self):
        """A figure with a thumbnail of every tensor, in order; notebooks show it, `.save(path)` writes it."""
        from .viz.thumbnails import trace_figure

        return trace_figure(self)

    def save(self, path):
        """Write an .npz file with one array per tensor (and nothing else: any NumPy can read it)."""
        write_npz(path, self._tensors)

    @classmethod
    def load(cls, path, config=None):
        return cls(read_arrays(path), config)


class Diff(Table):
    """Verdicts of Trace.diff: `rows`, `ok`, and `first`, the name of the first tensor that differs (or None)."""

    def __init__(self, rows):
        super().__init__(("name", "ok", "error", "tolerance", "note"), rows)
        self.first = next((row["name"] for row in rows if not row["ok"]), None)
        self.ok = self.first is None
        self.footer = "all tensors agree" if self.ok else f"first tensor that differs: {self.first}"


def compare(found, reference, tolerance):
    """(ok, error relative to max|reference|, note).  A missing tensor, another shape or a NaN is never OK."""
    if found is None:
        return False, None, "missing"
    if found.shape != reference.shape:
        return False, None, f"shape {found.shape}, expected {reference.shape}"
    if not reference.size:
        return True, 0.0, ""
    error = np.abs(found.astype(np.float64) - reference).max() / max(np.abs(reference).max(), np.finfo(np.float64).tiny)
    return bool(error <= tolerance), float(error), "" if np.isfinite(error) else "not a number"
