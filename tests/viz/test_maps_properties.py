"""What must hold of maps whatever the numbers: sums, other orders of heads and patches, other scales."""

import numpy as np
import pytest

from minivit import InputError
from minivit.viz import flow, maps, similarity, statistics

random = np.random.default_rng(0)
BLOCKS, B, H, N, PREFIX, GRID = 3, 2, 4, 14, 2, (3, 4)


def attention(blocks=BLOCKS, tokens=N, dtype=np.float64):
    raw = random.uniform(0, 1, (blocks, B, H, tokens, tokens)).astype(dtype) ** 4
    return list(raw / raw.sum(-1, keepdims=True))


PROBS, GRADIENTS = attention(), list(random.standard_normal((BLOCKS, B, H, N, N)))
SWAPPED = [2, 0, 3, 1]
ORDER = np.concatenate([np.arange(PREFIX), PREFIX + random.permutation(N - PREFIX)])
V, W_OUT = random.standard_normal((B, H, N, 5)), random.standard_normal((H * 5, 7))

#: one (B,N,N) of all blocks
FLOWS = {"rollout": lambda probs, _: flow.rollout(probs), "relevance": flow.relevance}


def test_rows_of_rollout_sum_to_one_even_after_many_blocks_in_float32():
    for R in flow.rollout_steps(attention(blocks=24, tokens=50, dtype=np.float32)):
        assert np.abs(R.sum(-1) - 1).max() < 1e-6 and R.min() >= 0


def test_attention_of_every_token_to_itself_rolls_out_to_itself():
    assert np.array_equal(flow.rollout([np.tile(np.eye(N), (B, H, 1, 1))] * 3), np.tile(np.eye(N), (B, 1, 1)))


def test_without_gradients_every_token_is_relevant_to_itself_only():
    assert np.array_equal(flow.relevance(PROBS, [0 * g for g in GRADIENTS]), np.tile(np.eye(N), (B, 1, 1)))


def test_lists_of_different_lengths_are_no_relevance():
    with pytest.raises(ValueError, match="shorter"):
        flow.relevance(PROBS, GRADIENTS[1:])


def test_relevance_of_one_block_grows_with_its_gradient():
    once, thrice = (flow.relevance(PROBS[:1], [scale * GRADIENTS[0]]) - np.eye(N) for scale in (1, 3))
    np.testing.assert_allclose(thrice, 3 * once)


@pytest.mark.parametrize("kind", FLOWS)
def test_the_order_of_heads_does_not_matter(kind):
    swapped = FLOWS[kind]([A[:, SWAPPED] for A in PROBS], [g[:, SWAPPED] for g in GRADIENTS])
    np.testing.assert_allclose(swapped, FLOWS[kind](PROBS, GRADIENTS), atol=1e-12)


@pytest.mark.parametrize("kind", FLOWS)
def test_patches_in_another_order_give_the_same_in_that_order(kind):
    def reorder(A):
        return A[..., ORDER, :][..., ORDER]

    found = FLOWS[kind]([reorder(A) for A in PROBS], [reorder(g) for g in GRADIENTS])
    np.testing.assert_allclose(found, reorder(FLOWS[kind](PROBS, GRADIENTS)), atol=1e-12)


@pytest.mark.parametrize("kind", FLOWS)
def test_images_of_a_batch_do_not_influence_each_other_in(kind):
    alone = FLOWS[kind]([A[1:] for A in PROBS], [g[1:] for g in GRADIENTS])
    np.testing.assert_array_equal(alone, FLOWS[kind](PROBS, GRADIENTS)[1:])


@pytest.mark.parametrize("how", maps.MERGES)
def test_a_merge_does_not_depend_on_the_order_of_heads_and_keeps_equal_heads(how):
    by_head = maps.query_map(PROBS[0], 0, PREFIX, GRID)
    np.testing.assert_allclose(maps.merge_heads(by_head[:, SWAPPED], how), maps.merge_heads(by_head, how))
    equal = np.repeat(by_head[:, :1], H, axis=1)
    np.testing.assert_allclose(maps.merge_heads(equal, how), by_head[:, 0])


def test_heads_that_all_look_everywhere_are_merged_to_their_mean():
    np.testing.assert_allclose(maps.merge_heads(np.full((1, 3, 2, 2), 0.25), "entropy"), 0.25)


def test_a_mask_does_not_change_with_the_scale_of_its_map():
    values = maps.query_map(PROBS[0], 0, PREFIX, GRID)
    assert np.array_equal(maps.mass_mask(values), maps.mass_mask(1000 * values))
    assert maps.mass_mask(values, 1.0).all() and not maps.mass_mask(0 * values).any()


def test_distance_is_measured_in_pixels_and_heads_keep_their_place():
    found = statistics.distance(PROBS[0], PREFIX, GRID, 8)
    np.testing.assert_allclose(statistics.distance(PROBS[0], PREFIX, GRID, 16), 2 * found)
    np.testing.assert_allclose(statistics.distance(PROBS[0][:, SWAPPED], PREFIX, GRID, 8), found[:, SWAPPED])


def test_distance_is_zero_where_patches_look_at_themselves_or_at_no_patch():
    nowhere = np.zeros((1, 1, N, N))
    nowhere[..., 0] = 1
    for A in (np.eye(N)[None, None], nowhere):
        assert statistics.distance(A, PREFIX, GRID, 16) == 0


def test_entropy_is_log_n_for_equal_attention_and_zero_for_a_single_token():
    np.testing.assert_allclose(statistics.entropy(np.full((1, 1, N, N), 1 / N)), np.log(N))
    assert (statistics.entropy(np.eye(N)[None, None]) == 0).all()


def test_what_tokens_receive_sums_to_one_and_all_of_them_are_all_sinks():
    np.testing.assert_allclose(statistics.received(PROBS[0]).sum(-1), 1)
    np.testing.assert_allclose(statistics.sink_mass(PROBS[0], np.ones(N, bool)), 1)


def test_norm_weighted_attention_grows_with_the_values():
    found = statistics.norm_weighted(PROBS[0], V, W_OUT)
    np.testing.assert_allclose(statistics.norm_weighted(PROBS[0], -2 * V, W_OUT), 2 * found)
    by_head = W_OUT.reshape(H, 5, 7)[SWAPPED].reshape(H * 5, 7)
    np.testing.assert_allclose(
        statistics.norm_weighted(PROBS[0][:, SWAPPED], V[:, SWAPPED], by_head), found[:, SWAPPED]
    )


def test_cosines_do_not_change_with_scale_and_are_one_at_the_token_itself():
    tokens = random.standard_normal((B, N, 6))
    found = similarity.cosine_map(tokens, PREFIX + 5, PREFIX, GRID)
    np.testing.assert_allclose(similarity.cosine_map(7 * tokens, PREFIX + 5, PREFIX, GRID), found)
    np.testing.assert_allclose(found[:, 1, 1], 1)


def test_a_vector_of_zeros_has_no_cosine_but_does_no_harm():
    assert (similarity.cosine_map(np.zeros((1, N, 6)), 0, PREFIX, GRID) == 0).all()


def test_cka_does_not_change_with_scale_and_rotation_but_with_other_changes():
    x, y = random.standard_normal((60, 5)), random.standard_normal((60, 4))
    rotation, _ = np.linalg.qr(random.standard_normal((5, 5)))
    assert similarity.cka(3 * x @ rotation, y) == pytest.approx(similarity.cka(x, y))
    assert similarity.cka(x, x @ rotation) == pytest.approx(1)
    assert similarity.cka(x, x * [1, 1, 1, 1, 10]) < 0.9
    assert similarity.cka(x, np.ones((60, 3))) == 0


def test_a_table_of_cka_is_symmetric_with_ones_on_its_diagonal():
    layers = list(random.standard_normal((3, 40, 5)))
    table = similarity.cka_table(layers)
    np.testing.assert_allclose(table, table.T)
    np.testing.assert_allclose(np.diag(table), 1)
    assert similarity.cka_table(layers, layers[:2]).shape == (3, 2)


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (3, 4)])
def test_token_colours_are_from_0_to_1_even_of_a_single_patch(grid):
    rgb = similarity.token_pca(random.standard_normal((1, 1 + grid[0] * grid[1], 6)), 1, grid)
    assert rgb.shape == (1, *grid, 3) and rgb.min() >= 0 and rgb.max() <= 1


def test_an_unknown_merge_is_an_error_that_knows_the_others():
    with pytest.raises(InputError, match="heads cannot be merged by 'average'; known: entropy, max, mean, min"):
        maps.merge_heads(PROBS[0], "average")
