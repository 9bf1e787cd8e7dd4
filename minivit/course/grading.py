"""Grade a folder: every task in a process of its own, so that what goes wrong in one costs that one only."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, nearest
from . import assignments, cases, results, submission

LIBRARY = Path(__file__).parents[2]
SECONDS, MEGABYTES = 30, 4096  # of one task
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "MKL", "OMP", "VECLIB", "NUMBA")}


@dataclass
class Report:
    """The results of a folder."""

    results: list
    problems: list  # what could not be read, a line each
    handed_out: dict  # assignment -> version that it was handed out with
    version: str  # of the assignments that it was graded with
    hidden: bool  # whether hidden checks were run

    @property
    def score(self):
        return sum(result.score for result in self.results)

    @property
    def points(self):
        return sum(result.points for result in self.results)


def grade(folder, only=None, hidden=None, seconds=SECONDS, megabytes=MEGABYTES, progress=None):
    """The Report of a folder or file; only: names of assignments (default: those of which there is something).

    hidden: the second seed, of the instructor.  progress(result) is called as results come.
    Raises InputError for an empty folder and an unknown assignment.
    """
    version, titles, tasks = assignments.table()
    handed_in = submission.read(folder)
    for name in only or ():
        if name not in titles:
            raise InputError(f"there is no assignment {name!r}{nearest(name, titles)}")
    chosen = [task for task in tasks.values() if task.assignment in (only or handed_in.assignments())]

    def one(task):
        result = in_process(task, Path(folder).resolve(), hidden, seconds, megabytes)
        if progress:
            progress(result)
        return task.id, result

    timed = [task for task in chosen if cases.of(task).cost]  # these run alone, at the end
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        found = dict(pool.map(one, [task for task in chosen if task not in timed]))
    found.update(map(one, timed))
    return Report(
        [found[task.id] for task in chosen], handed_in.problems, handed_in.versions, version, hidden is not None
    )


def in_process(task, folder, hidden, seconds, megabytes):
    """The Result of one task, whatever the student's code does."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        request, answer = Path(place, "request.json"), Path(place, "result.json")
        asked = {"task": task.id, "folder": str(folder), "hidden": hidden, "memory": megabytes}
        request.write_text(json.dumps(asked), encoding="utf-8")
        code = _run([sys.executable, "-m", "minivit.course.worker", str(request), str(answer)], place, seconds)
        if answer.exists():
            fields = json.loads(answer.read_text(encoding="utf-8"))
            fields["checks"] = [results.Check(**check) for check in fields["checks"]]
            return results.Result(**fields)
        return results.failed(task, "no result", _death(code, seconds, megabytes))


def _run(command, folder, seconds):
    # -> exit code, or None after too long; whatever it has started ends with it
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    path = os.pathsep.join(filter(None, [str(LIBRARY), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **ONE_THREAD, "MPLBACKEND": "agg", "PYTHONPATH": path}
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **silent)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):  # all have ended
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def _death(code, seconds, megabytes):
    if code is None:
        return f"not done after {seconds:g} s, and stopped: is there a loop that does not end?"
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}: memory (limit {megabytes} MB), or a crash?"
    return f"Python ended (exit code {code}) before there was a result: is there an exit() in it?"
