"""What a check says about a task: plain data, the same in a notebook and across processes."""

from dataclasses import dataclass, field

RIGHT, WRONG, TODO = "right", "wrong", "not written yet"


@dataclass
class Check:
    """One thing that was looked at; ok is None where it could not be."""

    name: str
    ok: bool | None
    message: str = ""
    hidden: bool = False


@dataclass
class Result:
    """All checks of one task."""

    id: str
    title: str
    points: float
    status: str
    checks: list = field(default_factory=list)
    mistake: str = ""  # the name of the planted mistake that gives the same
    hint: str = ""
    remark: str = ""  # of a right one: how fast it is, or what could not be tried here

    def __bool__(self):
        return self.status == RIGHT

    def _ipython_display_(self):
        """Nothing: as the last value of a cell it has already been printed."""

    @property
    def score(self):
        return self.points if self.status == RIGHT else 0

    @property
    def first(self):
        """The first check that failed, or None."""
        return next((check for check in self.checks if check.ok is False), None)


def failed(task, what, message):
    """The Result of a task that could not even be tried."""
    return Result(task.id, task.title, task.points, WRONG, [Check(what, False, message)])
