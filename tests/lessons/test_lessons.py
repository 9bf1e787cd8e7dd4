"""The lessons: their notebooks are up to date, run from top to bottom, and their questions have right answers."""

import ast
import importlib.util
import json
import os
import re
import shutil
from pathlib import Path

import nbclient
import nbformat
import pytest

LESSONS = Path(__file__).parents[2] / "lessons"
SOURCES = sorted(LESSONS.glob("[0-9][0-9]_*.py"))
each_lesson = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def module(name):
    spec = importlib.util.spec_from_file_location(f"lessons_{name}", LESSONS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


build, quiz = module("build"), module("quiz")


# ---- every lesson, executed once ------------------------------------------------------------------------------------

CPU_SECONDS = "\nimport time\nprint('CPU seconds', time.process_time())"


def executed(text, name, folder=LESSONS):
    """The outputs of a lesson's text.  A cell with a solution runs twice: solved, then as a reader finds it.

    So one run shows that the answers are right, and that nothing later needs them.
    """
    book, start = nbformat.v4.new_notebook(), 0
    for kind, code in build.cells(text):
        start = text.index(code, start)
        if kind != "[markdown]":
            unsolved = build.SOLUTION.sub("", code + "\n").rstrip("\n")
            where = {"line": text.count("\n", 0, start) + 1}
            book.cells += [
                nbformat.v4.new_code_cell(version, metadata=where) for version in dict.fromkeys((code, unsolved))
            ]
    book.cells.append(nbformat.v4.new_code_cell(CPU_SECONDS))
    resources = {"metadata": {"path": folder}}
    try:  # the limits only end what hangs: how long a lesson takes is told by the last cell
        nbclient.NotebookClient(
            book, timeout=300, startup_timeout=300, kernel_name="python3", resources=resources
        ).execute()
    except nbclient.exceptions.CellExecutionError as error:
        failed = next(cell for cell in book.cells if any(o.output_type == "error" for o in cell.outputs))
        where = f"{name}, the cell at line {failed.metadata.line}, {failed.source.splitlines()[0]!r}"
        pytest.fail(f"{where}: {error.ename}: {error.evalue}", pytrace=False)
    return [output for cell in book.cells for output in cell.outputs]


def environment(monkeypatch, folder, **variables):
    """A machine without weights of its own, except those that `variables` tell of."""
    for name in ("MINIVIT_DATA", "MINIVIT_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    one_thread = {"OPENBLAS_NUM_THREADS": "1"}  # tests run side by side: their threads would wait for each other
    for name, value in {"HOME": str(folder), "IPYTHONDIR": str(folder), **one_thread, **variables}.items():
        monkeypatch.setenv(name, value)


def machines():
    """Lesson 00 takes another model where there is one; the others have cells that are optional without it."""
    data = {"MINIVIT_DATA": os.environ["MINIVIT_DATA"]} if "MINIVIT_DATA" in os.environ else {}
    return [(source, data) for source in SOURCES] + [(source, {}) for source in SOURCES[:1] if data]


@pytest.mark.parametrize(
    ("source", "data"), machines(), ids=[f"{source.stem}{'-trained' * bool(data)}" for source, data in machines()]
)
def test_a_lesson_runs_cell_by_cell_with_right_answers_and_pictures(source, data, tmp_path, monkeypatch):
    text = source.read_text(encoding="utf-8")
    environment(monkeypatch, tmp_path, **data)
    outputs = executed(text, source.name)
    said = "".join(output.get("text", "") for output in outputs)
    questions = len(re.findall(r"^check\(", text, re.MULTILINE))
    assert (said.count("✓ right"), said.count("… your turn"), said.count("✗")) == (questions, questions, 0)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert float(said.rpartition("CPU seconds ")[2]) <= 60


def test_lesson_05_also_runs_without_the_golden_cases_of_the_repository(tmp_path, monkeypatch):
    environment(monkeypatch, tmp_path)
    shutil.copy(LESSONS / "quiz.py", tmp_path)
    source = LESSONS / "05_the_whole_vit_checked.py"
    said = "".join(o.get("text", "") for o in executed(source.read_text(encoding="utf-8"), source.name, tmp_path))
    assert "no golden case here" in said and "✗" not in said
    assert said.count("all tensors agree") == 2  # before the theft, and after the number has been put back


def test_lesson_11_shows_what_was_measured_where_a_machine_with_a_gpu_has_left_its_figures(tmp_path, monkeypatch):
    benchmarks = LESSONS.parent / "benchmarks"
    monkeypatch.syspath_prepend(benchmarks)
    import gpu_cases

    for folder in ("lessons", "benchmarks/results"):
        (tmp_path / folder).mkdir(parents=True)
    for path in (LESSONS / "quiz.py", benchmarks / "gpu_cases.py", benchmarks / "gpu_report.py"):
        shutil.copy(path, tmp_path / path.parent.name)
    rows = [{"case": case.key, "speed": case.expected / 2, "of_library": 0.125} for case in gpu_cases.CASES]
    report = {"machine": {"card": "a card"}, "copy_gbytes": 4300.0, "tiny": False, "rows": rows, "models": []}
    (tmp_path / "benchmarks" / "results" / "h200.json").write_text(json.dumps(report), encoding="utf-8")
    environment(monkeypatch, tmp_path)
    source = LESSONS / "11_fast_on_a_gpu.py"
    outputs = executed(source.read_text(encoding="utf-8"), source.name, tmp_path / "lessons")
    table = "".join(output.get("data", {}).get("text/markdown", "") for output in outputs)
    assert "a card; copies at 4300 GB/s" in table and "not yet measured" not in table
    shown = [case for case in gpu_cases.CASES if case.op in ("linear", "attention")]
    assert table.count("| 12% |") == len(shown) and "| 400 TFLOP/s | 200 TFLOP/s |" in table


def test_a_cell_that_fails_is_named(tmp_path, monkeypatch):
    environment(monkeypatch, tmp_path)
    text = "# %%\nx = 1\n# %% [markdown]\n# text\n# %%\ny = x / 0\n# %%\nx\n"
    with pytest.raises(pytest.fail.Exception, match=r"99.py, the cell at line 6, 'y = x / 0': ZeroDivisionError"):
        executed(text, "99.py")


# ---- what every lesson has ------------------------------------------------------------------------------------------


@each_lesson
def test_the_notebook_is_the_one_that_the_source_gives(source):
    expected = build.notebook(source.read_text(encoding="utf-8"))
    found = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert found == expected, "run: python lessons/build.py"
    nbformat.validate(json.loads(found))


@each_lesson
def test_a_lesson_asks_predicts_and_shows_its_equations(source):
    text = source.read_text(encoding="utf-8")
    assert len(re.findall(r"^check\(", text, re.MULTILINE)) >= 2
    assert text.count("**Predict") >= 3
    assert "# $$" in text
    assert source.with_suffix(".ipynb").name in (LESSONS / "README.md").read_text(encoding="utf-8")


def assigned(code):
    return {
        node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


@each_lesson
def test_no_later_cell_can_use_what_only_a_solution_defines(source):
    for kind, code in build.cells(source.read_text(encoding="utf-8")):
        if kind != "[markdown]" and build.SOLUTION.search(code + "\n"):
            assert assigned(code) == assigned(build.SOLUTION.sub("", code + "\n"))


# ---- the machinery --------------------------------------------------------------------------------------------------

LESSON = """# %% [markdown]
# # A title
#
# Some text.

# %%
answer = ...
### BEGIN SOLUTION
answer = "forty-two"
### END SOLUTION
check(answer, number)


# %%
def f(x):
    return x
"""


def test_text_and_code_become_cells_of_their_kind():
    cells = json.loads(build.notebook(LESSON))["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "code"]
    assert "".join(cells[0]["source"]) == "# A title\n\nSome text."
    assert "".join(cells[2]["source"]) == "def f(x):\n    return x"


def test_answers_are_left_out_of_the_notebook():
    book = build.notebook(LESSON)
    assert "forty-two" not in book and "SOLUTION" not in book
    assert "answer = ..." in book and "check(answer, number)" in book


def test_cells_with_the_same_content_have_different_ids():
    ids = [cell["id"] for cell in json.loads(build.notebook("# %%\nx\n# %%\nx\n"))["cells"]]
    assert len(set(ids)) == 2


def test_check_names_a_stale_notebook_and_building_mends_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    (tmp_path / "07_new.py").write_text(LESSON, encoding="utf-8")
    assert build.main(["--check"]) == 1
    assert "07_new.ipynb: out of date" in capsys.readouterr().out
    assert build.main([]) == 0 and build.main(["--check"]) == 0
    (tmp_path / "07_new.py").write_text(LESSON.replace("Some", "Other"), encoding="utf-8")
    assert build.main(["--check"]) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [(196, "✓ right: 196"), (..., "your turn"), (197, "the class token"), (5, "is not it"), ([196], "is not it")],
)
def test_an_answer_is_judged_and_a_known_mistake_gets_its_hint(answer, said, capsys):
    quiz.check(answer, 196, {197: "the class token is no patch"})
    assert said in capsys.readouterr().out


def test_a_machine_without_official_weights_is_told_that_a_cell_is_optional(tmp_path, monkeypatch, capsys):
    environment(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert quiz.deit_tiny() is None
    assert "this cell is optional" in capsys.readouterr().out


def test_official_weights_are_found_in_the_data_folder_and_among_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(quiz.minivit, "load", lambda file, **options: file)
    for folder, variable in ((tmp_path / "data" / "deit_tiny", "MINIVIT_DATA"), (tmp_path / "home", "MINIVIT_HOME")):
        environment(monkeypatch, tmp_path)
        folder.mkdir(parents=True)
        file = folder / f"{quiz.DEIT_TINY}.timm.safetensors"
        file.touch()
        monkeypatch.setenv(variable, str(tmp_path / "data" if variable == "MINIVIT_DATA" else folder))
        assert quiz.deit_tiny() == file
