"""Planted mistakes are named, and nothing else; different right answers pass; unwritten tasks say so."""

import re

import numpy as np
import pytest
from other_answers import all_answers

from minivit.course import assignments, cases, check, checker, inject, leaks, misconceptions, report, source, whole

TASKS = assignments.table()[2]
each_task = pytest.mark.parametrize("id", TASKS)
ANSWERS = all_answers()
PLANTED = {(id, mistake.name): mistake for id in TASKS for mistake in misconceptions.of(TASKS[id])}


@each_task
def test_each_planted_mistake_gets_its_own_hint_and_no_other(id):
    for mistake in misconceptions.of(TASKS[id]):
        result = checker.run(TASKS[id], mistake.function(TASKS[id]), hidden=5)
        assert (result.status, result.mistake, result.hint) == (checker.WRONG, mistake.name, mistake.hint)
        assert result.score == 0


def test_there_are_enough_mistakes_and_every_task_has_some():
    assert len(PLANTED) >= 60
    assert all(len(misconceptions.of(task)) >= 4 for task in TASKS.values())


def test_hints_do_not_show_the_solution():
    lines, _ = leaks.solution_lines()
    for (id, _), mistake in PLANTED.items():
        assert not any(line in mistake.hint for line in lines)
        assert not mistake.right or mistake.right.strip() not in mistake.hint
        code = re.sub(r"range\(n\)|exp\(1000\)|grid\[0\]", "", mistake.hint)  # in questions and examples
        assert not re.search(r"\w\(|\w\[|@|==|\bnp\.", code)
        assert len(mistake.hint) > 20, id


@each_task
def test_different_right_answers_pass(id):
    assert len(ANSWERS[id]) >= 2
    for function in ANSWERS[id]:
        result = checker.run(TASKS[id], function, hidden=6)
        assert result.status == checker.RIGHT and result.score == result.points, report.text(result)


@each_task
def test_the_librarys_own_text_is_right_and_gets_all_points(id):
    function = source.build(TASKS[id], source.solution(TASKS[id]))
    result = checker.run(TASKS[id], function, hidden=7)
    assert result.status == checker.RIGHT and result.score == result.points, report.text(result)


@each_task
def test_an_unwritten_task_says_that_and_nothing_else(id):
    function = source.build(TASKS[id], source.stub(TASKS[id]))
    result = checker.run(TASKS[id], function)
    assert result.status == checker.TODO and not result.checks and not result.mistake
    assert report.text(result) == f"… {id} {TASKS[id].title}: not written yet ({result.remark})"
    assert re.fullmatch(r"about \d+ lines?", result.remark)


@each_task
def test_a_stub_keeps_signature_docstring_and_shapes_and_raises_its_message(id):
    stub, whole = source.stub(TASKS[id]), source.solution(TASKS[id])
    *head, last = stub.splitlines()
    assert "\n".join(head) in whole
    assert any("->" in line for line in head)
    assert last == f'    raise NotImplementedError("{source.message(TASKS[id])}")'


def test_names_are_unique_and_points_positive():
    assert len({task.name for task in TASKS.values()}) == len(TASKS)
    assert all(task.points > 0 and task.text for task in TASKS.values())


def test_a_task_stands_alone_though_another_one_in_the_same_file_is_wrong(capsys):
    names = {"np": np}
    exec(
        "def softmax(x):\n    return x\n"
        "def helper(x):\n    return softmax(x)\n"
        "def attend(q, k, v):\n    return helper(q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5) @ v\n",
        names,
    )
    assert check("A3.2", names["attend"])
    assert not check("A2.1", names["softmax"])
    assert capsys.readouterr().out.count("✓ right") == 1


def test_the_library_is_as_before_after_a_check():
    from minivit.ops.softmax import ref

    before = ref.softmax
    checker.run(TASKS["A2.1"], lambda x: x)
    assert ref.softmax is before


def test_the_first_wrong_case_is_told_with_what_came_and_what_was_expected(capsys):
    result = check("A2.1", lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True))
    out = capsys.readouterr().out
    assert out.startswith("✗ A2.1 softmax: large numbers\n  nan at [0, 0], expected ")
    assert "maximum not subtracted. What is exp(1000)" in out
    assert not result and result.first.name == "large numbers"


def test_a_hidden_check_tells_only_its_title():
    seen = {str(case(np.random.default_rng([0, *title.encode()]))[0].shape) for title, case in cases_of("A2.1")}

    def only_known_sizes(x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True) if str(x.shape) in seen else x

    assert checker.run(TASKS["A2.1"], only_known_sizes).first.name.startswith("inside")
    result = checker.run(TASKS["A2.1"], only_known_sizes, hidden=12345)
    assert result.first.hidden and result.first.message == "with other sizes and numbers"


def cases_of(id):
    return cases.of(TASKS[id]).all_cases().items()


@pytest.mark.parametrize(("id", "what"), [("A2.1", "tensors"), ("A6.4", "gradients")])
def test_the_official_programs_own_numbers_are_compared_too(id, what):
    right = inject.original(TASKS[id])
    with inject.installed({TASKS[id]: inject.independent(TASKS[id], right)}):
        assert [check.ok for check in whole.official(TASKS[id])] == [True]
    with inject.installed({TASKS[id]: lambda *inputs, **named: right(*inputs, **named) * 1.01}):
        [check] = whole.official(TASKS[id])
    assert not check.ok and f"differ from the official program's {what}; the first is " in check.message
