"""Dropout and stochastic depth: where they act, what they keep, and that backward sees the same masks."""

from dataclasses import replace

import numpy as np
import pytest

from minivit import names, params, tiers
from minivit.config import ViTConfig
from minivit.errors import InputError
from minivit.gradients import loss_and_gradients
from minivit.models import vit
from minivit.train import Noise, Vector
from minivit.train.noise import mask

CONFIG = ViTConfig("small", patch=4, width=8, blocks=4, heads=2, mlp=16, classes=5, image=(8, 8))
OPS = tiers.load("ref", "float64")
rng = np.random.default_rng(0)
images, targets = rng.standard_normal((6, 8, 8, 3)), rng.dirichlet(np.ones(5), 6)


def factors(noise, shape=(50, 4, 6), step=0, part=0):
    """{tensor name: its mask} of every tensor that the forward tap changes."""
    tap, ones = noise.at(step, part)[0], np.ones(shape)
    found = {}
    for name in names.of(noise.config):
        block, _, rest = name.partition(".")
        passed = tap.inside(block)(rest, ones) if rest else tap(name, ones)
        if passed is not ones:
            found[name] = passed
    return found


def test_dropout_acts_where_the_official_model_has_it():
    places = ["attn.out", "mlp.act", "mlp.out"]
    expected = {"embed.out", *(f"block{i}.{place}" for i in range(4) for place in places)}
    assert set(factors(Noise(CONFIG, dropout=0.1))) == expected


def test_attention_dropout_acts_on_the_weights_one_by_one():
    found = factors(Noise(CONFIG, attention_dropout=0.5), shape=(3, 2, 5, 5))
    assert set(found) == {f"block{i}.attn.probs" for i in range(4)}
    assert all(set(np.unique(image)) == {0, 2} for image in found["block0.attn.probs"])


def test_stochastic_depth_drops_the_whole_branch_of_an_image():
    found = factors(Noise(CONFIG, stochastic_depth=0.5))
    assert set(found) == {f"block{i}.{branch}" for i in range(4) for branch in ("attn.out", "mlp.out")}
    last = found["block3.mlp.out"]
    assert all(len(np.unique(image)) == 1 for image in last) and set(np.unique(last)) == {0, 2}


def test_its_rate_grows_linearly_with_depth_up_to_that_of_the_last_block():
    found = factors(Noise(CONFIG, stochastic_depth=0.8), shape=(20000, 1, 1))
    dropped = [(found[f"block{i}.attn.out"] == 0).mean() for i in range(4)]
    np.testing.assert_allclose(dropped, [0.2, 0.4, 0.6, 0.8], atol=0.015)  # four standard deviations


def test_no_noise_is_no_tap():
    assert not factors(Noise(CONFIG)) and not Noise(CONFIG).at(0)[0].active


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_expectations_are_preserved(rate):
    x = mask(np.random.default_rng(0), rate, (400_001,), np.float64)
    deviation = np.sqrt(rate / (1 - rate) / len(x))
    assert x.mean() == pytest.approx(1, abs=4 * deviation)
    assert (x == 0).mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / len(x)))
    kept = int(rate * 65536) / 65536  # the rate as it is drawn
    np.testing.assert_allclose(np.unique(x), [0, 1 / (1 - kept)], rtol=1e-15)


def test_masks_differ_between_steps_parts_seeds_and_tensors():
    noise = Noise(CONFIG, dropout=0.5, seed=3)
    first = factors(noise)["block1.mlp.out"]
    others = [
        factors(noise, step=1)["block1.mlp.out"],
        factors(noise, part=1)["block1.mlp.out"],
        factors(replace(noise, seed=4))["block1.mlp.out"],
        factors(noise)["block2.mlp.out"],
        factors(noise)["block1.attn.out"],
    ]
    assert all((first != other).mean() > 0.4 for other in others)
    np.testing.assert_array_equal(first, factors(noise)["block1.mlp.out"])


def test_masks_are_the_same_in_float32_and_float64():
    for dtype in (np.float32, np.float64):
        tap = Noise(CONFIG, dropout=0.3).at(0)[0]
        kept = tap.inside("embed")("out", np.ones((2, 3, 4), dtype))
        assert kept.dtype == dtype
        np.testing.assert_array_equal(kept != 0, factors(Noise(CONFIG, dropout=0.3), (2, 3, 4))["embed.out"] != 0)


def test_a_tap_leaves_the_tensor_it_is_given_as_it_was():
    x = np.ones((4, 3, 2))
    Noise(CONFIG, dropout=0.9).at(0)[0].inside("embed")("out", x)
    assert (x == 1).all()


@pytest.mark.parametrize("kind", ["dropout", "attention_dropout", "stochastic_depth", "all"])
def test_gradients_with_noise_are_the_slopes_of_the_noisy_loss(kind):
    rates = dict.fromkeys(("dropout", "attention_dropout", "stochastic_depth") if kind == "all" else (kind,), 0.4)
    taps = Noise(CONFIG, **rates, seed=1).at(2)
    vector = Vector(params.seeded(CONFIG), np.float64)
    gradient = vector.like()
    gradient.add(loss_and_gradients(vector.tree, images, targets, CONFIG, OPS, taps)[2])

    def loss(t):
        shifted = Vector(vector.tree, np.float64)
        shifted.numbers += t * direction
        return OPS.cross_entropy(vit.forward(shifted.tree, images, CONFIG, OPS, taps[0]), targets)

    for _ in range(3):
        direction = rng.standard_normal(len(vector)) / np.sqrt(len(vector))
        slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
        assert gradient.numbers @ direction == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_is_no_probability_is_an_input_error(rate):
    with pytest.raises(InputError, match=r"stochastic_depth is .*, expected a probability of at least 0 and below 1"):
        Noise(CONFIG, stochastic_depth=rate)
