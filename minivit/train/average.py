"""An exponential moving average of the parameters: usually better on the test set than the last ones of a run.

    average ← decay · average + (1 − decay) · parameters

The decay warms up as in TensorFlow's ExponentialMovingAverage (`num_updates`).
"""

import numpy as np

from .vector import CHUNK, chunks


def decay_at(step, limit):
    """The decay of step 0, 1, …: (1 + step) / (10 + step), at most `limit`; so the start of a run is soon forgotten."""
    return min(limit, (1 + step) / (10 + step))


def update(average, numbers, step, decay=0.9999):
    """Move `average` (P,) towards `numbers` (P,), in place."""
    share = 1 - decay_at(step, decay)
    spare = np.empty(CHUNK, average.dtype)
    for span in chunks(len(numbers)):
        mean, difference = average[span], spare[: span.stop - span.start]
        np.subtract(numbers[span], mean, out=difference)
        difference *= share
        mean += difference
