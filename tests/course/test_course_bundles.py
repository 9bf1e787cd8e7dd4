"""The bundles: nothing leaks, unwritten tasks say so, solutions put back get all points, strict means strict."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from minivit import cli
from minivit.course import assignments, bundle, handout, leaks, source, submission
from minivit.errors import InputError

_, TITLES, TASKS = assignments.table()
SEED = 918273645546


@pytest.fixture(scope="module")
def instructors(tmp_path_factory):
    """The instructor's bundle, with the strict students' bundle in it."""
    folder = tmp_path_factory.mktemp("course") / "instructors"
    bundle.instructors(folder, strict=True, seed=SEED)
    return folder


@pytest.fixture(scope="module")
def students(instructors):
    return instructors / "students"


def with_library(folder, code, cwd):
    """What Python prints when it takes minivit from a bundle."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "library"), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "utf8", "-B", "-c", code]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def code_of(path):
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]


def test_the_students_bundle_holds_the_assignments_the_library_and_how_to_begin(students):
    names = sorted(path.name for path in students.iterdir())
    assert names == sorted([*(f"{handout.file_name(a)}.ipynb" for a in TITLES), "README.md", "library"])
    assert (students / "library" / "weights" / "minivit-cifar10.safetensors").is_file()


def test_nothing_leaks(students):
    assert leaks.scan(students, strict=True, seed=SEED) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("A1.py", "    return probs @ v  # mine\n", "solution of A3.3"),
        ("A1.py", "### BEGIN SOLUTION\n", "marker '### BEGIN'"),
        ("A1.ipynb", '{"cells": [{"cell_type": "code", "source": [], "outputs": [1]}]}', "an output"),
        ("library/minivit/x.py", "def mix(probs, v):\n    # x\n    return probs @ v\n", "solution of A3.3"),
        ("library/minivit/x.cpython-311.pyc", "", "not a file to hand out"),
        ("library/__pycache__/x.py", "", "not a file to hand out"),
        ("library/fast.so", "", "not a file to hand out"),
        ("notes.md", f"the seed is {SEED}", "the hidden seed"),
    ],
)
def test_the_scan_finds_a_planted_leak(name, content, said, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    found = leaks.scan(tmp_path, strict=True, seed=SEED)
    assert len(found) == 1 and found[0].startswith(f"{name}: {said}")


def test_a_leak_stops_the_build_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "stub", lambda task: source.solution(task))
    with pytest.raises(InputError, match=r"leaks in the students' bundle: A1_an_image_is_a_sequence\.ipynb: solution"):
        bundle.students(tmp_path / "handout")
    assert not list(tmp_path.iterdir())


def test_a_strict_library_has_no_taught_body_and_no_planted_mistake(students):
    library = students / "library" / "minivit"
    for task in TASKS.values():
        text = students.joinpath("library", *task.module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        assert text.count(f'raise NotImplementedError("{source.message(task)}")') == len(task.taught)
    assert not list(library.rglob("misconceptions/*.toml"))
    assert len(list((library / "course" / "recorded").glob("*.npz"))) == len(TASKS)


def test_with_a_strict_library_every_task_says_only_that_it_is_not_written(students, tmp_path):
    code = "from minivit.course import assignments, submission, worker, report\nfound = submission.read({!r})\n"
    code += "for task in assignments.table()[2].values(): print(report.text(worker.grade(task, found)))"
    lines = with_library(students, code.format(str(students)), tmp_path).splitlines()
    about = {id: source.message(task).partition(": ")[2] for id, task in TASKS.items()}
    assert lines == [f"… {id} {TASKS[id].title}: not written yet ({about[id]})" for id in TASKS]


def test_with_a_strict_library_solutions_put_back_are_right_and_mistakes_are_named(students, instructors, tmp_path):
    for path in (instructors / "source").glob("A[1-68]*.ipynb"):
        text = path.read_text(encoding="utf-8")
        if path.name.startswith("A6"):
            text = text.replace("dy.sum(rows)", "dy.mean(rows)")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    code = "from minivit.course import assignments, submission, worker, report\nfound = submission.read('.')\n"
    code += "for task in assignments.table()[2].values():\n"
    code += "    if task.assignment != 'A7': print(report.text(worker.grade(task, found)))"
    said = with_library(students, code, tmp_path)
    assert said.count("✓ right") == len(TASKS) - 3  # the one with the mistake, and two kernels
    assert "✗ A6.2 layernorm_backward: several tokens\n" in said and "This looks like: dbias averaged." in said


def test_with_a_strict_library_a_function_is_checked_at_the_prompt(students, tmp_path):
    code = "from minivit.course import check\n"
    code += "check('A3.1', lambda q, k: q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5)\n"
    code += "check('A3.2', lambda q, k, v, ops: ops.mix(ops.softmax(ops.scores(q, k)), v))\n"
    right, wrong, why = with_library(students, code, tmp_path).splitlines()
    assert right == "✓ right: A3.1 scores (10 checks; not tried inside a whole model: needs A4.4)"
    assert (wrong, why) == ("✗ A3.2 attention: what it calls", "  needs A3.1 scores first")


def test_a_strict_library_makes_no_bundle(students, tmp_path):
    code = (
        "import sys; from minivit.cli import main; sys.stderr = sys.stdout; main(['course', 'build', '--student', 'x'])"
    )
    assert "this is a student's minivit, without solutions" in with_library(students, code, tmp_path)


def test_the_hidden_seed_and_the_solutions_are_the_instructors_only(instructors, students):
    assert json.loads((instructors / "hidden.json").read_text(encoding="utf-8"))["seed"] == SEED
    for path in students.rglob("*"):
        assert not path.is_file() or str(SEED).encode() not in path.read_bytes()
    for path in (instructors / "source").glob("*.ipynb"):
        cells = code_of(path)
        assert sum("### BEGIN SOLUTION" in "".join(c["source"]) for c in cells) == len(assignments.of(path.name[:2]))
        assert sum(f"hidden={SEED}" in "".join(c["source"]) for c in cells) == len(assignments.of(path.name[:2]))


def test_the_cells_carry_nbgraders_metadata(students):
    for assignment in TITLES:
        marked = [c["metadata"]["nbgrader"] for c in code_of(students / f"{handout.file_name(assignment)}.ipynb")[1:]]
        assert all(m["schema_version"] == 3 and m["task"] is False for m in marked)
        assert [m["solution"] for m in marked] == [True, False] * (len(marked) // 2)
        assert [m["grade"] for m in marked] == [m["locked"] for m in marked] == [not m["solution"] for m in marked]
        assert sum(m.get("points", 0) for m in marked) == sum(task.points for task in assignments.of(assignment))


def test_the_notebooks_are_valid(instructors, students):
    nbformat = pytest.importorskip("nbformat")
    for path in [*students.glob("A1*.ipynb"), *(instructors / "source").glob("A5*.ipynb")]:
        nbformat.validate(nbformat.read(path, as_version=4))


def test_gradescopes_zip_can_be_run_there(instructors):
    with zipfile.ZipFile(instructors / "gradescope.zip") as archive:
        assert {"setup.sh", "run_autograder", "hidden.json", "library/pyproject.toml"} <= set(archive.namelist())
        assert archive.getinfo("run_autograder").external_attr >> 16 & 0o111
        assert not [name for name in archive.namelist() if name.endswith(".pyc")]
        for name in ("setup.sh", "run_autograder"):
            subprocess.run(["bash", "-n"], input=archive.read(name), check=True)


def test_scripts_hold_the_same_and_are_read_back(tmp_path):
    bundle.students(tmp_path / "new", scripts=True)
    found = submission.read(tmp_path / "new")
    assert not found.problems and found.versions == dict.fromkeys(TITLES, assignments.table()[0])
    assert all(len(found.files_with(task.name)) == 1 for task in TASKS.values())


def test_the_same_cells_give_the_same_bytes():
    assert handout.notebook(handout.cells("A3")) == handout.notebook(handout.cells("A3"))
    assert handout.notebook(handout.cells("A3", strict=True)) != handout.notebook(handout.cells("A3"))


def test_the_command_refuses_what_it_cannot_do_in_one_line(tmp_path, capsys):
    Path(tmp_path, "full").mkdir()
    Path(tmp_path, "full", "file").touch()
    for arguments, said in (
        (["build"], "nothing to build: say --student DIR"),
        (["build", "--student", str(tmp_path / "full")], "is there already, expected a new or empty folder"),
        (["build", "--instructor", str(tmp_path / "new"), "--seed", "7"], "expected at least seven digits"),
        (["make"], "unknown"),
    ):
        assert cli.main(["course", *arguments]) == 2
        assert said in capsys.readouterr().err
    assert cli.main(["course", "tasks", "--json"]) == 0
    assert [row["task"] for row in json.loads(capsys.readouterr().out)] == list(TASKS)
