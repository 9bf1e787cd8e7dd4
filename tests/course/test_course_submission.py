"""Notebooks and scripts as students hand them in: what is found, what is left out, and what is said about it."""

import json
import re

import numpy as np
import pytest

from minivit.course import assignments, checker, submission, worker
from minivit.errors import InputError

SOFTMAX = """import numpy as np
def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
"""
TASK = assignments.task("A2.1")


def notebook(*cells, version="3.11.7"):
    made = [{"cell_type": "code", "source": cell.splitlines(True)} for cell in cells]
    return json.dumps({"cells": made, "metadata": {"language_info": {"version": version}}})


def handed_in(folder, **files):
    for name, text in files.items():
        (folder / re.sub("_(py|ipynb)$", r".\1", name)).write_text(text, encoding="utf-8")
    return submission.read(folder)


def graded(folder, **files):
    return worker.grade(TASK, handed_in(folder, **files))


def test_a_function_of_a_notebook_is_found_with_what_it_needs_from_other_cells(tmp_path):
    cells = (
        "import numpy as np",
        "def e(x):\n    return np.exp(x - top(x))",
        "def top(x):\n    return x.max(-1, keepdims=True)",
    )
    book = notebook(*cells, "def softmax(x):\n    return e(x) / e(x).sum(-1, keepdims=True)")
    assert graded(tmp_path, A2_ipynb=book)


def test_experiments_plots_and_magics_around_it_are_not_run(tmp_path):
    cells = (
        "%matplotlib inline\nimport nonsense_that_is_not_there",
        "while True: pass",
        "!rm x\nx = 1/0",
        "%%bash\nexit 1",
    )
    assert graded(tmp_path, A2_ipynb=notebook(*cells, f"%%time\n{SOFTMAX}", "softmax(3)\nsoftmax?"))


def test_a_syntax_error_costs_its_cell_only_and_is_told_with_its_line(tmp_path):
    found = handed_in(tmp_path, A2_ipynb=notebook("def layernorm(x:\n    return x", SOFTMAX))
    assert worker.grade(TASK, found)
    assert (
        found.problems[0].startswith("A2.ipynb, cell 1 was left out: ") and "at `def layernorm(x:`" in found.problems[0]
    )


def test_a_script_is_read_cell_by_cell_too(tmp_path):
    found = handed_in(tmp_path, A2_py=f"# %%\n{SOFTMAX}\n# %% second\ndef layernorm(x:\n")
    assert worker.grade(TASK, found)
    assert "A2.py, from line 7 was left out: " in found.problems[0]


def test_a_notebook_of_another_python_is_told_so(tmp_path):
    found = handed_in(tmp_path, A2_ipynb=notebook("def softmax[T](x: T, /, *) => T:\n    pass", version="3.99.1"))
    assert "it was made with Python 3.99.1, and this is Python 3." in found.problems[0]


def test_a_renamed_function_is_named_with_its_neighbour(tmp_path):
    result = graded(tmp_path, A2_py=SOFTMAX.replace("softmax", "soft_max") + "def layernorm(x): pass\n")
    assert "there is no function softmax in " in result.first.message
    assert "did you mean 'soft_max'?" in result.first.message


def test_the_function_of_another_task_is_no_neighbour(tmp_path):
    result = graded(tmp_path, A2_py="def gelu_erf(x): pass\ndef gelu_tanh(x): pass\n")
    assert result.first.message == f"there is no function softmax in {tmp_path}"


def test_what_is_imported_from_minivit_is_not_the_students(tmp_path):
    result = graded(tmp_path, A2_py="from minivit.ops.softmax.ref import softmax\ndef layernorm(x): pass\n")
    assert "there is no function softmax" in result.first.message


def test_what_a_function_needs_and_does_not_run_is_told(tmp_path):
    result = graded(
        tmp_path, A2_py=f"import torch_that_is_not_there\n{SOFTMAX.replace('np.exp', 'torch_that_is_not_there.exp')}"
    )
    assert "what softmax needs does not run: ModuleNotFoundError" in result.first.message


def test_sys_exit_between_functions_is_told(tmp_path):
    result = graded(tmp_path, A2_py=f"import sys\nTOP = sys.exit()\n{SOFTMAX.replace('x.max', '(TOP or x).max')}")
    assert "the function ended Python (sys.exit), at `TOP = sys.exit()`" in result.first.message


def test_the_last_definition_counts(tmp_path):
    assert graded(tmp_path, A2_ipynb=notebook("def softmax(x):\n    return x", SOFTMAX))


def test_the_assignments_own_file_goes_before_others(tmp_path):
    assert graded(tmp_path, A2_py=SOFTMAX, A3_py="def softmax(x):\n    return x\ndef scores(q, k): pass\n")


def test_the_line_of_an_exception_is_the_students(tmp_path):
    result = graded(
        tmp_path, A2_ipynb=notebook("import numpy as np", "def softmax(x):\n    return np.concatenate(x, 9)")
    )
    assert result.first.message.endswith("at `return np.concatenate(x, 9)`")


def test_a_broken_notebook_is_a_line(tmp_path):
    found = handed_in(tmp_path, A2_ipynb="{not json", A3_ipynb="[]", A4_py="é")
    assert [problem.split(":")[0] for problem in found.problems[:2]] == [
        "A2.ipynb cannot be read",
        "A3.ipynb cannot be read",
    ]


def test_the_version_that_it_was_handed_out_with_is_read(tmp_path):
    found = handed_in(tmp_path, A2_py=f'"""minivit assignment A2, version 0.9 · 11 points"""\n{SOFTMAX}')
    assert found.versions == {"A2": "0.9"} and found.assignments() == ["A2"]


def test_nothing_to_grade_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        submission.read(tmp_path / "missing")
    with pytest.raises(InputError, match="no notebook"):
        submission.read(tmp_path)
    (tmp_path / "notes.py").write_text("x = 1")
    with pytest.raises(InputError, match="no notebook"):
        submission.read(tmp_path)


def test_needed_follows_names_and_keeps_the_order(tmp_path):
    found = handed_in(tmp_path, A2_py="a = 1\nb = a + 1\nc = 5\ndef softmax(x):\n    return x * b\nb += 1\n")
    kept = submission.needed("softmax", found.statements)
    assert [sorted(s.names)[0] for s in kept] == ["a", "b", "softmax", "b"]
    assert np.array_equal(found.function(TASK)(1), 3)
    assert worker.grade(TASK, found).status == checker.WRONG
