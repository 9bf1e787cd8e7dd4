"""Misconceptions as data: what people get wrong, and the thought that puts it right, one table per assignment.

    [["A2.2"]]
    name = "eps outside the root"
    right = "…"           a piece of the library's solution …
    wrong = "…"           … and what stands there if one thinks so; right = "" replaces the whole body
    hint = "…"            a thought or a question, never the solution

The wrong function is made from the library's source, so it is wrong in this one respect only.
"""

import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .. import source
from ..assignments import tomllib


@dataclass(frozen=True)
class Mistake:
    """One way to get a task wrong."""

    name: str
    right: str
    wrong: str
    hint: str

    def function(self, task):
        """The library's function with this mistake in it, not compiled."""
        text = source.solution(task, decorators=False)
        if not self.right:
            body = textwrap.indent(self.wrong.strip(), "    ")
            return source.build(task, f"{source.head(task, decorators=False)}\n{body}")
        if self.right not in text:
            raise ValueError(f"{task.id}, {self.name!r}: the solution no longer holds {self.right!r}")
        return source.build(task, text.replace(self.right, self.wrong))


def of(task):
    """The planted mistakes of a task."""
    return [Mistake(**fields) for fields in _table(task.assignment).get(task.id, ())]


@cache
def _table(assignment):
    path = Path(__file__).with_name(f"{assignment}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
