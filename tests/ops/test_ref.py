"""The NumPy ops: what each one means, one cause per test."""

import math

import numpy as np
import pytest

from minivit import tiers
from minivit.config import POSITION_RESIZES
from minivit.errors import InputError
from minivit.ops.gelu.ref import erf
from minivit.ops.patches.ref import patchify
from minivit.ops.positions.ref import resize_matrix, resize_positions

ops = tiers.load("ref", "float64")
rng = np.random.default_rng(0)


def test_linear_is_a_matrix_product_plus_bias():
    x, w, b = rng.standard_normal((2, 5, 4)), rng.standard_normal((4, 3)), rng.standard_normal(3)
    expected = np.einsum("bni,io->bno", x, w) + b
    np.testing.assert_allclose(ops.linear(x, w, b), expected, rtol=1e-14)
    np.testing.assert_allclose(ops.linear(x, w), expected - b, rtol=1e-12)


def test_layernorm_has_eps_inside_the_root():
    x = np.array([[1.0, 1.0, 1.0, 1.1]])  # variance 0.001875: beside it, eps 0.1 is large
    y = ops.layernorm(x, np.ones(4), np.zeros(4), eps=0.1)
    np.testing.assert_allclose(y, (x - x.mean()) / np.sqrt(x.var() + 0.1), rtol=1e-14)
    assert not np.allclose(y, (x - x.mean()) / (x.std() + 0.1))


def test_layernorm_scales_after_it_normalises():
    x, scale, bias = rng.standard_normal((3, 8)), rng.standard_normal(8), rng.standard_normal(8)
    normal = ops.layernorm(x, np.ones(8), np.zeros(8), eps=1e-6)
    np.testing.assert_allclose(normal.mean(-1), 0, atol=1e-15)
    np.testing.assert_allclose(normal.std(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(ops.layernorm(x, scale, bias, eps=1e-6), normal * scale + bias, rtol=1e-14)


def test_softmax_rows_sum_to_one_even_for_extreme_numbers():
    x = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    with np.errstate(all="raise", under="ignore"):
        p = ops.softmax(x)
    np.testing.assert_allclose(p, [[1, 0, 0], [1 / 3] * 3], rtol=1e-14)


def test_softmax_ignores_a_constant_added_to_a_row():
    x = rng.standard_normal((4, 7))
    np.testing.assert_allclose(ops.softmax(x + 100), ops.softmax(x), rtol=1e-12)


def test_scores_are_divided_by_the_root_of_the_head_width():
    q, k = rng.standard_normal((1, 2, 3, 16)), rng.standard_normal((1, 2, 3, 16))
    np.testing.assert_allclose(ops.scores(q, k), np.einsum("bhqk,bhtk->bhqt", q, k) / 4, rtol=1e-13)


def test_attention_to_a_single_token_returns_its_value():
    q, k, v = rng.standard_normal((3, 1, 2, 1, 8))
    np.testing.assert_array_equal(ops.mix(ops.softmax(ops.scores(q, k)), v), v)


def test_gelu_kinds_differ_by_the_published_amount():
    x = np.linspace(-6, 6, 20001)
    gap = np.abs(ops.gelu(x, "tanh") - ops.gelu(x, "erf")).max()
    assert 4.6e-4 < gap < 4.8e-4


def test_gelu_erf_is_x_times_the_normal_distribution_function():
    x = np.array([-8.0, -1.5, 0.0, 0.3, 2.0, 9.0])
    expected = [v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x]
    np.testing.assert_allclose(ops.gelu(x, "erf"), expected, atol=1e-15)


def test_erf_in_float32_is_right_to_a_few_roundings():
    x = np.linspace(-7, 7, 40001).astype(np.float32)
    exact = np.array([math.erf(float(v)) for v in x])
    assert np.abs(erf(x) - exact).max() < 4e-7  # 3 units in the last place of 1
    assert erf(x).dtype == np.float32


def test_patch_embedding_is_a_strided_convolution():
    images, w, b = rng.standard_normal((2, 6, 9, 3)), rng.standard_normal((3, 3, 3, 5)), rng.standard_normal(5)
    y = ops.patch_embed(images, w, b)
    assert y.shape == (2, 2 * 3, 5)
    patch = images[1, 3:6, 6:9]  # second row, third column: patch 5 of 6
    np.testing.assert_allclose(y[1, 5], np.einsum("ijc,ijcd->d", patch, w) + b, rtol=1e-12)


def test_patches_drop_what_does_not_fill_a_patch():
    images = rng.standard_normal((1, 37, 50, 3))
    np.testing.assert_array_equal(patchify(images, 16), patchify(images[:, :32, :48], 16))


def test_patchify_keeps_row_column_channel_order():
    image = np.arange(4 * 4 * 3).reshape(1, 4, 4, 3)
    np.testing.assert_array_equal(patchify(image, 2)[0, 1], image[0, :2, 2:].ravel())


def test_pool_token_takes_the_first_and_gap_leaves_the_prefix_out():
    x = rng.standard_normal((2, 6, 4))
    np.testing.assert_array_equal(ops.pool(x, "token", 1), x[:, 0])
    np.testing.assert_allclose(ops.pool(x, "gap", 2), x[:, 2:].mean(1), rtol=1e-15)
    np.testing.assert_array_equal(ops.pool(x, "unpooled", 0), x)


def test_prepended_tokens_come_first_in_every_image():
    x = ops.prepend(rng.standard_normal((3, 4, 2)), np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    assert x.shape == (3, 6, 2)
    np.testing.assert_array_equal(x[2, :2], [[1, 2], [3, 4]])


@pytest.mark.parametrize("mode", POSITION_RESIZES)
def test_position_resize_keeps_a_constant_table_and_the_prefix(mode):
    table = np.concatenate([np.full((1, 1, 2), 7.0), np.full((1, 9, 2), 3.0)], axis=1)
    resized = resize_positions(table, (3, 3), (5, 4), 1, mode)
    np.testing.assert_allclose(resized[:, 0], 7)
    np.testing.assert_allclose(resized[:, 1:], 3, rtol=1e-12)


def test_position_resize_to_the_same_grid_returns_the_table_itself():
    table = rng.standard_normal((1, 10, 2))
    assert resize_positions(table, (3, 3), (3, 3), 1, "bicubic") is table


def test_scipy_border_bug_strikes_where_it_is_known_to():
    # spec: the pairs of grids among these for which scipy.ndimage.zoom 1.17 zeroes the last row
    known = {16: [30, 59], 24: [22, 42, 43], 28: [14, 22, 24, 27, 43, 47, 48, 53], 32: [16, 31, 60, 61], 48: [24, 47]}
    for old in (7, 12, 14, 16, 24, 28, 32, 48):
        struck = [new for new in range(7, 65) if not resize_matrix(old, new, "corner_bilinear_scipy")[-1].any()]
        assert struck == known.get(old, []), old


def test_corner_bilinear_without_the_bug_keeps_the_last_row():
    assert resize_matrix(28, 48, "corner_bilinear")[-1].tolist() == [0.0] * 27 + [1.0]


def test_a_grid_of_one_can_grow_and_shrink():
    np.testing.assert_array_equal(resize_matrix(1, 2, "corner_bilinear"), [[1], [1]])
    np.testing.assert_array_equal(resize_matrix(3, 1, "corner_bilinear"), [[1, 0, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ops_keep_the_dtype(dtype):
    x = rng.standard_normal((1, 4, 8)).astype(dtype)
    ops = tiers.load("ref", dtype)
    one, zero = np.ones(8, dtype), np.zeros(8, dtype)
    heads = x.reshape(1, 2, 4, 4)
    results = [
        ops.layernorm(x, one, zero, 1e-6), ops.softmax(x), ops.gelu(x, "tanh"), ops.gelu(x, "erf"), ops.tanh(x),
        ops.scores(heads, heads), ops.linear(x, np.eye(8, dtype=dtype), zero), ops.pool(x, "gap", 0),
    ]  # fmt: skip
    assert {y.dtype for y in results} == {np.dtype(dtype)}


def test_ops_leave_their_inputs_alone():
    x = rng.standard_normal((1, 4, 8))
    before = x.copy()
    ops.linear(x, np.eye(8), np.ones(8))
    ops.softmax(x), ops.gelu(x, "tanh"), ops.gelu(x, "erf"), ops.layernorm(x, np.ones(8), np.zeros(8), 1e-6)
    np.testing.assert_array_equal(x, before)


def test_replacing_an_unknown_op_names_the_nearest():
    with pytest.raises(InputError, match="softmax"):
        ops.replace(softmaxx=None)


def test_an_unknown_tier_and_an_unknown_dtype_are_errors():
    with pytest.raises(InputError, match="unknown tier 'reff'; did you mean 'ref'"):
        tiers.load("reff")
    with pytest.raises(InputError, match="float16"):
        tiers.load("ref", "float16")
