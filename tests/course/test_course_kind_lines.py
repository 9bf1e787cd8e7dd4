"""Whatever comes instead of the expected array: one line says what came and what was expected."""

import math

import numpy as np
import pytest

from minivit.course import assignments, check, checker
from minivit.errors import InputError
from minivit.ops.layernorm.ref import layernorm
from minivit.ops.linear.ref import linear_backward
from minivit.ops.softmax.ref import softmax


def nan_for_long_rows(x):
    return softmax(x) if x.shape[-1] < 3 else x * np.nan


def in_place(x):
    x -= x.max(-1, keepdims=True)
    return softmax(x)


def no_copy_of_one_token(probs, v):
    return v if v.shape[2] == 1 else probs @ v


def exits(x):
    raise SystemExit(3)


def endless_recursion(x):
    return endless_recursion(x)


def too_large(x):
    return np.ones((10**7, 10**7))


LINES = [
    ("A2.1", lambda x: softmax(x).tolist(), "a list came back, expected a NumPy array of shape 1×1"),
    ("A2.1", lambda x: None, "nothing came back (None), expected a NumPy array of shape 1×1: is the `return` missing?"),
    ("A2.1", lambda x: (softmax(x), x), "2 results came back, expected one: a NumPy array of shape 1×1"),
    ("A2.1", lambda x: softmax(x)[0], "an array of 1 axes 1 came back, expected an array of 2 axes 1×1"),
    ("A2.1", lambda x: softmax(x).sum(), "a single number came back, expected an array of 2 axes 1×1"),
    ("A2.1", lambda x: np.array("text"), "an array of <U4 came back, expected a NumPy array of shape 1×1"),
    ("A2.1", lambda x: np.concatenate([softmax(x)] * 2), "shape 2×1 came back, expected 1×1"),
    ("A2.1", nan_for_long_rows, "nan at [0, 0], expected 0.042"),
    ("A2.1", lambda x: softmax(x.astype(float)), "float64 came back, expected float32 here: a float64 array or number"),
    ("A2.1", lambda x: softmax(np.float32(x)), "float32 came back, expected float64 here"),
    ("A2.1", in_place, "an input of shape 1×1 was changed, expected it untouched: work on a copy"),
    ("A2.1", lambda x, axis: x, "softmax takes (x, axis), expected (x)"),
    ("A2.1", lambda: 0, "softmax takes (), expected (x)"),
    ("A2.1", np.ones(3), "softmax is ndarray, expected a function"),
    ("A2.1", exits, "the function ended Python (sys.exit), at `raise SystemExit(3)`"),
    ("A2.1", endless_recursion, "RecursionError: maximum recursion depth exceeded"),
    ("A2.1", too_large, "out of memory, at `return np.ones((10**7, 10**7))`"),
    ("A2.1", lambda x: x.reshape(7), "ValueError: cannot reshape array of size 1 into shape (7,), at `"),
    (
        "A2.2",
        lambda x, s, b, e: layernorm(x[None], s, b, e),
        "an array of 3 axes 1×1×4 came back, expected an array of 2",
    ),
    ("A3.3", no_copy_of_one_token, "the result is a view of the input, expected an array of its own: .copy()"),
    ("A5.4", lambda a, g: np.maximum(a * g, 0).mean(1), "float32 came back, expected float64 here"),
    ("A6.1", lambda dy, x, w: linear_backward(dy, x, w)[0], "a ndarray came back, expected 3 arrays: return a, b"),
    ("A6.1", lambda dy, x, w: linear_backward(dy, x, w)[:2], "2 results came back, expected 3"),
    ("A6.1", lambda dy, x, w: (x, *linear_backward(dy, x, w)[1:]), "result 1 of 3: "),
    ("A7.1", lambda x, scale, bias, eps, y: y * 2, "nan at [0, 0], expected"),
]


@pytest.mark.parametrize(("id", "function", "line"), LINES, ids=[f"{id}: {line[:40]}" for id, _, line in LINES])
def test_a_kind_line(id, function, line, capsys):
    result = check(id, function)
    assert not result and result.score == 0
    assert line in result.first.message and "\n" not in result.first.message
    assert f"  {result.first.message}\n" in capsys.readouterr().out


def test_a_few_mistakes_in_one_number_are_told_with_enough_digits():
    result = checker.run(assignments.task("A2.3"), lambda x: 0.5 * x * (1 + np.tanh(0.7978 * (x + 0.044715 * x**3))))
    came, _, wanted = result.first.message.partition(", expected ")
    assert came.split()[0] != wanted.split()[0]


def test_an_unknown_task_is_named_with_its_neighbours():
    with pytest.raises(InputError, match=r"there is no task 'A3.9'; did you mean 'A3.\d'"):
        check("A3.9", math.sqrt)
    with pytest.raises(InputError, match=r"A1\.1 to A8\.2"):
        check("softmax", softmax)


def test_a_task_that_needs_an_unwritten_one_says_which():
    def waits(*inputs):
        raise NotImplementedError("A2.1 softmax: about 4 lines")

    result = checker.run(assignments.task("A3.2"), waits)
    assert (result.status, result.first.message) == (checker.WRONG, "needs A2.1 softmax first")
