"""One task in a process of its own: `python -m minivit.course.worker REQUEST RESULT`, two JSON files.

The limit on memory holds where the system knows one (Linux); the limit on time is the parent's.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from ..errors import InputError
from . import answers, assignments, cases, checker, results, submission
from .inject import independent
from .said import said_by

try:
    import resource
except ImportError:  # Windows has no limits of this kind
    resource = None


def main(request, result):
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    task = assignments.task(asked["task"])
    for seed in {0, asked["hidden"] or 0}:
        answers.of(task, seed)  # before anything of the student's runs
    if resource and sys.platform != "darwin":
        limit = asked["memory"] * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    found = grade(task, submission.read(asked["folder"]), asked["hidden"])
    Path(result).write_text(json.dumps(asdict(found)), encoding="utf-8")


def grade(task, handed_in, hidden=None):
    """The Result of one task of a Submission."""
    try:
        function = handed_in.function(task)
    except InputError as error:
        return results.failed(task, "not found", str(error))
    except (Exception, SystemExit) as error:
        return results.failed(task, "cannot be read", f"what {task.name} needs does not run: {said_by(error)}")
    return checker.run(task, function, hidden=hidden, others=others(task, handed_in) if answers.strict() else None)


def others(task, handed_in):
    """{task: function} of what else is handed in, for a library without the taught functions; kernels call nothing."""
    found = {}
    for other in assignments.table()[2].values():
        if other.id != task.id and handed_in.files_with(other.name) and not cases.of(other).cost:
            try:
                found[other] = independent(other, handed_in.function(other))
            except (Exception, SystemExit):  # its own task says what is wrong; here it is as if it were not there
                continue
    return found


def others_beside(task):
    """The same from the files in the working folder, as far as there are any: what has been saved so far."""
    try:
        return others(task, submission.read("."))
    except InputError:
        return {}


if __name__ == "__main__":
    main(*sys.argv[1:])
