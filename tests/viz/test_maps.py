"""Maps, against attention rows written out by hand, and against the mistakes that are easily made with them."""

import numpy as np
import pytest

from minivit.config import VARIANTS
from minivit.viz import maps

PREFIX, GRID = 1, (2, 3)
N = PREFIX + GRID[0] * GRID[1]


def attention(prefix=PREFIX):
    # (1,2,N,N): rows sum to one, no two numbers are alike
    raw = np.random.default_rng(0).uniform(1, 2, (1, 2, prefix + 6, prefix + 6))
    return raw / raw.sum(-1, keepdims=True)


def by_hand(probs, query, prefix):
    # the definition, number by number
    found = np.empty((1, 2, *GRID))
    for head in range(2):
        for row in range(GRID[0]):
            for column in range(GRID[1]):
                found[0, head, row, column] = probs[0, head, query, prefix + row * GRID[1] + column]
    return found


@pytest.mark.parametrize("query", [0, 4, N - 1])
def test_a_query_map_is_the_row_of_its_query_without_the_class_token(query):
    assert np.array_equal(maps.query_map(attention(), query, PREFIX, GRID), by_hand(attention(), query, PREFIX))


MISTAKES = {
    "class token not dropped": lambda probs, query: probs[:, :, query, :-1],
    "query counted without the class token": lambda probs, query: probs[:, :, query - 1, 1:],
    "column instead of row": lambda probs, query: probs[:, :, 1:, query],
    "patches read column by column": lambda probs, query: probs[:, :, query, 1:].reshape(1, 2, 3, 2).swapaxes(2, 3),
    "rescaled to a sum of one": lambda probs, query: probs[:, :, query, 1:] / probs[:, :, query, 1:].sum(),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistaken_map_differs_from_the_one_by_hand(mistake):
    wrong = MISTAKES[mistake](attention(), 4).reshape(1, 2, *GRID)
    assert abs(wrong - by_hand(attention(), 4, PREFIX)).max() > 1e-3


def test_a_map_and_the_attention_to_the_class_token_sum_to_one():
    probs = attention()
    assert np.allclose(maps.query_map(probs, 4, PREFIX, GRID).sum((2, 3)) + probs[:, :, 4, 0], 1)


def test_the_mean_map_averages_over_patches_but_not_over_the_class_token():
    probs = attention()
    expected = np.mean([by_hand(probs, query, PREFIX) for query in range(1, N)], axis=0)
    assert np.allclose(maps.mean_query_map(probs, PREFIX, GRID), expected)
    with_class_token = np.mean([by_hand(probs, query, PREFIX) for query in range(N)], axis=0)
    assert not np.allclose(with_class_token, expected)


def test_the_feature_of_a_class_token_model_looks_with_its_class_token():
    who, found = maps.readout_map(attention(), VARIANTS["ViT-B/16"], GRID)
    assert who == "class token"
    assert np.array_equal(found, by_hand(attention(), 0, 1))


def test_a_distillation_token_is_no_patch():
    probs = attention(prefix=2)
    _, found = maps.readout_map(probs, VARIANTS["DeiT-B/16-distilled"], GRID)
    assert np.array_equal(found, by_hand(probs, 0, 2))


def test_the_feature_of_a_mean_pooling_model_looks_with_all_patches():
    probs = attention(prefix=0)
    who, found = maps.readout_map(probs, VARIANTS["ViT-B/16-gap-norep"], GRID)
    assert who == "mean patch"
    assert np.allclose(found, np.mean([by_hand(probs, query, 0) for query in range(6)], axis=0))
