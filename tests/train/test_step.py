"""The gradient of a batch, in parts; and the search for what is not finite."""

from dataclasses import replace

import numpy as np
import pytest

from minivit import params, tiers
from minivit.config import ViTConfig
from minivit.gradients import loss_and_gradients
from minivit.train import Noise, Vector, first_bad, first_bad_tensor, gradients_of_batch
from minivit.train.step import spans

CONFIG = ViTConfig("small", patch=4, width=8, blocks=2, heads=2, mlp=16, classes=5, image=(8, 8))
OPS = tiers.load("ref", "float64")
rng = np.random.default_rng(0)
images = rng.standard_normal((7, 8, 8, 3))
targets = rng.dirichlet(np.ones(5), 7)
tree = params.seeded(CONFIG, dtype=np.float64)


def test_one_part_is_loss_and_gradients():
    loss, logits, gradient = gradients_of_batch(tree, images, targets, CONFIG, OPS)
    expected, outputs, grads = loss_and_gradients(tree, images, targets, CONFIG, OPS)
    assert loss == expected
    np.testing.assert_array_equal(logits, outputs)
    assert list(gradient.flat) == list(params.shapes(CONFIG))
    for name, g in params.flatten(grads).items():
        np.testing.assert_array_equal(gradient.flat[name], g)


@pytest.mark.parametrize("parts", [2, 3, 4, 7, 50])  # 7 images: every last part of 2 to 4 is smaller
def test_parts_give_the_mean_over_the_batch_and_not_the_sum(parts):
    whole = gradients_of_batch(tree, images, targets, CONFIG, OPS)
    cut = gradients_of_batch(tree, images, targets, CONFIG, OPS, parts)
    assert cut[0] == pytest.approx(whole[0], rel=1e-13)
    np.testing.assert_allclose(cut[1], whole[1], rtol=1e-10)
    np.testing.assert_allclose(cut[2].numbers, whole[2].numbers, rtol=1e-9, atol=1e-14)


def test_parts_are_consecutive_and_equal_but_for_the_last():
    assert spans(8, 4) == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]
    assert spans(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert spans(2, 4) == [slice(0, 1), slice(1, 2)]


def test_a_vector_given_for_the_gradient_is_overwritten():
    into = Vector(tree, np.float64)
    gradient = gradients_of_batch(tree, images, targets, CONFIG, OPS, 2, into=into)[2]
    assert gradient is into
    np.testing.assert_array_equal(into.numbers, gradients_of_batch(tree, images, targets, CONFIG, OPS, 2)[2].numbers)


def test_every_step_and_every_part_has_its_own_noise():
    same = np.repeat(images[:1], 2, axis=0), np.repeat(targets[:1], 2, axis=0)
    noise = Noise(CONFIG, dropout=0.5)
    first = gradients_of_batch(tree, *same, CONFIG, OPS, 2, noise, step=0)[1]
    assert not np.allclose(first[0], first[1])
    assert not np.allclose(first, gradients_of_batch(tree, *same, CONFIG, OPS, 2, noise, step=1)[1])
    np.testing.assert_array_equal(first, gradients_of_batch(tree, *same, CONFIG, OPS, 2, noise, step=0)[1])


def test_nothing_is_bad_in_a_healthy_step():
    loss, _, gradient = gradients_of_batch(tree, images, targets, CONFIG, OPS)
    assert first_bad(loss, gradient) is None
    assert first_bad_tensor(tree, images, CONFIG, OPS) is None


def test_the_loss_is_named_before_any_gradient():
    assert first_bad(float("nan"), Vector(tree)) == "loss"
    assert first_bad(float("inf"), Vector(tree)) == "loss"


def test_the_first_parameter_with_a_bad_gradient_is_named():
    gradient = Vector(tree)
    gradient.flat["head.b"][0] = gradient.flat["blocks.1.mlp.fc1.w"][3, 2] = np.inf
    assert first_bad(0.5, gradient) == "blocks.1.mlp.fc1.w"


def test_the_tensor_where_a_nan_appeared_is_named():
    def overflowing(x, kind):
        return np.where(x > 1, np.nan, x)

    calls = []

    def softmax(x):
        calls.append(0)
        return OPS.softmax(x) * (np.nan if len(calls) == 2 else 1)

    assert first_bad_tensor(tree, images, CONFIG, OPS.replace(softmax=softmax)) == "block1.attn.probs"
    assert first_bad_tensor(tree, images, CONFIG, OPS.replace(gelu=overflowing)) == "block0.mlp.act"


def test_a_nan_is_found_in_the_part_that_has_it():
    broken = images.copy()
    broken[5, 0, 0, 0] = np.nan
    assert first_bad_tensor(tree, broken, CONFIG, OPS, parts=3, noise=Noise(CONFIG, 0.1)) == "image"


def test_the_gradient_is_as_wide_as_the_activations():
    single = tiers.load("ref", "float32")
    small = replace(CONFIG, blocks=1)
    prepared = single.prepare(params.seeded(small))
    gradient = gradients_of_batch(prepared, images.astype("f4"), targets.astype("f4"), small, single)[2]
    assert gradient.numbers.dtype == np.float32
