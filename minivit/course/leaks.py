"""Look through what is about to be handed out for what should not be in it."""

import ast
import json
import re
from itertools import pairwise
from pathlib import Path

from . import assignments, source

REFUSE = re.compile(r"(^|/)(__pycache__|__MACOSX|\.ipynb_checkpoints|\.git|\.DS_Store)(/|$)|\.(py[cod]|so|dll|nb[ic])$")
MARKERS = ("### BEGIN", "### END", "~~DELETE", "HIDDEN TESTS")
TEXT = (".py", ".ipynb", ".toml", ".md", ".json", ".txt", ".sh", ".html", ".js", ".css")
SHORT = 16  # a line of so few characters tells nothing


def scan(folder, strict, seed=None):
    """What leaks, a line each: refuse, outputs, markers, the hidden seed, and lines of solutions.

    In the files of the assignments no line of a solution may stand; in a strict library no two in a row.
    """
    folder, found = Path(folder), []
    singles, pairs = solution_lines()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() or p.is_symlink()):
        name = path.relative_to(folder).as_posix()
        if REFUSE.search(name):
            found.append(f"{name}: not a file to hand out")
        if path.suffix not in TEXT:
            continue
        text = path.read_text(encoding="utf-8")
        if seed is not None and str(seed) in text:
            found.append(f"{name}: the hidden seed")
        if "/" not in name and path.suffix in (".py", ".ipynb"):
            found += [f"{name}: {what}" for what in _handed_out(text, path.suffix, singles)]
        elif strict and path.suffix == ".py":
            known = [two for two in _pairs(text.splitlines()) if two in pairs]
            found += [f"{name}: solution of {pairs[two]}: {two[0]}" for two in known]
    return found


def _handed_out(text, suffix, singles):
    yield from (f"marker {marker!r}" for marker in MARKERS if marker in text)
    if suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        yield from ("an output" for cell in cells if cell.get("outputs") or cell.get("execution_count"))
        text = "\n".join("".join(cell["source"]) for cell in cells)
    for line in map(plain, text.splitlines()):
        if line in singles:
            yield f"solution of {singles[line]}: {line}"


def solution_lines():
    """({line: task}, {(line, next line): task}) of all solutions, without comments and spaces at the ends."""
    singles, pairs = {}, {}
    for task in assignments.table()[2].values():
        lines, found = source.module(task.module)
        for name in task.taught:
            node = found[name]
            start = node.body[1 if ast.get_docstring(node) is not None else 0].lineno
            head, whole = lines[node.lineno - 1 : start - 1], lines[node.lineno - 1 : node.end_lineno]
            singles.update({line: task.id for line in map(plain, whole[len(head) :]) if len(line) >= SHORT})
            # from the last line of the head on, so that a body of one line counts, too
            pairs.update({two: task.id for two in _pairs(whole)[len(_code(head)) - 1 :] if len(two[1]) >= SHORT})
    return singles, pairs


def plain(line):
    """A line without its comment and the spaces around it."""
    return line.partition("#")[0].strip()


def _pairs(lines):
    return list(pairwise(_code(lines)))


def _code(lines):
    return [line for line in map(plain, lines) if line]
