"""Learning rates and clipping."""

import math

import numpy as np
import pytest

from minivit.errors import InputError
from minivit.train import clip, learning_rate
from minivit.train.vector import CHUNK


def test_the_counter_starts_at_zero_so_the_first_step_of_a_warm_up_has_rate_zero():
    assert [learning_rate(step, 100, 4, 0.2) for step in range(5)] == [0, 0.05, 0.1, pytest.approx(0.15), 0.2]


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert learning_rate(0, 100, 0, 0.2) == learning_rate(0, 100, 0, 0.2, "linear") == 0.2


def test_cosine_is_at_half_its_base_half_way_between_warm_up_and_end():
    assert learning_rate(60, 100, 20, 0.2) == pytest.approx(0.1, rel=1e-14)
    assert learning_rate(40, 100, 20, 0.2) == pytest.approx(0.1 * (1 + math.sqrt(0.5)), rel=1e-14)
    assert learning_rate(100, 100, 20, 0.2) == 0


def test_linear_ends_at_its_end():
    assert learning_rate(60, 100, 20, 0.2, "linear", end=0.1) == pytest.approx(0.15, rel=1e-14)
    assert learning_rate(100, 100, 20, 0.2, "linear") == pytest.approx(1e-5, rel=1e-14)


def test_the_rate_stays_where_it_is_after_the_end():
    assert learning_rate(150, 100, 20, 0.2, "linear", end=0.1) == 0.1


def test_a_warm_up_as_long_as_the_run_never_decays():
    assert [learning_rate(step, 4, 4, 0.2) for step in (1, 4)] == [0.05, 0.2]


def test_an_unknown_decay_is_an_input_error():
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        learning_rate(0, 10, 0, 0.1, "cosin")


def test_a_gradient_above_the_limit_is_scaled_to_it_exactly():
    g = np.array([3.0, 4.0])  # an epsilon beside the norm, 5, would show in the last digits
    assert clip(g, 0.5) == 5
    np.testing.assert_allclose(g, [0.3, 0.4], rtol=1e-15)


def test_a_gradient_below_the_limit_is_not_touched():
    g = np.array([0.3, 0.4], np.float32)
    before = g.copy()
    assert clip(g, 0.6) == pytest.approx(0.5)
    assert clip(g) == pytest.approx(0.5)
    np.testing.assert_array_equal(g, before)


def test_the_norm_is_summed_in_float64():
    g = np.full(40 * CHUNK + 3, 0.1, np.float32)
    assert clip(g) == pytest.approx(float(np.float32(0.1)) * math.sqrt(len(g)), rel=1e-12)
    assert clip(np.full(4, 1e30, np.float32)) == pytest.approx(2e30)  # whose square is not a float32


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_left_for_the_search(bad):
    g = np.array([3.0, bad, 4.0])
    assert not math.isfinite(clip(g, 1.0))
    np.testing.assert_array_equal(g, [3, bad, 4])
