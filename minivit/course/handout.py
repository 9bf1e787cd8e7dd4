"""What is handed out of an assignment: a notebook or a script, made from the table and the live library.

Cells carry the metadata of nbgrader, and the instructor's source its markers, so that either way of grading works.
"""

import hashlib
import json
from dataclasses import dataclass

from . import assignments, source

INTRODUCTION = """# {assignment} · {title}

minivit assignment {assignment}, version {version} · {points:g} points

Put your code in place of each `raise` line. The first comment of a function gives the shapes of inputs and result (B
images, N tokens, D width, H heads, K width of a head, P side of a patch, C classes). Run it, then the cell below it:
`check` says what is right, or the first thing that is wrong, and often why.

* NumPy only, unless the task says otherwise. Leave the inputs as they are, return arrays of your own, and keep their
  type: float32 in, float32 out.
* Keep the names of the functions. What else is in this file is yours: tests, plots and helpers are welcome.
* {independence}
* `minivit grade .` grades everything in this folder, each task in a process of its own."""

ALONE = "Every task stands alone: where your function calls that of another task, the checker runs the library's."
TOGETHER = "The library comes without these functions: where a task needs another one, yours is taken from this folder."

MARKDOWN, CODE = "markdown", "code"


@dataclass(frozen=True)
class Cell:
    """One cell, with its part in nbgrader: "" | "solution" | "tests"."""

    kind: str
    text: str
    id: str
    part: str = ""
    points: float = 0


def cells(assignment, strict=False, hidden=None):
    """The cells of an assignment: for students, or with a hidden seed the instructor's, with solutions and markers."""
    version, titles, _ = assignments.table()
    tasks = assignments.of(assignment)
    points, independence = sum(task.points for task in tasks), TOGETHER if strict else ALONE
    facts = {"assignment": assignment, "title": titles[assignment], "version": version, "points": points}
    lines = [*source.imports(tasks, everything=hidden is not None), "from minivit.course import check"]
    made = [
        Cell(MARKDOWN, INTRODUCTION.format(**facts, independence=independence), "introduction"),
        Cell(CODE, "\n".join(lines), "imports"),
    ]
    for task in tasks:
        id, counts = task.id.replace(".", "-"), f"{task.points:g} point{'s' * (task.points != 1)}"
        test = f'check("{task.id}", {task.name})'
        if hidden is not None:
            again = f'assert check("{task.id}", {task.name}, hidden={hidden})'
            test = f"{test}\n### BEGIN HIDDEN TESTS\n{again}\n### END HIDDEN TESTS"
        code = source.marked(task) if hidden is not None else source.stub(task)
        made += [
            Cell(MARKDOWN, f"## {task.id} · {task.title} ({counts})\n\n{task.text}", f"{id}-text"),
            Cell(CODE, code, id, "solution"),
            Cell(CODE, test, f"{id}-check", "tests", task.points),
        ]
    return made


def notebook(made):
    """The text of an .ipynb file: no outputs, and the same cells give the same bytes."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    content = {"cells": [_cell(c) for c in made], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _cell(cell):
    metadata = {}
    if cell.part:
        tests = cell.part == "tests"
        part = {"grade": tests, "locked": tests, "solution": not tests, "task": False}
        metadata["nbgrader"] = {**part, "grade_id": cell.id, "schema_version": 3}
        if tests:
            metadata["nbgrader"]["points"] = cell.points
    code = {"execution_count": None, "outputs": []} if cell.kind == CODE else {}
    id = hashlib.sha256(f"{cell.id}\n{cell.text}".encode()).hexdigest()[:12]
    return {"cell_type": cell.kind, "id": id, "metadata": metadata, "source": cell.text.splitlines(True), **code}


def script(made):
    """The text of a .py file in percent format, for those who prefer an editor."""
    parts = []
    for cell in made:
        if cell.kind == MARKDOWN:
            lines = (f"# {line}".rstrip() for line in cell.text.splitlines())
            parts.append("\n".join(["# %% [markdown]", *lines]))
        else:
            parts.append(f"# %%\n{cell.text}")
    return "\n\n".join(parts) + "\n"


def file_name(assignment):
    """ "A3" -> "A3_one_head_by_hand"."""
    title = assignments.table()[1][assignment].lower()
    return f"{assignment}_{'_'.join(''.join(c if c.isalnum() else ' ' for c in title).split())}"
