"""A right answer that costs too much is told so: it is slow, reads too often, or holds too much."""

import sys

import numpy as np
import pytest

from minivit.course import assignments, checker, counting, inject, source
from minivit.errors import InputError
from minivit.gpu.sim_cuda import cuda

TASKS = assignments.table()[2]


def without_tiles(x, w, y, M, K, N):
    row, column = cuda.blockIdx.y * 8 + cuda.threadIdx.y, cuda.blockIdx.x * 8 + cuda.threadIdx.x
    if row < M and column < N:
        total = np.float32(0)
        for k in range(K):
            total += x[row * K + k] * w[column * K + k]
        y[row * N + column] = total


def with_all_scores(q, k, v, tile):
    s = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
    largest = s.max(-1, keepdims=True)
    e = np.exp(s - largest)
    total = e.sum(-1, keepdims=True)
    return e / total @ v, (largest + np.log(total))[..., 0]


@pytest.mark.parametrize(
    ("id", "function", "said", "verdict"),
    [
        ("A8.1", without_tiles, "reads 8 times as many numbers from memory as tiles need",
         "right, but reads too often"),
        ("A8.2", with_all_scores, "MB at one time, expected at most 3.1, which is without an N×N array",
         "right, but large"),
    ],
)  # fmt: skip
def test_a_right_answer_that_costs_too_much_gets_no_points_and_the_hint_of_its_task(id, function, said, verdict):
    result = checker.run(TASKS[id], function)
    assert all(check.ok for check in result.checks[:-1]) and said in result.first.message
    assert (result.score, result.mistake, result.hint) == (0, verdict, TASKS[id].slow)


def test_a_kernel_that_is_not_compiled_is_slow():
    result = checker.run(TASKS["A7.1"], source.build(TASKS["A7.1"], source.solution(TASKS["A7.1"], decorators=False)))
    assert (result.score, result.mistake, result.hint) == (0, "right, but slow", TASKS["A7.1"].slow)


def test_every_task_with_a_cost_says_what_to_think_of():
    assert {id for id, task in TASKS.items() if task.slow} == {"A7.1", "A7.2", "A8.1", "A8.2"}


def test_what_goes_wrong_in_a_thread_is_told_with_the_line_of_the_kernel():
    def reads_past_the_end(x, w, y, M, K, N):
        y[0] = x[9999]

    said = checker.run(TASKS["A8.1"], reads_past_the_end).first.message
    assert said.startswith("KernelError: IndexError in block (0, 0, 0), thread (0, 0, 0): index 9999")
    assert said.endswith("at `y[0] = x[9999]`")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, TASKS["A8.1"].module, raising=False)
    for name in [name for name in sys.modules if name.startswith("minivit.gpu.sim")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "greenlet", None)
    with pytest.raises(InputError, match=r"A8\.1 needs greenlet, which is not installed: pip install greenlet"):
        inject.original(TASKS["A8.1"])


def test_a_counted_array_counts_what_is_taken_out_and_is_the_same_memory():
    plain = np.arange(12.0).reshape(3, 4)
    array = counting.counted(plain)
    assert array[1, 2] == 6 and array[0].sum() == 6
    array[2, 3] = -1
    assert array.numbers_read == 5 and plain[2, 3] == -1
    assert counting.counted(plain).numbers_read == 0


def test_shared_arrays_count_inside_the_block_and_not_behind_it():
    from minivit.gpu import sim_cuda

    before, x = sim_cuda.poisoned, np.ones(64, np.float32)
    with counting.counting_shared() as shared:
        from minivit.course.cases.a8 import run

        run(inject.original(TASKS["A8.1"]), x, x, 8, 8, None)
    assert [array.numbers_read for array in shared] == [8 * 64, 8 * 64]
    assert sim_cuda.poisoned is before
