"""Optimisers against their formulas in plain float64."""

import math

import numpy as np
import pytest

from minivit import params
from minivit.config import ViTConfig
from minivit.errors import InputError
from minivit.train import SGD, AdamW, Vector
from minivit.train.optimiser import from_bfloat16, round_to_bfloat16, to_bfloat16
from minivit.train.vector import CHUNK

RATES = (0.0, 0.05, 0.1, 0.07, 0.02)
SIZE = 2 * CHUNK + 5  # more than one chunk, and a rest


def run(optimiser, dtype, size=SIZE, steps=5):
    """(numbers after some steps, numbers before, the gradients)"""
    rng = np.random.default_rng(0)
    start = rng.standard_normal(size).astype(dtype)
    gradients = rng.standard_normal((steps, size)).astype(dtype)
    numbers, state = start.copy(), optimiser.start(size, dtype)
    for step in range(steps):
        optimiser.update(numbers, gradients[step], state, RATES[step], step)
    return numbers, start, gradients


def test_momentum_adds_up_past_gradients():
    numbers, theta, gradients = run(SGD(0.9, "float64"), np.float64)
    m = 0
    for rate, g in zip(RATES, gradients, strict=True):
        m = g + 0.9 * m
        theta = theta - rate * m  # with Nesterov: rate · (g + 0.9 m)
    np.testing.assert_allclose(numbers, theta, rtol=1e-13, atol=1e-14)


def test_float32_momentum_is_the_same_but_for_rounding():
    exact, single = run(SGD(0.9, "float64"), np.float64)[0], run(SGD(0.9, "float32"), np.float32)[0]
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=2e-6)


def nearest_bfloat16(x):
    """The bfloat16 nearest to a float64, ties to even, by scaling to 8 binary digits: another way than bits."""
    _, exponent = np.frexp(x)
    return np.ldexp(np.rint(np.ldexp(x, 8 - exponent)), exponent - 8)


def test_rounding_to_bfloat16_is_to_the_nearest_and_ties_go_to_even():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(10000) * 10.0 ** rng.integers(-20, 20, 10000)).astype(np.float32)
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 0.0, -0.0, 2.0**-126], np.float32)
    for numbers in (x, ties):
        np.testing.assert_array_equal(round_to_bfloat16(numbers), nearest_bfloat16(numbers.astype(np.float64)))
    assert round_to_bfloat16(0.9) == 0.8984375
    np.testing.assert_array_equal(to_bfloat16(from_bfloat16(to_bfloat16(x))), to_bfloat16(x))


def test_bfloat16_momentum_is_the_official_program_bit_for_bit():
    numbers, theta, gradients = run(SGD(), np.float32)
    m = np.zeros(SIZE)
    for rate, g in zip(RATES, gradients, strict=True):
        decayed = nearest_bfloat16(0.8984375 * m)  # bfloat16(0.9), and the product is rounded again
        u = (g + decayed).astype(np.float32)
        theta = theta - np.float32(rate) * u  # the step is taken with u before it is rounded
        m = nearest_bfloat16(u.astype(np.float64))
    np.testing.assert_array_equal(numbers, theta)


def test_the_bfloat16_buffer_takes_two_bytes_per_parameter():
    assert SGD().start(10, np.float32)["momentum"].nbytes == 20


def test_an_unknown_buffer_is_an_input_error():
    with pytest.raises(InputError, match="did you mean 'bfloat16'"):
        SGD(buffer="bfloat")


def adamw(theta, gradients, betas, eps, decay):
    """Algorithm 2 of arXiv:1711.05101, as it is written."""
    m = v = 0
    for t, (rate, g) in enumerate(zip(RATES, gradients, strict=True), start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        theta = theta - rate * (m_hat / (np.sqrt(v_hat) + eps) + decay * theta)
    return theta


@pytest.mark.parametrize("eps", [1e-8, 0.5])  # a large one shows where it stands
def test_adamw_is_the_formula_of_the_paper(eps):
    numbers, start, gradients = run(AdamW((0.8, 0.95), eps, weight_decay=0.3), np.float64)
    np.testing.assert_allclose(numbers, adamw(start, gradients, (0.8, 0.95), eps, 0.3), rtol=1e-12, atol=1e-14)


def test_adamw_in_float32_is_the_same_but_for_rounding():
    numbers, start, gradients = run(AdamW(), np.float32)
    exact = adamw(start.astype(np.float64), gradients.astype(np.float64), (0.9, 0.999), 1e-8, 0.05)
    np.testing.assert_allclose(numbers, exact, atol=2e-6)


def test_the_first_step_of_adam_is_as_long_as_the_rate_whatever_the_gradient():
    numbers, gradient = np.zeros(3), np.array([1e-3, -1.0, 1e3])
    optimiser = AdamW(weight_decay=0.0)
    optimiser.update(numbers, gradient, optimiser.start(3, np.float64), 0.1, 0)
    np.testing.assert_allclose(numbers, [-0.1, 0.1, -0.1], rtol=1e-4)


def test_weight_decay_is_not_part_of_the_gradient():
    # coupled decay (L2 in the gradient) would pass through √v: a step of `rate`, not of rate · λ · θ
    numbers, zero = np.array([10.0]), np.zeros(1)
    optimiser = AdamW(weight_decay=0.5)
    optimiser.update(numbers, zero, optimiser.start(1, np.float64), 0.1, 0)
    assert numbers[0] == pytest.approx(10 * (1 - 0.1 * 0.5), rel=1e-14)


def test_weight_decay_pulls_only_at_what_it_is_given():
    config = ViTConfig("small", patch=4, width=8, blocks=2, heads=2, mlp=16, classes=5, image=(12, 8))
    vector, before = Vector(params.seeded(config)), Vector(params.seeded(config))
    optimiser = AdamW(weight_decay=0.5, decayed=vector.matrices())
    optimiser.update(vector.numbers, vector.like().numbers, optimiser.start(len(vector), np.float32), 0.1, 0)
    for name, x in vector.flat.items():
        factor = 0.95 if name.endswith(".w") else 1
        np.testing.assert_allclose(x, factor * before.flat[name], rtol=1e-6)


def test_a_run_that_continues_from_its_saved_state_takes_the_same_steps():
    for optimiser in (SGD(), SGD(buffer="float32"), AdamW()):
        whole, numbers, gradients = run(optimiser, np.float32, size=100)
        state = optimiser.start(100, np.float32)
        for step, (rate, g) in enumerate(zip(RATES, gradients, strict=True)):
            state = {name: x.copy() for name, x in state.items()}  # saved and read again
            optimiser.update(numbers, g, state, rate, step)
        np.testing.assert_array_equal(numbers, whole)


def test_a_rate_of_zero_changes_no_parameter():
    for optimiser in (SGD(), AdamW()):
        numbers, start, _ = run(optimiser, np.float32, size=10, steps=1)
        assert math.isclose(RATES[0], 0)
        np.testing.assert_array_equal(numbers, start)
