"""What the simulator's tests share: tolerances, and kernels with a planted fault."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

import minivit
from minivit.gpu.sim import schedule

#: of max|reference|: what float32 sums and half-precision storage may cost
TOLERANCE = {"float32": 2e-5, "float16": 1e-2, "bfloat16": 1e-2}


def error(found, reference):
    """The largest difference, relative to max|reference|; infinite where a number is missing (NaN)."""
    found, reference = np.asarray(found, np.float64), np.asarray(reference, np.float64)
    assert found.shape == reference.shape
    worst = np.abs(found - reference).max() / np.abs(reference).max()
    return worst if np.isfinite(worst) else np.inf


def agrees(found, reference, dtype="float32"):
    return error(found, reference) <= TOLERANCE[dtype]


def planted(path, right, wrong):
    """The module minivit/<path>.py with one fault: `right`, which occurs once or more, replaced by `wrong`."""
    source = (Path(minivit.__file__).parent / f"{path}.py").read_text(encoding="utf-8")
    assert right in source, f"{path}.py no longer has {right!r}"
    original = import_module("minivit." + path.replace("/", "."))
    module = ModuleType(original.__name__ + "_with_a_fault")
    module.__package__, module.__file__ = original.__package__, original.__file__
    exec(compile(source.replace(right, wrong), f"{path}.py with a fault", "exec"), vars(module))
    return module


def caught(run, seeds=(None, 0, 1, 2)):
    """Whether `run()`, which says if its result is right, fails under one of the schedules, or stops with an error."""
    from minivit.gpu.sim import KernelError

    for seed in seeds:
        with schedule(seed):
            try:
                if not run():
                    return True
            except KernelError:
                return True
    return False
