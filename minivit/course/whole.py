"""The function where it belongs: inside a real model, against the official program, its gradient, and what it costs.

What cannot be tried because another function is not written yet is said, and is no mistake of this one.
"""

from .. import tiers
from . import answers, assignments, cases
from .cases.inside import OFFICIAL
from .judge import complaint
from .results import Check
from .said import said_by

#: of the largest gradient: the official smoothed labels are float32, and sum to one only within its rounding
GRADIENT_LIMIT = 1e-6


def check(task, function, expected):
    """A list of Checks of a function that is right by itself; expected: what `answers.of` gives."""
    return _together(_inside(task, expected) + official(task) + _gradients(task)) + _cost(task, function)


def _together(checks):
    """In a strict library these run with the student's other functions, whose mistakes are not those of this one."""
    if not answers.strict():
        return checks
    said = "with your other functions in a whole model it is not right yet: look at those, too"
    return [Check(c.name, None, said) if c.ok is False else c for c in checks]


def _inside(task, expected):
    spec = cases.of(task)
    if not spec.inside:
        return []
    try:
        with answers.quiet():
            found = spec.inside()
    except NotImplementedError as error:
        return [Check("inside a whole model", None, f"not tried inside a whole model: needs {str(error)[:5].strip()}")]
    except (Exception, SystemExit) as error:
        return [Check("inside a whole model", False, said_by(error))]
    checks = []
    for what, wanted in expected.inside.items():
        said = complaint(found[what], wanted, cases.TRAINED in what)
        checks.append(Check(f"inside: {what}", not said, said))
    return checks


def official(task):
    """The model's tensors, or gradients, against those of the official program; computed in float64.

    A function may do without the taps inside, so only what the model gives is compared, but that goes to the end.
    """
    from ..check import run as compare

    case = OFFICIAL.get(cases.of(task).inside)
    if not case:
        return []
    title = "the official program's " + ("gradients" if case.startswith("grad") else "tensors")
    try:
        with answers.quiet():
            verdicts = compare(assignments.find(case), dtype="float64")
    except NotImplementedError as error:
        return [Check(title, None, f"not compared with {title}: needs {str(error)[:5].strip()}")]
    except (Exception, SystemExit) as error:
        return [Check(title, False, said_by(error))]
    *before, last = verdicts
    wrong = [v.name for v in (*(v for v in before if v.error is not None), last) if not _agrees(v)]
    said = f"{len(wrong)} of {len(verdicts)} differ from {title}; the first is {wrong[0]}" if wrong else ""
    return [Check(title, not wrong, said)]


def _agrees(verdict):
    rounded = "/grad" in verdict.name and verdict.error is not None and verdict.error <= GRADIENT_LIMIT
    return verdict.ok or rounded


def _gradients(task):
    from ..check import gradcheck

    checks = []
    for name in cases.of(task).gradients:
        title = f"gradient check of {name}"
        try:
            error = gradcheck.smallest(gradcheck.check_op(name, tiers.load("ref", "float64")))
        except NotImplementedError as waiting:
            checks.append(Check(title, None, f"no gradient check: needs {str(waiting)[:5].strip()}"))
            continue
        except (Exception, SystemExit) as error:
            checks.append(Check(title, False, said_by(error)))
            continue
        said = f"differs from central differences by {error:.1g}, allowed {gradcheck.LIMIT:.0e}"
        ok = bool(error <= gradcheck.LIMIT)
        checks.append(Check(title, ok, "" if ok else said))
    return checks


def _cost(task, function):
    spec = cases.of(task)
    if not (cost := spec.cost):
        return []
    try:
        ratio = cost.ratio(spec.call, function)
    except NotImplementedError as waiting:
        return [Check(cost.name, None, f"{cost.name} not measured: needs {str(waiting)[:5].strip()}")]
    except (Exception, SystemExit) as error:
        return [Check(cost.name, False, said_by(error))]
    return [Check(cost.name, bool(ratio >= cost.least), cost.said(ratio))]
