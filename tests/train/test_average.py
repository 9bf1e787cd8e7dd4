"""The moving average of the parameters."""

import numpy as np
import pytest

from minivit.train import average
from minivit.train.vector import CHUNK


def test_the_average_moves_by_its_share():
    mean, numbers = np.array([1.0, 2.0]), np.array([3.0, 2.0])
    average.update(mean, numbers, step=10**9, decay=0.9)
    np.testing.assert_allclose(mean, [1.2, 2.0], rtol=1e-15)


def test_the_decay_warms_up():
    assert [average.decay_at(step, 0.9) for step in (0, 10, 10**6)] == [0.1, 0.55, 0.9]


def test_the_start_of_a_run_is_forgotten_soon():
    mean = np.full(1, 1000.0)
    for step in range(100):
        average.update(mean, np.ones(1), step, decay=0.9999)
    assert mean[0] == pytest.approx(1, abs=1e-3)  # with 0.9999 from the first step on it would still be 991


def test_long_vectors_are_averaged_to_their_end():
    mean = np.zeros(2 * CHUNK + 1, np.float32)
    average.update(mean, np.ones_like(mean), step=10**9, decay=0.75)
    np.testing.assert_array_equal(mean, 0.25)
