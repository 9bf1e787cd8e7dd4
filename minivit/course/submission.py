"""Read what a student hands in: notebooks and scripts, of which only what a task needs is run.

A file is read cell by cell, so a syntax error costs one cell.  To get a function, the cells' statements that define it
and what it uses are run, in their order; experiments, plots and prints around it are not.
"""

import ast
import dis
import json
import linecache
import re
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import CodeType

from ..errors import InputError, nearest
from . import assignments

CELL = re.compile(r"^# %%.*$", re.MULTILINE)
VERSION = re.compile(r"minivit assignment (\S+), version (\S+)")
MAGIC = re.compile(r"^(\s*)([%!?].*|.*\?)$", re.MULTILINE)  # what only a notebook understands
PYTHON_CELLS = ("%%time", "%%capture", "%%prun")  # and %%timeit


@dataclass(frozen=True)
class Statement:
    """One statement of a file."""

    node: ast.stmt
    code: CodeType
    names: frozenset  # what it defines; "*" for anything
    uses: frozenset  # the global names that it reads
    file: str

    @property
    def own(self):
        """False for what is taken from minivit."""
        from_ = self.node.module if isinstance(self.node, ast.ImportFrom) else None
        return (from_ or "").partition(".")[0] != "minivit"


@dataclass
class Submission:
    """A folder, read."""

    folder: Path
    statements: list = field(default_factory=list)
    problems: list = field(default_factory=list)  # what could not be read, a line each
    versions: dict = field(default_factory=dict)  # assignment -> version it was handed out with

    def assignments(self):
        """The assignments of which there is something: a file handed out for it, or one of its functions."""
        _, titles, tasks = assignments.table()
        there = {task.assignment for task in tasks.values() if self.files_with(task.name)}
        return [a for a in titles if a in there or a in self.versions]

    def files_with(self, name):
        """The files that define a name at the top level, in order."""
        return list(dict.fromkeys(s.file for s in self.statements if s.own and name in s.names))

    def function(self, task):
        """The student's function for a task.

        Raises InputError if there is none of that name, and whatever the statements raise that it needs.
        """
        files = self.files_with(task.name)
        if not files:
            known = {s.node.name for s in self.statements if isinstance(s.node, ast.FunctionDef)}
            known -= {other.name for other in assignments.table()[2].values()}
            near = nearest(task.name, known) if known else ""
            raise InputError(f"there is no function {task.name} in {self.folder}{near}")
        own = [file for file in files if file.upper().startswith(task.assignment)]
        file = (own or files)[-1]
        return _run(needed(task.name, [s for s in self.statements if s.file == file]), self.folder)[task.name]


def read(folder):
    """The Submission in a folder (or in a single file).  Raises InputError if there is nothing to read."""
    folder = Path(folder)
    if not folder.exists():
        raise InputError(f"{folder}: there is no such folder")
    paths = [folder] if folder.is_file() else sorted(p for p in folder.iterdir() if p.suffix in (".py", ".ipynb"))
    found = Submission(folder if folder.is_dir() else folder.parent)
    for path in paths:
        _read_file(found, path)
    if not found.assignments() and not found.problems:
        raise InputError(f"{folder}: no notebook (.ipynb) or script (.py) in it defines a function of the assignments")
    return found


def _read_file(found, path):
    try:
        text = path.read_text(encoding="utf-8")
        cells, made_with = _notebook(text) if path.suffix == ".ipynb" else (_script(text), "")
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        found.problems.append(f"{path.name} cannot be read: {error}")
        return
    if version := VERSION.search(text):
        found.versions[version[1]] = version[2]
    for where, text in cells:
        place = f"{path.name}, {where}"
        linecache.cache[place] = len(text), None, text.splitlines(keepends=True), place  # for tracebacks
        try:
            found.statements += [_statement(node, place, path.name) for node in ast.parse(text).body]
        except (SyntaxError, ValueError, RecursionError) as error:
            found.problems.append(_syntax(place, text, error, made_with))


def _statement(node, place, file):
    code = compile(ast.Module([node], []), place, "exec")
    return Statement(node, code, frozenset(_defined(node)), frozenset(_used(code)), file)


def _notebook(text):
    # -> [(where, code)], the Python that it was made with
    content = json.loads(text)
    cells = enumerate(content["cells"], 1)
    made_with = content.get("metadata", {}).get("language_info", {}).get("version", "")
    return [(f"cell {i}", _plain("".join(c["source"]))) for i, c in cells if c["cell_type"] == "code"], made_with


def _plain(code):
    if code.startswith("%%"):
        first, _, rest = code.partition("\n")
        return f"# {first}\n{_plain(rest)}" if first.startswith(PYTHON_CELLS) else ""
    try:
        ast.parse(code)
    except SyntaxError:
        return MAGIC.sub(r"\1pass  # \2", code)
    return code


def _script(text):
    starts = [0, *(match.start() for match in CELL.finditer(text)), len(text)]
    lines = [text.count("\n", 0, start) + 1 for start in starts]
    return [(f"from line {n}", text[a:b]) for n, (a, b) in zip(lines, pairwise(starts), strict=False)]


def _syntax(place, text, error, made_with):
    line = (text.splitlines()[error.lineno - 1 :] or [""])[0].strip() if getattr(error, "lineno", None) else ""
    own = ".".join(map(str, sys.version_info[:2]))
    other = made_with and not made_with.startswith(f"{own}.")
    why = f"; it was made with Python {made_with}, and this is Python {own}" if other else ""
    reason = getattr(error, "msg", None) or str(error)
    return f"{place} was left out: {reason}" + (f", at `{line}`" if line else "") + why


def _defined(node):
    """The names that a statement defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    else:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                yield inner.id
            elif inner is not node and isinstance(inner, (ast.FunctionDef, ast.Import, ast.ImportFrom)):
                yield from _defined(inner)


def _used(code):
    """The global names that some code reads, in the functions inside it, too."""
    yield from (i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _used(inner)


def needed(name, statements):
    """The statements, in order, that define a name and everything it uses, directly or not."""
    wanted, kept = {name, "*"}, set()
    while True:
        more = {i for i, s in enumerate(statements) if wanted & s.names} - kept
        if not more:
            return [statements[i] for i in sorted(kept)]
        kept |= more
        wanted = wanted.union(*(statements[i].uses for i in more))


def _run(statements, folder):
    namespace = {"__name__": "submission"}
    sys.path.insert(0, str(folder))
    try:
        for statement in statements:
            exec(statement.code, namespace)
    finally:
        sys.path.remove(str(folder))
    return namespace
