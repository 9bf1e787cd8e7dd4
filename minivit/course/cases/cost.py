"""What a right function costs: its time, how often it reads memory, or how much of it it needs at one time.

Each has `ratio(call, f)`, which is compared with `least`, `said(ratio)`, `name`, and `verdict` on what costs too much.
"""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ROUNDS, TRIES = 15, 3


@dataclass(frozen=True)
class Race:
    """make: the inputs, as in a case; reference: gives the function to compare with; least: the ratio asked for."""

    make: Callable
    reference: Callable
    least: float
    name = "speed"
    verdict = "right, but slow"

    def ratio(self, call, f):
        """Time of the reference over time of f, the best of several tries; both have run once before the clock."""
        inputs = self.make(np.random.default_rng(0))
        reference = self.reference()
        runs = (lambda: call(f, *inputs)), (lambda: reference(*inputs))
        for run in runs:
            run()
        own, other = (min(_seconds(run) for _ in range(3)) for run in runs)
        best = other / own
        if best < self.least / 10:  # hopeless, and every further round would take long
            return best
        for _ in range(TRIES):  # a noisy moment is no fault of the kernel
            own, other = (min(times) for times in zip(*(map(_seconds, runs) for _ in range(ROUNDS)), strict=True))
            best = max(best, other / own)
            if best >= self.least:
                break
        return best

    def said(self, ratio):
        least = f", expected at least {self.least:g}" if ratio < self.least else ""
        return f"{ratio:.2g} times as fast as the NumPy reference{least}"


@dataclass(frozen=True)
class Traffic:
    """make: the inputs, as in a case; reads: (f, *inputs) -> how much it reads, over what it has to."""

    make: Callable
    reads: Callable
    least = 1.0
    name = "reads of memory"
    verdict = "right, but reads too often"

    def ratio(self, call, f):
        """What has to be read over what is read."""
        return 1 / max(self.reads(f, *self.make(np.random.default_rng(0))), 1e-9)

    def said(self, ratio):
        if ratio >= self.least:
            return "reads no more numbers from memory than tiles need"
        return f"reads {1 / ratio:.2g} times as many numbers from memory as tiles need"


@dataclass(frozen=True)
class Peak:
    """make: the inputs, as in a case; allowed: bytes that may be in use at one time; without: what does not fit."""

    make: Callable
    allowed: int
    without: str
    least = 1.0
    name = "memory"
    verdict = "right, but large"

    def ratio(self, call, f):
        """What is allowed over the most that is in use while it runs."""
        inputs = self.make(np.random.default_rng(0))
        running = tracemalloc.is_tracing()
        if not running:
            tracemalloc.start()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        try:
            call(f, *inputs)
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            if not running:
                tracemalloc.stop()
        return self.allowed / max(peak, 1)

    def said(self, ratio):
        most = (
            f", expected at most {self.allowed / 1e6:.2g}, which is without {self.without}"
            if ratio < self.least
            else ""
        )
        return f"needs {self.allowed / ratio / 1e6:.2g} MB at one time{most}"


def _seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
