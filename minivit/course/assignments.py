"""The table of assignments, read: what is asked, which function of the library answers it, what it counts.

The table is lessons/assignments.toml; an installed minivit has a copy of it.
"""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import InputError, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Task:
    """One function to write."""

    id: str  # "A3.2"
    module: str  # where the library has it
    function: str  # what the library calls it
    name: str  # what the student calls it
    title: str
    text: str
    points: float
    helpers: tuple = ()  # functions of the same module that belong to the solution
    slow: str = ""

    @property
    def assignment(self):
        return self.id.partition(".")[0]

    @property
    def taught(self):
        """The functions of the module that a student's library does not have."""
        return (*self.helpers, self.function)


@cache
def table():
    """(version, {assignment: title}, {id: Task})."""
    content = tomllib.loads(find("assignments.toml").read_text(encoding="utf-8"))
    version, titles, tasks = content.pop("version"), {}, {}
    for assignment, entry in content.items():
        titles[assignment] = entry["title"]
        for number, fields in entry["tasks"].items():
            task = _task(f"{assignment}.{number}", **fields)
            tasks[task.id] = task
    return version, titles, tasks


def _task(id, function, points, text, name="", title="", helpers=(), slow=""):
    module, _, function = function.partition(":")
    name = name or function
    return Task(id, module, function, name, title or name, " ".join(text.split()), points, tuple(helpers), slow)


def task(id):
    """The task of that id.  Raises InputError for an unknown one."""
    _, _, tasks = table()
    if id not in tasks:
        raise InputError(f"there is no task {id!r}{nearest(id, tasks)} (A1.1 to {list(tasks)[-1]})")
    return tasks[id]


def of(assignment):
    """The tasks of one assignment, in order."""
    return [task for task in table()[2].values() if task.assignment == assignment]


def find(name):
    """A file or golden case of the course: beside this one in an installed minivit; in a clone where it belongs."""
    for folder in (PACKAGE, PACKAGE.parents[1] / "lessons", PACKAGE.parents[1] / "tests" / "golden"):
        if (folder / name).exists():
            return folder / name
    raise InputError(f"the course's {name} is missing: install minivit again, or work in a clone of it")
