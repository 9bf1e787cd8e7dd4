"""The painted picture."""

import numpy as np
import pytest

from minivit.viz import picture


def test_the_picture_has_the_size_asked_for():
    assert picture.draw().shape == (224, 224, 3)
    assert picture.draw(96).shape == (96, 96, 3)


def test_the_picture_is_the_same_every_time():
    assert np.array_equal(picture.draw(64), picture.draw(64))


@pytest.mark.parametrize(
    ("what", "row", "column", "colour"),
    [
        ("sun", 38, 186, (255, 226, 120)),
        ("cloud", 56, 31, (250, 252, 253)),
        ("blue stripe of the balloon", 83, 103, (38, 99, 140)),
        ("basket", 177, 103, (139, 90, 51)),
        ("hill in front", 215, 20, (76, 135, 84)),
    ],
)
def test_each_object_is_where_it_belongs(what, row, column, colour):
    assert np.allclose(picture.draw()[row, column], colour, atol=1), what


def test_edges_are_smooth():
    around_the_sun = picture.draw()[20:56, 168:204].reshape(-1, 3)
    assert len(np.unique(around_the_sun, axis=0)) > 50
