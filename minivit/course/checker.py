"""Check one function: one cause at a time, then inside a real model, then its gradient, then what it costs.

The first thing that is wrong is said in one line.  If the results are those of a planted mistake, the mistake is named.
"""

from . import alone, answers, cases, whole
from .inject import independent, installed, misfit
from .judge import same
from .results import RIGHT, TODO, WRONG, Check, Result, failed


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
            checks, outcomes = alone.check(task, function, expected, seed)
            if "NotImplementedError" in [x for x in outcomes.values() if isinstance(x, str)]:
                return _unwritten(result, checks)
            if all(check.ok for check in checks):
                if hidden_answers:
                    checks += _as_hidden(alone.check(task, function, hidden_answers, hidden)[0])
                checks += whole.check(task, function, expected)
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
