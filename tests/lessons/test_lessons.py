"""The lessons: their notebooks are up to date, run from top to bottom, and their questions have right answers."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

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


def run(source, folder, **environment):
    """The output of a lesson's source, on a machine that has nothing but `environment`."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    command = [sys.executable, "-X", "utf8", str(source)]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_all_answers_are_right(source, out):
    assert out.count("✓ right") == source.read_text(encoding="utf-8").count("\ncheck(") > 0
    assert "✗" not in out


@each_lesson
def test_the_notebook_is_the_one_that_the_source_gives(source):
    assert source.with_suffix(".ipynb").read_text(encoding="utf-8") == build.notebook(
        source.read_text(encoding="utf-8")
    )


@each_lesson
def test_the_source_runs_with_random_weights_and_its_answers_are_right(source, tmp_path):
    out = run(source, tmp_path)
    assert "never trained" in out
    assert_all_answers_are_right(source, out)


@pytest.mark.skipif("MINIVIT_DATA" not in os.environ, reason="MINIVIT_DATA is not set: no trained weights")
@each_lesson
def test_the_source_runs_with_trained_weights_and_its_answers_are_right(source, tmp_path):
    out = run(source, tmp_path, MINIVIT_DATA=os.environ["MINIVIT_DATA"])
    assert "trained: " in out
    assert_all_answers_are_right(source, out)


@each_lesson
def test_the_notebook_runs_from_top_to_bottom_and_shows_its_pictures(source, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    book = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(book)
    nbclient.NotebookClient(
        book, timeout=60, kernel_name="python3", resources={"metadata": {"path": LESSONS}}
    ).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 5
    said = "".join(output.get("text", "") for output in outputs)
    assert said.count("your turn") == sum("check(answer" in cell.source for cell in book.cells) > 0


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
