"""The flat vector and its tree are the same memory."""

import numpy as np

from minivit import params
from minivit.config import ViTConfig
from minivit.train import Vector
from minivit.train.vector import CHUNK, chunks

SMALL = ViTConfig("small", patch=4, width=8, blocks=2, heads=2, mlp=16, classes=5, image=(12, 8))


def test_the_vector_holds_every_parameter_once():
    tree = params.seeded(SMALL)
    vector = Vector(tree)
    assert len(vector) == params.count(SMALL)
    assert list(vector.flat) == list(params.shapes(SMALL))
    expected = np.concatenate([array.ravel() for array in params.flatten(tree).values()])
    np.testing.assert_array_equal(vector.numbers, expected)


def test_the_tree_sees_what_is_written_to_the_numbers_and_the_other_way_round():
    vector = Vector(params.seeded(SMALL))
    vector.numbers[:] = 7
    assert all((array == 7).all() for array in params.flatten(vector.tree).values())
    vector.tree["blocks"][1]["attn"]["qkv"]["w"][2, 3] = 9
    assert (vector.numbers == 9).sum() == 1


def test_the_vector_is_a_copy_of_the_tree_it_was_made_from():
    tree = params.seeded(SMALL)
    Vector(tree).numbers[:] = 0
    assert tree["head"]["w"].any()


def test_like_has_the_same_layout_and_zeros():
    vector = Vector(params.seeded(SMALL), np.float64)
    zeros = vector.like()
    assert zeros.numbers.dtype == np.float64 and not zeros.numbers.any() and vector.numbers.any()
    assert {n: x.shape for n, x in zeros.flat.items()} == {n: x.shape for n, x in vector.flat.items()}


def test_add_adds_by_name_with_its_weight():
    vector = Vector(params.seeded(SMALL), np.float64)
    backwards = params.nest(dict(reversed(params.flatten(params.seeded(SMALL, seed=1)).items())))
    expected = vector.numbers + 0.25 * Vector(params.seeded(SMALL, seed=1), np.float64).numbers
    vector.add(backwards, 0.25)
    np.testing.assert_allclose(vector.numbers, expected, rtol=1e-7)


def test_matrices_are_weights_of_products_and_nothing_else():
    vector = Vector(params.seeded(SMALL)).like()
    for span in vector.matrices():
        vector.numbers[span] = 1
    for name, x in vector.flat.items():
        assert (x == (1 if name.endswith(".w") else 0)).all(), name


def test_chunks_cover_everything_once():
    for size in (0, 1, CHUNK - 1, CHUNK, 2 * CHUNK + 1):
        covered = np.zeros(size, int)
        for span in chunks(size):
            assert span.stop - span.start <= CHUNK
            covered[span] += 1
        assert (covered == 1).all()
