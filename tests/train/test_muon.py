"""Muon: orthogonal steps for the matrices of the blocks, AdamW for the rest."""

import numpy as np
import pytest

from minivit import params
from minivit.config import ViTConfig
from minivit.train import AdamW, Muon, Vector
from minivit.train.muon import orthogonal
from minivit.train.recipe import Recipe

CONFIG = ViTConfig("small", patch=4, width=16, blocks=2, heads=2, mlp=32, classes=5, image=(12, 8))
RATES = (0.0, 0.1, 0.05)
rng = np.random.default_rng(0)


def run(dtype=np.float64, decay=0.5):
    """({name: numbers after some steps}, {name: numbers before}, [{name: gradient}])"""
    vector, before = (Vector(params.seeded(CONFIG), dtype) for _ in range(2))
    gradients = [Vector(params.seeded(CONFIG, seed), dtype) for seed in (1, 2, 3)]
    optimiser = Recipe(epochs=1, optimiser="muon", weight_decay=decay).optimiser_for(vector)
    state = optimiser.start(len(vector), dtype)
    for step, (rate, gradient) in enumerate(zip(RATES, gradients, strict=True)):
        optimiser.update(vector.numbers, gradient.numbers, state, rate, step)
    return vector.flat, before.flat, [gradient.flat for gradient in gradients]


def near_orthogonal(u):
    """The published iteration on the singular values alone: U p(S) Vᵀ."""
    U, S, Vt = np.linalg.svd(u, full_matrices=False)
    S = S / np.linalg.norm(S)
    for _ in range(5):
        S = 3.4445 * S - 4.7750 * S**3 + 2.0315 * S**5
    return U * S @ Vt


@pytest.mark.parametrize("shape", [(16, 16), (16, 40), (40, 16)])
def test_a_matrix_becomes_u_v_transposed_with_singular_values_near_one(shape):
    u = rng.standard_normal(shape)
    np.testing.assert_allclose(orthogonal(u), near_orthogonal(u), atol=1e-6)
    if shape != (16, 16):  # a square matrix has tiny ones, which five steps do not lift
        assert np.all(np.abs(np.linalg.svd(orthogonal(u))[1] - 1) < 0.35)


def test_zero_stays_zero_and_size_does_not_matter():
    u = rng.standard_normal((8, 24))
    assert not orthogonal(0 * u).any()
    np.testing.assert_allclose(orthogonal(1e3 * u), orthogonal(u), atol=1e-6)


@pytest.mark.parametrize("name", ["attn.out.w", "mlp.fc1.w", "mlp.fc2.w", "attn.qkv.w"])
def test_matrices_of_the_blocks_take_the_steps_of_the_formula_and_query_key_value_each_their_own(name):
    after, theta, gradients = run()
    name = f"blocks.1.{name}"
    theta, m = theta[name], 0
    for rate, gradient in zip(RATES, gradients, strict=True):
        m = 0.95 * m + gradient[name]
        u = gradient[name] + 0.95 * m
        parts = np.split(u, 3, 1) if "qkv" in name else [u]
        step = np.concatenate([0.2 * max(part.shape) ** 0.5 * near_orthogonal(part) for part in parts], 1)
        theta = theta - rate * (0.5 * theta + step)
    np.testing.assert_allclose(after[name], theta, atol=1e-6)


def test_all_else_is_adamw_to_the_bit():
    after, _, gradients = run()
    vector = Vector(params.seeded(CONFIG), np.float64)
    optimiser = AdamW(weight_decay=0.5, decayed=tuple(vector.matrices()))
    state = optimiser.start(len(vector), np.float64)
    for step, (rate, gradient) in enumerate(zip(RATES, gradients, strict=True)):
        numbers = np.concatenate([g.ravel() for g in gradient.values()])
        optimiser.update(vector.numbers, numbers, state, rate, step)
    for name, expected in vector.flat.items():
        if not (name.startswith("blocks.") and name.endswith(".w")):
            np.testing.assert_array_equal(after[name], expected, err_msg=name)


def test_a_run_that_continues_from_its_saved_state_takes_the_same_steps():
    whole, before, gradients = run(np.float32, decay=0.1)
    vector = Vector(params.nest(before))
    optimiser = Recipe(epochs=1, optimiser="muon", weight_decay=0.1).optimiser_for(vector)
    state = optimiser.start(len(vector), np.float32)
    for step, (rate, gradient) in enumerate(zip(RATES, gradients, strict=True)):
        state = {name: x.copy() for name, x in state.items()}  # saved and read again
        optimiser.update(vector.numbers, np.concatenate([g.ravel() for g in gradient.values()]), state, rate, step)
    for name, expected in whole.items():
        np.testing.assert_array_equal(vector.flat[name], expected)


def test_the_matrices_are_those_of_the_blocks():
    matrices = Vector(params.seeded(CONFIG)).block_matrices()
    assert [shape for _, shape, _ in matrices] == 2 * [(16, 48), (16, 16), (16, 32), (32, 16)]
    assert [parts for _, _, parts in matrices] == 2 * [3, 1, 1, 1]
    assert isinstance(Recipe(epochs=1, optimiser="muon").optimiser_for(Vector(params.seeded(CONFIG))), Muon)
