"""The drawn shapes: the same for everyone, balanced, and told apart by their outlines only."""

import numpy as np
import pytest

from minivit.data import shapes
from minivit.data.outlines import OUTLINES


@pytest.fixture(scope="module")
def drawn():
    return shapes.draw(2400, seed=3)


def test_a_seed_gives_the_same_pictures(drawn):
    again = shapes.draw(240, seed=3)
    assert (again[0] == drawn[0][:240]).all() and (again[1] == drawn[1][:240]).all()


def test_other_seeds_give_other_pictures(drawn):
    assert (shapes.draw(120, seed=4)[0] != drawn[0][:120]).mean() > 0.9


def test_every_class_is_equally_frequent(drawn):
    assert np.bincount(drawn[1]).tolist() == [200] * 12


def test_any_number_can_be_drawn():
    pixels, labels = shapes.draw(7)
    assert pixels.shape == (7, 32, 32, 3) and pixels.dtype == np.uint8 and labels.shape == (7,)


def test_brightness_and_colour_tell_nothing(drawn):
    pixels, labels = drawn
    means = np.stack([pixels[labels == k].mean((0, 1, 2)) for k in range(12)])
    assert np.ptp(means, axis=0).max() < 25  # of 255; the pictures themselves differ by ten times that


def test_a_linear_probe_of_the_pixels_fails(drawn):
    pixels, labels = drawn
    x = np.c_[pixels.reshape(len(pixels), -1) / 127.5 - 1, np.ones(len(pixels))].astype(np.float32)
    learn, test = slice(0, 2000), slice(2000, None)
    dual = np.linalg.solve(x[learn] @ x[learn].T + 1000 * np.eye(2000), np.eye(12)[labels[learn]])
    accuracy = ((x[test] @ x[learn].T @ dual).argmax(-1) == labels[test]).mean()
    assert accuracy < 0.2  # chance is 0.08


@pytest.mark.parametrize("name", OUTLINES)
def test_an_outline_is_a_distance(name):
    y, x = np.mgrid[-1.3:1.3:400j, -1.3:1.3:400j]
    distance = OUTLINES[name](x, y)
    steepness = np.hypot(*np.gradient(distance, y[:, 0], x[0]))[np.abs(distance) < 0.1]
    assert np.quantile(steepness, [0.1, 0.9]) == pytest.approx([1, 1], abs=0.05)
    assert 0.1 < (distance < 0).mean() < 0.4
    assert np.hypot(x, y)[distance < 0].max() < 1.15
