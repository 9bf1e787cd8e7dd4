"""Results for people, for programs, and for Gradescope."""

from dataclasses import asdict

from ..tables import Table
from .results import RIGHT, TODO

MARKS = {RIGHT: "✓", TODO: "…"}


def text(result):
    """One result in a few lines: what came, what was expected, and a thought that helps."""
    name = f"{result.id} {result.title}"
    if result.status == RIGHT:
        remark = f"; {result.remark}" if result.remark else ""
        return f"✓ right: {name} ({_count(len(result.checks), 'check')}{remark})"
    if result.status == TODO:
        return f"… {name}: not written yet ({result.remark})"
    first = result.first
    lines = [f"✗ {name}: {first.name}", f"  {first.message}"]
    if result.mistake:
        lines.append(f"  This looks like: {result.mistake}. {result.hint}")
    return "\n".join(lines)


def table(report):
    """All results of a folder, for a terminal."""
    rows = [
        {"": MARKS.get(r.status, "✗"), "task": r.id, "title": r.title, "points": f"{r.score:g} of {r.points:g}"}
        for r in report.results
    ]
    told = [text(r) for r in report.results if r.status != RIGHT or r.remark]
    told += [f"! {problem}" for problem in report.problems + versions(report)]
    hidden = ", with hidden checks" if report.hidden else ""
    total = f"{report.score:g} of {report.points:g} points (assignments {report.version}{hidden})"
    parts = str(Table(("", "task", "title", "points"), rows)), "\n".join(told), total
    return "\n\n".join(part for part in parts if part)


def versions(report):
    """A line for each assignment that was handed out in another version than it is graded with."""
    return [
        f"{name} was handed out in version {handed_out} and is graded with {report.version}: see the course's CHANGELOG"
        for name, handed_out in report.handed_out.items()
        if handed_out != report.version
    ]


def as_json(report):
    """Everything, as one dict."""
    from .. import __version__

    return {
        "minivit": __version__,
        "assignments": {"graded_with": report.version, "handed_out": report.handed_out},
        "hidden": report.hidden,
        "score": report.score,
        "points": report.points,
        "tasks": [{**asdict(result), "score": result.score} for result in report.results],
        "problems": report.problems + versions(report),
    }


def gradescope(report):
    """The dict that Gradescope reads as results.json."""
    tests = [
        {
            "name": f"{result.id} {result.title}",
            "score": result.score,
            "max_score": result.points,
            "status": "passed" if result.status == RIGHT else "failed",
            "output": text(result),
            "visibility": "visible",
        }
        for result in report.results
    ]
    told = [f"assignments {report.version}", *report.problems, *versions(report)]
    extra = {"graded_with": report.version, "handed_out": report.handed_out, "points": report.points}
    return {"score": report.score, "output": "\n".join(told), "tests": tests, "extra_data": extra}


def _count(number, what):
    return f"{number} {what}{'s' * (number != 1)}"
