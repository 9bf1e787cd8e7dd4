"""When two tensors agree: the tolerances, in one place, each with its reason.

Errors and tolerances are relative to max|reference|.  A float32 reference is itself wrong by its *noise floor*, the
measured difference between its float32 and float64 runs; a correct implementation that sums in another order lands
within a few times that.
"""

from dataclasses import dataclass

import numpy as np

from ..trace import compare

#: float64 against a float64 truth: independent implementations agree to 1e-15; above 1e-8 it is a difference of meaning
FLOAT64 = 1e-10

#: tier -> (times the noise floor, never above) for a float32 run
FLOAT32 = {"ref": (10, 2e-5), "cpu": (20, 4e-5), "gpu": (20, 2e-5)}

#: …except for hybrids: GroupNorm over few cells amplifies rounding layer after layer, the reference's own too
HYBRID = 5e-4

#: dtype of the weights -> its rounding unit; a run with such weights is allowed ten of them
ROUNDING = {"bfloat16": 2**-8, "float16": 2**-11, "int8": 1 / 127}


@dataclass(frozen=True)
class Verdict:
    """One tensor: its relative error, the noise floor of the reference, and the tolerance; None where there is none."""

    name: str
    ok: bool
    error: float | None
    noise: float | None
    tolerance: float
    note: str = ""


def judge(name, found, reference, noise, tier, dtype, hybrid=False):
    """The verdict on `found` (None: not produced).

    name: a truth, computed in float64, ends in "__f64"; noise: the absolute error of the reference's own float32 run.
    """
    reference = np.asarray(reference)
    scale = max(float(np.abs(reference).max(initial=0)), np.finfo(np.float32).tiny)
    tolerance = _tolerance(name, noise / scale, tier, dtype, hybrid)
    ok, error, note = compare(found, reference, tolerance)
    return Verdict(name, ok, error, noise / scale, tolerance, note)


def _tolerance(name, noise, tier, dtype, hybrid):
    if dtype in ROUNDING:
        return 10 * ROUNDING[dtype]
    if dtype == "float64" and name.endswith("__f64"):
        return FLOAT64
    times, ceiling = FLOAT32[tier]
    return min(times * noise, HYBRID if hybrid else ceiling)


def exact(name, found, reference, levels=0.0):
    """The verdict on numbers that must be equal, or differ by no more than `levels` (absolute, in their own units)."""
    reference = np.asarray(reference, np.float64)
    scale = max(float(np.abs(reference).max(initial=0)), np.finfo(np.float32).tiny)
    ok, error, note = compare(np.asarray(found, np.float64), reference, levels / scale)
    return Verdict(name, ok, error, None, levels / scale, note)


def within(name, found, reference, scale, tolerance, note=""):
    """The verdict on numbers whose error is relative to `scale`, which `note` tells, not to the largest reference."""
    reference = np.asarray(reference, np.float64)
    size = max(float(np.abs(reference).max(initial=0)), np.finfo(np.float64).tiny)
    ok, error, problem = compare(found, reference, tolerance * scale / size)
    return Verdict(name, ok, None if error is None else error * size / scale, None, tolerance, problem or note)
