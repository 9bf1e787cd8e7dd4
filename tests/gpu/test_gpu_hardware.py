"""The checks of gpu_checks.py, where there is a GPU; and that a refused call leaves the process usable."""

import numpy as np
import pytest

from minivit import tiers
from minivit.errors import InputError

OBSTACLE = tiers.obstacle("gpu")


def all_checks():
    if OBSTACLE:
        return []
    import gpu_checks

    return list(gpu_checks.checks())


@pytest.mark.parametrize("check", all_checks() or [None], ids=lambda check: check.name if check else "no GPU")
def test_the_gpu_agrees_with_float64(check):
    if OBSTACLE:
        pytest.skip(OBSTACLE)
    error, tolerance = check.run()
    assert error <= tolerance


def test_a_refused_call_leaves_the_process_usable():
    if OBSTACLE:
        pytest.skip(OBSTACLE)
    ops = tiers.load("gpu")
    x = np.ones((3, 4), np.float32)
    with pytest.raises(InputError):
        ops.linear(x, np.ones((5, 6), np.float32))
    assert np.array_equal(np.asarray(ops.linear(x, np.ones((4, 6), np.float32))), np.full((3, 6), 4))
