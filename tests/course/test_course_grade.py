"""`minivit grade`: every task in a process of its own, points, text, JSON and Gradescope's JSON."""

import json
import time

import pytest

from minivit import cli
from minivit.course import assignments, grading, report

RIGHT = """import numpy as np
def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
"""
ENDLESS = "def layernorm(x, scale, bias, eps):\n    while True: pass\n"
CRASH = "import ctypes\ndef gelu_tanh(x):\n    ctypes.string_at(0)\n"
LEAVES = "import os\ndef gelu_erf(x):\n    print('done'); os._exit(0)\n"
GREEDY = "import numpy as np\ndef mix(probs, v):\n    return [np.zeros(2**28) for _ in range(99)]\n"
VERSION = assignments.table()[0]


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """The report of a folder in which everything goes wrong that can, except for one task, and how long it took."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "A2.py").write_text(
        f"# minivit assignment A2, version 0.1\n{RIGHT}{ENDLESS}{CRASH}{LEAVES}", encoding="utf-8"
    )
    (folder / "A9.py").write_text("def mix(:\n", encoding="utf-8")
    start = time.monotonic()
    return grading.grade(folder, hidden=3, seconds=12), time.monotonic() - start


def test_what_goes_wrong_in_one_task_costs_that_task_only(bad):
    found, seconds = bad
    assert [result.score for result in found.results] == [3, 0, 0, 0]
    assert (found.score, found.points) == (3, 11)
    endless, crash, leaves = (result.first.message for result in found.results[1:])
    assert endless == "not done after 12 s, and stopped: is there a loop that does not end?"
    assert crash.startswith("the process was ended by SIGSEGV") or "exit code" in crash
    assert leaves == "Python ended (exit code 0) before there was a result: is there an exit() in it?"
    assert seconds < 60


@pytest.mark.skipif("linux" not in __import__("sys").platform, reason="only Linux limits the memory of a process")
def test_a_huge_allocation_ends_at_the_limit(tmp_path):
    (tmp_path / "A3.py").write_text(GREEDY, encoding="utf-8")
    result = grading.in_process(assignments.task("A3.3"), tmp_path, None, 60, 3000)
    assert result.first.message.startswith(("out of memory, at `return [np.zeros(2**28)", "the process was ended by"))


def test_the_text_has_points_reasons_problems_and_versions(bad):
    text = report.table(bad[0])
    assert "✓  A2.1  softmax    3 of 3" in text
    assert "✗ A2.2 layernorm: no result\n  not done after 12 s" in text
    assert "! A9.py, from line 1 was left out: " in text
    assert f"! A2 was handed out in version 0.1 and is graded with {VERSION}" in text
    assert text.endswith(f"3 of 11 points (assignments {VERSION}, with hidden checks)")


def test_the_json_has_all_of_it(bad):
    found = json.loads(json.dumps(report.as_json(bad[0])))
    assert (found["score"], found["points"], found["hidden"]) == (3, 11, True)
    assert found["assignments"] == {"graded_with": VERSION, "handed_out": {"A2": "0.1"}}
    assert found["tasks"][0]["status"] == "right" and any(check["hidden"] for check in found["tasks"][0]["checks"])
    assert found["tasks"][1]["checks"][0]["message"].startswith("not done")


def test_gradescopes_json_is_as_gradescope_wants_it(bad):
    found = report.gradescope(bad[0])
    assert found["score"] == 3 and sum(test["max_score"] for test in found["tests"]) == 11
    assert {test["status"] for test in found["tests"]} == {"passed", "failed"}
    assert all(set(test) == {"name", "score", "max_score", "status", "output", "visibility"} for test in found["tests"])
    assert "version 0.1" in found["output"] and found["extra_data"]["graded_with"] == VERSION


def test_the_command_prints_json_writes_gradescopes_and_counts(tmp_path, capsys):
    (tmp_path / "A4.py").write_text("def mlp(): pass\n", encoding="utf-8")
    results = tmp_path / "results.json"
    assert cli.main(["grade", str(tmp_path), "--json", "--gradescope", str(results)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [task["id"] for task in found["tasks"]] == ["A4.1", "A4.2", "A4.3", "A4.4"] and found["points"] == 15
    assert "mlp takes (), expected (p, x, config)" in found["tasks"][0]["checks"][0]["message"]
    assert "there is no function block" in found["tasks"][1]["checks"][0]["message"]
    assert json.loads(results.read_text(encoding="utf-8"))["score"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{}", "--only", "A9"], "there is no assignment 'A9'"),
        (["{}/missing"], "there is no such folder"),
        (["{}", "--hidden", "{}/A2.py"], "is no hidden.json"),
        (["{}", "--hidden", "{}/missing.json"], "cannot read"),
        (["{}", "--hidden", "{}/old.json"], "is of version 0.1, the assignments here of"),
        (["{}", "--seconds", "0"], "should be larger than zero"),
    ],
)
def test_bad_input_is_one_line(arguments, said, tmp_path, capsys):
    (tmp_path / "A2.py").write_text(RIGHT, encoding="utf-8")
    (tmp_path / "old.json").write_text('{"seed": 12345678, "version": "0.1"}', encoding="utf-8")
    assert cli.main(["grade", *(argument.format(tmp_path) for argument in arguments)]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
