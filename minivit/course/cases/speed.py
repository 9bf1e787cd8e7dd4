"""How fast a kernel is: its time beside that of the NumPy reference, on the same machine and at the same moment."""

import time
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


def _seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
