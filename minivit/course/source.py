"""The student's version of a function, its solution, and a version with a mistake: all from the library's source.

No solution is written down twice: what students get, what instructors get, and every planted mistake is made from the
text of the function that minivit itself runs.
"""

import ast
import builtins
import importlib.util
import re
import textwrap
from functools import cache
from pathlib import Path

import numpy as np


@cache
def module(name):
    """(lines, {name: node}) of a module of the library: its functions, constants and imports."""
    path = Path(importlib.util.find_spec(name).origin)
    text = path.read_text(encoding="utf-8")
    found = {}
    for node in ast.parse(text).body:
        for defined in _names(node):
            found[defined] = node
    return text.splitlines(), found


def _names(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign):
        return [leaf.id for target in node.targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
    return []


def solution(task, decorators=True):
    """The text of the helpers and of the function itself, under the student's name."""
    return "\n\n\n".join(_renamed(task, text(task, name, decorators)) for name in task.taught)


def text(task, name, decorators=True):
    """The text of one function of the task's module.  Of decorators, only the compiler's is of interest to students."""
    lines, found = module(task.module)
    node = found[name]
    above = [f"@{ast.unparse(d)}" for d in node.decorator_list if ast.unparse(d).startswith("njit")]
    return "\n".join([*(above if decorators else ()), *lines[node.lineno - 1 : node.end_lineno]])


def stub(task):
    """The function with its signature, docstring and shape comments; the rest is for the student."""
    return f'{head(task)}\n    raise NotImplementedError("{message(task)}")'


def head(task, decorators=True):
    """Signature, docstring and shape comments."""
    node = module(task.module)[1][task.function]
    whole = text(task, task.function, decorators).splitlines()
    return _renamed(task, "\n".join(whole[: len(whole) - (node.end_lineno - _body(node)[0].lineno + 1)]))


def marked(task):
    """The solution between the markers of nbgrader, helpers inside the function, so that there is one region."""
    node = module(task.module)[1][task.function]
    lines = text(task, task.function).splitlines()
    body = lines[len(lines) - (node.end_lineno - _body(node)[0].lineno + 1) :]
    helpers = [textwrap.indent(text(task, name), "    ") for name in task.helpers]
    inside = [*helpers, _renamed(task, "\n".join(body))]
    return "\n".join([head(task), "    ### BEGIN SOLUTION", "\n\n".join(inside), "    ### END SOLUTION"])


def message(task):
    """What an unwritten task says: its name, and how long the library's answer is."""
    lines = line_count(task)
    return f"{task.id} {task.title}: about {lines} line{'s' * (lines != 1)}"


def line_count(task):
    """How many lines of code the solution has, without signature, docstring and comments."""
    lines, found = module(task.module)
    bodies = [_body(found[name]) for name in task.taught]
    numbers = {n for body in bodies for node in body for n in range(node.lineno, node.end_lineno + 1)}
    return sum(bool(lines[n - 1].strip()) and not lines[n - 1].lstrip().startswith("#") for n in numbers)


def _body(node):
    return node.body[1:] if ast.get_docstring(node) is not None else node.body


def _renamed(task, text):
    return re.sub(rf"\b{task.function}\b", task.name, text) if task.name != task.function else text


def imports(tasks, everything=False):
    """The import lines that the solutions of some tasks need, when they stand together in one file.

    Without `everything`, what is private and what is a number is left out: it is one way to do it, not the task.
    """
    own = {name for task in tasks for name in task.taught}
    plain, by_module = {"import numpy as np"}, {}
    for task in tasks:
        _, defined = module(task.module)
        for name in sorted((_read(solution(task)) & set(defined)) - own):
            node = defined[name]
            if isinstance(node, ast.Import):
                plain.add(ast.unparse(node))
            elif everything or not (name.startswith("_") or isinstance(node, ast.Assign)):
                by_module.setdefault(_origin(task.module, node), set()).add(name)
    lines = [f"from {origin} import {', '.join(sorted(names))}" for origin, names in by_module.items()]
    return sorted(plain) + sorted(lines, key=lambda line: ("minivit" in line, line))


def _read(text):
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    return names - set(dir(builtins))


def _origin(module, node):
    if not isinstance(node, ast.ImportFrom):
        return module
    if node.module == "simd.language":  # Numba's words, put off until they are needed
        return "numba"
    name = "." * node.level + (node.module or "")
    return importlib.util.resolve_name(name, module.rpartition(".")[0])


def without(name, taught):
    """The text of a module with the bodies of some functions taken out: {function: what to raise instead}."""
    lines, found = module(name)
    lines = list(lines)
    for function, message in sorted(taught.items(), key=lambda item: -found[item[0]].lineno):
        body = _body(found[function])
        lines[body[0].lineno - 1 : body[-1].end_lineno] = [f'    raise NotImplementedError("{message}")']
    return "\n".join(lines) + "\n"


def build(task, text):
    """The function that some text defines, among the other names of its module."""
    namespace = {"np": np, **vars(importlib.import_module(task.module))}
    exec(compile(text, f"<{task.id}>", "exec"), namespace)
    return namespace[task.name]
