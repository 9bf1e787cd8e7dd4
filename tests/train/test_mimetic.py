"""Mimetic initialisation: attention begins as trained attention looks."""

from dataclasses import replace

import numpy as np
import pytest

from minivit import params
from minivit.config import ViTConfig
from minivit.errors import InputError
from minivit.train.mimetic import waves
from minivit.train.start import initial

D, K = 96, 24
CONFIG = ViTConfig("start", 8, D, 2, D // K, 192, classes=7, image=(32, 48))
FLAT = params.flatten(initial(CONFIG, kind="mimetic"))
PLAIN = params.flatten(initial(CONFIG))


def matrices(block=1):
    return (*np.split(FLAT[f"blocks.{block}.attn.qkv.w"].astype(float), 3, 1), FLAT[f"blocks.{block}.attn.out.w"])


def test_a_value_comes_back_negative_and_noise_is_as_large_as_that():
    _, _, value, out = matrices()
    product = value @ out
    assert np.diag(product).mean() == pytest.approx(-0.4, abs=0.02)
    noise = product + 0.4 * np.eye(D)
    assert noise.std() == pytest.approx(0.4 / np.sqrt(D), rel=0.05)


@pytest.mark.parametrize("head", range(D // K))
def test_query_and_key_of_a_head_are_alike_as_far_as_its_rank_allows(head):
    query, key = (m[:, head * K : (head + 1) * K] for m in matrices()[:2])
    product = query @ key.T
    assert np.linalg.matrix_rank(product, tol=1e-3) == K
    assert np.trace(product) > 0.2 * D * 0.7  # the whole identity would have D · 0.7
    largest = 1.5 * 3**0.5  # of I + Z (free probability), and the best product of rank K keeps it
    assert np.linalg.svd(product)[1][0] == pytest.approx(0.7 * largest, rel=0.05)


def test_heads_and_blocks_are_drawn_each_for_itself():
    query = matrices()[0]
    assert not np.allclose(query[:, :K], query[:, K : 2 * K], atol=0.01)
    assert not np.allclose(query, matrices(0)[0], atol=0.01)


def test_near_patches_have_like_positions_in_both_directions():
    table = waves(4, 6, D).reshape(4, 6, D)
    similar = (table * table[1, 2]).sum(-1) / (D / 2)  # every sine and cosine pair has length one
    assert similar[1, 2] == pytest.approx(1) and similar.max() == pytest.approx(1)
    assert similar[1, 2] > similar[1, 3] > similar[1, 4] and similar[1, 2] > similar[2, 2] > similar[3, 2]
    np.testing.assert_allclose(FLAT["embed.position"][0, CONFIG.prefix :], 0.5 * table.reshape(-1, D), atol=1e-6)
    assert np.array_equal(FLAT["embed.position"][0, 0], PLAIN["embed.position"][0, 0])


def test_all_else_is_as_without_it():
    for name in PLAIN:
        if ".attn." not in name and name != "embed.position":
            np.testing.assert_array_equal(FLAT[name], PLAIN[name])


def test_the_seed_decides():
    again, other = (params.flatten(initial(CONFIG, seed, "mimetic")) for seed in (0, 1))
    assert all(np.array_equal(again[name], FLAT[name]) for name in FLAT)
    assert not np.array_equal(other["blocks.0.attn.qkv.w"], FLAT["blocks.0.attn.qkv.w"])


def test_a_width_that_waves_do_not_fit_is_an_input_error():
    with pytest.raises(InputError, match="a width divisible by 4, the model's is 90"):
        initial(replace(CONFIG, width=90, heads=5), kind="mimetic")
