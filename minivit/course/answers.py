"""What is expected, and what every planted mistake gives: computed by the library, or read where it has no solutions.

The strict student's library lacks the taught functions; what they would have given stands in recorded/, arrays only.
"""

import json
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from . import cases, misconceptions
from .inject import arrays, called, original

RECORDED = Path(__file__).with_name("recorded")


@dataclass(frozen=True)
class Answers:
    """Of one task and seed.  An outcome is an array, a tuple of arrays, or the name of an error."""

    expected: dict  # case -> outcome
    views: dict  # case -> whether the result may share memory with the inputs
    mistakes: list  # (name, hint, {case: outcome})
    inside: dict  # what -> array, of the library as a whole


def strict():
    """Whether this is a library without the taught functions."""
    return RECORDED.is_dir()


@cache
def of(task, seed=0):
    """The Answers of a task."""
    return _read(task) if strict() else computed(task, seed)


def computed(task, seed):
    """The same from the solutions.  Call it while the library is as it was written."""
    spec, right = cases.of(task), original(task)
    right = getattr(right, "py_func", right)  # a kernel as plain Python: small inputs are sooner done than compiled
    expected, views = {}, {}
    for title in spec.all_cases():
        inputs = inputs_of(task, title, seed)
        expected[title] = outcome(spec, right, inputs)
        views[title] = _share(expected[title], inputs)
    mistakes = []
    for mistake in misconceptions.of(task):
        wrong = mistake.function(task)
        found = {title: outcome(spec, wrong, inputs_of(task, title, seed)) for title in spec.all_cases()}
        mistakes.append((mistake.name, mistake.hint, found))
    return Answers(expected, views, mistakes, spec.inside() if spec.inside else {})


def inputs_of(task, title, seed):
    """Fresh inputs of a case: the same for the same seed."""
    return cases.of(task).all_cases()[title](np.random.default_rng([seed, *title.encode()]))


def outcome(spec, function, inputs):
    """What a function gives, or the name of the error that it raises."""
    try:
        with quiet():
            return called(spec.call, function, inputs)
    except Exception as error:
        return type(error).__name__


def _share(found, inputs):
    return any(np.shares_memory(a, b) for a in arrays(found) for b in arrays(inputs))


class quiet(warnings.catch_warnings):
    """Without NumPy's warnings: what they are about shows in the numbers."""

    def __enter__(self):
        super().__enter__()
        warnings.simplefilter("ignore")


def record(folder, tasks):
    """Write the Answers of some tasks: an .npz and a .json each."""
    for task in tasks:
        stored, found = {}, of(task)

        def store(outcome, stored=stored):
            if isinstance(outcome, str):
                return outcome
            if isinstance(outcome, tuple):
                return [store(one) for one in outcome]
            stored[f"a{len(stored)}"] = np.asarray(outcome)
            return len(stored) - 1

        table = {
            "expected": {title: store(x) for title, x in found.expected.items()},
            "views": found.views,
            "mistakes": [[name, hint, {t: store(x) for t, x in each.items()}] for name, hint, each in found.mistakes],
            "inside": {what: store(x) for what, x in found.inside.items()},
        }
        np.savez_compressed(folder / f"{task.id}.npz", **stored)
        text = json.dumps(table, ensure_ascii=False, indent=1)
        (folder / f"{task.id}.json").write_text(text + "\n", encoding="utf-8")


def _read(task):
    table = json.loads((RECORDED / f"{task.id}.json").read_text(encoding="utf-8"))
    with np.load(RECORDED / f"{task.id}.npz", allow_pickle=False) as file:
        stored = dict(file)

    def load(x):
        if isinstance(x, list):
            return tuple(load(one) for one in x)
        return x if isinstance(x, str) else stored[f"a{x}"]

    def every(table):
        return {title: load(x) for title, x in table.items()}

    mistakes = [(name, hint, every(each)) for name, hint, each in table["mistakes"]]
    return Answers(every(table["expected"]), table["views"], mistakes, every(table["inside"]))
