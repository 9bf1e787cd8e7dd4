"""Check one function: one cause at a time, then inside a real model, then its gradient, then what it costs.

The first thing that is wrong is said in one line.  If the results are those of a planted mistake, the mistake is named.
"""

import sysconfig
import traceback
from pathlib import Path

import numpy as np

from .. import tiers
from . import answers, assignments, cases
from .cases.inside import OFFICIAL
from .inject import arrays, called, independent, installed, misfit
from .judge import complaint, same
from .results import RIGHT, TODO, WRONG, Check, Result, failed

PACKAGE = Path(__file__).parents[1]

#: of the largest gradient: the official smoothed labels are float32, and sum to one only within its rounding
GRADIENT_LIMIT = 1e-6


def run(task, function, seed=0, hidden=None, others=None):
    """The Result of a function for a task.

    hidden: a second seed, for checks of which only the title is told; others: {task: function}, with which a strict
    library is completed.
    """
    if not callable(function):
        return failed(task, "cannot be called", f"{task.name} is {type(function).__name__}, expected a function")
    if said := misfit(task, function):
        return failed(task, "cannot be called", said)
    result = Result(task.id, task.title, task.points, RIGHT)
    expected = answers.of(task, seed)
    hidden_answers = answers.of(task, hidden) if hidden is not None else None
    with installed(others or {}):
        function = independent(task, function)
        with installed({task: function}):
            checks, outcomes = _cases(task, function, expected, seed)
            if "NotImplementedError" in [x for x in outcomes.values() if isinstance(x, str)]:
                return _unwritten(result, checks)
            if all(check.ok for check in checks):
                if hidden_answers:
                    checks += _as_hidden(_cases(task, function, hidden_answers, hidden)[0])
                whole = _inside(task, expected) + _official(task) + _gradients(task)
                checks += _together(whole) + _cost(task, function)
    result.checks = checks
    result.remark = next((c.message for c in checks if c.ok is not False and c.message), "")
    return _named(_fail(result, checks), task, expected, outcomes) if result.first else result


def _fail(result, checks):
    result.status, result.checks = WRONG, checks
    return result


def _unwritten(result, checks):
    said = next(check.message for check in checks if "NotImplementedError" in check.message)
    message = said.removeprefix("NotImplementedError: ")
    if message.startswith(result.id) or not message.strip():
        result.status, result.remark = TODO, message.partition(": ")[2] or "its body is still missing"
        return result
    result.status, result.remark = WRONG, f"needs {message.partition(':')[0]} first"
    result.checks = [Check("what it calls", False, result.remark)]
    return result


def _as_hidden(checks):
    return [Check(check.name, check.ok, "" if check.ok else "with other sizes and numbers", True) for check in checks]


def _cases(task, function, expected, seed):
    # -> [Check], {case: outcome}
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


def said_by(error):
    """An exception in one line, with the student's own line if it is known."""
    inner = error.__cause__ or error  # the simulator of GPUs says in which thread it happened
    own = [f for f in traceback.extract_tb(inner.__traceback__) if f.line and not _installed(f.filename)]
    where = f", at `{own[-1].line}`" if own and not isinstance(error, NotImplementedError) else ""
    if isinstance(error, SystemExit):
        return f"the function ended Python (sys.exit){where}"
    if isinstance(error, MemoryError):
        return f"out of memory{where}: {error}"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}{where}"


def _installed(path):
    # NumPy, Python itself, minivit: not the student's
    return "site-packages" in path or path.startswith((sysconfig.get_path("stdlib"), str(PACKAGE), "<frozen"))


def _damage(inputs, before):
    for array, was in zip(arrays(inputs), before, strict=True):
        if not np.array_equal(array, was, equal_nan=True):
            shape = "×".join(map(str, array.shape))
            return f"an input of shape {shape} was changed, expected it untouched: work on a copy (y = x * 1)"
    return ""


def _shared(found, inputs):
    return any(np.shares_memory(a, b) for a in arrays(found) for b in arrays(inputs))


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


def _official(task):
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


def _named(result, task, expected, outcomes):
    """The result with the planted mistake that gives the same, in all cases or else in the first wrong one."""
    cost = cases.of(task).cost
    if cost and result.first.name == cost.name:
        result.mistake, result.hint = cost.verdict, task.slow
        return result

    def like(found, t):
        return same(outcomes[t], found[t], t == cases.SINGLE)

    differing = [t for t in outcomes if not like(expected.expected, t)]
    matching = [m for m in expected.mistakes if all(like(m[2], t) for t in outcomes)]
    if not matching and differing:
        there = [m for m in expected.mistakes if like(m[2], differing[0])]
        matching = there if len(there) == 1 else []
    if matching and differing:
        result.mistake, result.hint, _ = matching[0]
    return result
