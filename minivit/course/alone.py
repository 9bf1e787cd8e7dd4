"""The function by itself: one cause at a time, on small arrays whose answers are known."""

import numpy as np

from . import answers, cases
from .inject import arrays, called
from .judge import complaint
from .results import Check
from .said import said_by


def check(task, function, expected, seed):
    """([Check], {case: what came back, or the name of the exception}); expected: what `answers.of` gives."""
    spec, checks, outcomes = cases.of(task), [], {}
    for title in spec.all_cases():
        inputs = answers.inputs_of(task, title, seed)
        before = [array.copy() for array in arrays(inputs)]
        try:
            with answers.quiet():
                found = called(spec.call, function, inputs)
        except (Exception, SystemExit) as error:
            outcomes[title] = type(error).__name__
            checks.append(Check(title, False, said_by(error)))
            continue
        outcomes[title] = found
        said = complaint(found, expected.expected[title], title == cases.SINGLE) or _damage(inputs, before)
        checks.append(Check(title, not said, said or ""))
        if not said and not expected.views[title] and _shared(found, inputs):
            checks[-1] = Check(title, False, "the result is a view of the input, expected an array of its own: .copy()")
    return checks, outcomes


def _damage(inputs, before):
    for array, was in zip(arrays(inputs), before, strict=True):
        if not np.array_equal(array, was, equal_nan=True):
            shape = "×".join(map(str, array.shape))
            return f"an input of shape {shape} was changed, expected it untouched: work on a copy (y = x * 1)"
    return ""


def _shared(found, inputs):
    return any(np.shares_memory(a, b) for a in arrays(found) for b in arrays(inputs))
