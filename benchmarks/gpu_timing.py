"""What gpu.py and gpu_models.py share: numbers, how time is taken, and how far a result is trusted."""

import statistics
import time

import numpy as np
import torch

from minivit.errors import InputError
from minivit.gpu import compat

ROUNDS = 9  # the median counts
TOLERANCE = {"float32": 2e-5, "float16": 1e-2, "bfloat16": 1e-2}
TORCH = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape, np.float32)


def seconds_of(run):
    """Seconds of one run on the device, the median of several rounds."""
    memory = compat.Pool()
    with memory:
        run()
        first = once(run)
        repeats = max(1, min(50, int(0.02 / max(first, 1e-6))))
        if compat.SIMULATED:
            return first
        try:
            launch, _ = compat.record(lambda: several(run, repeats))
        except compat.NoGraph as error:
            print(f"no CUDA graph, so launches by Python are timed ({error})", flush=True)
            launch = lambda: several(run, repeats)  # noqa: E731
        return median_of(launch) / repeats


def median_of(run):
    """Seconds until the device is done with it."""
    return statistics.median(once(run) for _ in range(ROUNDS))


def several(run, repeats):
    for _ in range(repeats):
        run()  # each result goes before the next comes, and gives it its memory


def once(run):
    compat.synchronise()
    start = time.perf_counter()
    run()
    compat.synchronise()
    return time.perf_counter() - start


def torch_seconds(run):
    """The same of PyTorch."""

    def wait():
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    def timed(repeats):
        wait()
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        wait()
        return (time.perf_counter() - start) / repeats

    timed(3)
    repeats = max(1, min(50, int(0.02 / timed(1))))
    return statistics.median(timed(repeats) for _ in range(ROUNDS))


def refuse_wrong(name, found, truth, tolerance):
    error = np.abs(found - truth).max() / np.abs(truth).max()
    if not error <= tolerance:
        raise InputError(f"{name}: wrong by {error:.1e} of the largest number, allowed {tolerance:.0e}; not timed")


def copy_bandwidth(tiny):
    """GB/s of a copy that does not fit the cache, read and written bytes together."""
    source = torch.zeros(1 << (12 if tiny else 29), device=DEVICE)
    target = torch.empty_like(source)
    return 2 * source.nbytes / torch_seconds(lambda: target.copy_(source)) / 1e9
