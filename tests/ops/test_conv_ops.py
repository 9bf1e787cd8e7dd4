"""The ops of hybrids, in NumPy and compiled: what they mean, one cause per test, and every rung against float64."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivit import tiers
from minivit.errors import InputError
from minivit.ops.conv import ref as conv_ref

needs_numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="tier cpu needs Numba")
truth, ref = tiers.load("ref", "float64"), tiers.load("ref")
rng = np.random.default_rng(0)
RUNGS = ("v1", "v2", "v3")


def numbers(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def close(found, expected, tolerance=2e-6):
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def rung(folder, name):
    return importlib.import_module(f"minivit.ops.{folder}.cpu").LADDER[name]


#: batch, height, width, channels, side, stride, outputs: whole tiles and parts, one pixel, more stride than kernel
CONVOLUTIONS = [
    (2, 9, 7, 3, 7, 2, 5),
    (1, 8, 8, 4, 3, 2, 6),
    (2, 5, 6, 32, 3, 1, 40),
    (1, 6, 7, 33, 1, 2, 17),
    (1, 1, 1, 2, 3, 2, 3),
    (1, 4, 5, 2, 2, 3, 2),
    (3, 40, 30, 64, 3, 1, 64),
]


@pytest.mark.parametrize("shape", CONVOLUTIONS)
def test_both_rungs_of_numpy_are_the_definition(shape):
    B, h, w, c, side, stride, outputs = shape
    x, kernel = rng.standard_normal((B, h, w, c)), rng.standard_normal((side, side, c, outputs))
    (top, bottom), (left, right) = (conv_ref.padding(size, side, stride) for size in (h, w))
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    expected = np.zeros((B, -(-h // stride), -(-w // stride), outputs))
    for i, j in np.ndindex(expected.shape[1:3]):
        window = padded[:, i * stride : i * stride + side, j * stride : j * stride + side]
        expected[:, i, j] = np.einsum("bmnc,mnco->bo", window, kernel)
    for function in conv_ref.LADDER.values():
        np.testing.assert_allclose(function(x, kernel, stride), expected, rtol=1e-12, atol=1e-12)


@needs_numba
@pytest.mark.parametrize("name", RUNGS)
@pytest.mark.parametrize("shape", CONVOLUTIONS)
def test_conv_is_right_on_every_rung(name, shape):
    B, h, w, c, side, stride, outputs = shape
    x, kernel = numbers(B, h, w, c), numbers(side, side, c, outputs)
    close(rung("conv", name)(x, kernel, stride), truth.conv(x.astype(float), kernel.astype(float), stride))


#: at 224 pixels (spec: vit_jax, TensorFlow's rule): the root pads 2 and 3, the pooling and every 3×3 at stride 2: 0, 1
@pytest.mark.parametrize(
    ("size", "side", "stride", "expected"),
    [
        *((224, 7, 2, (2, 3)), (225, 7, 2, (3, 3)), (112, 3, 2, (0, 1)), (56, 3, 2, (0, 1)), (55, 3, 2, (1, 1))),
        *((14, 3, 1, (1, 1)), (7, 1, 1, (0, 0)), (8, 1, 2, (0, 0)), (1, 3, 2, (1, 1))),
    ],
)
def test_padding_is_that_of_tensorflow(size, side, stride, expected):
    assert conv_ref.padding(size, side, stride) == expected


def test_an_even_map_is_padded_below_and_to_the_right_only():
    x, w = np.zeros((1, 4, 4, 1)), np.zeros((3, 3, 1, 1))
    x[0, 0, 0], w[0, 0] = 1, 1  # the corner pixel, seen by the corner of a window
    assert truth.conv(x, w, 2)[0, 0, 0, 0] == 1


@given(B=st.integers(1, 2), h=st.integers(1, 7), w=st.integers(1, 7), side=st.integers(1, 4), stride=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_conv_backward_is_the_transpose_for_any_shape(B, h, w, side, stride):
    rng = np.random.default_rng(h)
    x, kernel = rng.standard_normal((B, h, w, 2)), rng.standard_normal((side, side, 2, 3))
    y = truth.conv(x, kernel, stride)
    dy = rng.standard_normal(y.shape)
    dx, dw = truth.backward.conv(dy, x, kernel, stride)
    for gradient, value in ((dx, x), (dw, kernel)):
        np.testing.assert_allclose(np.vdot(dy, y), np.vdot(gradient, value), rtol=1e-10, atol=1e-10)


@needs_numba
@pytest.mark.parametrize("shape", CONVOLUTIONS)
def test_compiled_conv_backward_is_right(shape):
    B, h, w, c, side, stride, outputs = shape
    x, kernel = numbers(B, h, w, c), numbers(side, side, c, outputs)
    dy = numbers(B, -(-h // stride), -(-w // stride), outputs)
    expected = truth.backward.conv(dy.astype(float), x.astype(float), kernel.astype(float), stride)
    for found, right in zip(tiers.load("cpu").backward.conv(dy, x, kernel, stride), expected, strict=True):
        close(found, right, 5e-6)


@needs_numba
def test_conv_refuses_weights_for_other_channels():
    with pytest.raises(InputError, match="the map has 3 channels"):
        tiers.load("cpu").conv(numbers(1, 4, 4, 3), numbers(3, 3, 4, 5), 1)


@pytest.mark.parametrize(("eps_on", "denominator"), [("std", 0.1 + 0.5), ("variance", np.sqrt(0.1 + 0.25))])
def test_eps_is_added_to_the_deviation_or_to_the_variance(eps_on, denominator):
    w = np.array([1.0, 2.0, 1.0, 2.0]).reshape(2, 2, 1, 1)  # mean 1.5, deviation 0.5
    np.testing.assert_allclose(truth.standardise(w, 0.1, eps_on), (w - 1.5) / denominator, rtol=1e-14)


def test_weights_are_standardised_for_each_output_by_itself():
    w = rng.standard_normal((3, 3, 4, 5)) * np.arange(1, 6) + np.arange(5)
    found = truth.standardise(w, 1e-9, "std")
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(found.std((0, 1, 2)), 1, rtol=1e-6)


@pytest.mark.parametrize("eps_on", ["std", "variance"])
def test_weights_that_are_all_alike_have_finite_gradients(eps_on):
    w, dy = np.full((3, 3, 2, 4), 0.7), rng.standard_normal((3, 3, 2, 4))
    assert np.isfinite(truth.standardise(w, 1e-5, eps_on)).all()
    assert np.isfinite(truth.backward.standardise(dy, w, 1e-5, eps_on)).all()


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_prepared_weights_are_standardised_once_and_in_float32(dtype):
    ops, w, x = tiers.load("cpu", dtype), numbers(3, 3, 8, 20), numbers(1, 6, 6, 8)
    kept = ops.prepare({"stem": {"conv": {"w": w}}})["stem"]["conv"]["w"]
    ready = ops.standardise(kept, 1e-5, "std")
    assert ops.standardise(kept, 1e-5, "std") is ready and ops.standardise(kept, 1e-8, "variance") is not ready
    expected = truth.conv(x.astype(float), truth.standardise(w.astype(float), 1e-5, "std"), 1)
    close(ops.conv(x, ready, 1), expected)


NORMS = [(2, 5, 4, 12, 3), (1, 1, 1, 32, 32), (3, 12, 13, 64, 32), (1, 30, 30, 96, 32), (2, 1, 1, 6, 1)]


@pytest.mark.parametrize("shape", NORMS)
def test_groupnorm_gives_every_group_of_every_image_mean_0_and_variance_1(shape):
    *map_shape, groups = shape
    B, h, w, C = map_shape
    y = truth.groupnorm(3 + 2 * rng.standard_normal(map_shape), np.ones(C), np.zeros(C), groups, 1e-12)
    grouped = y.reshape(B, h * w, groups, C // groups)
    np.testing.assert_allclose(grouped.mean((1, 3)), 0, atol=1e-12)
    if h * w * C > groups:
        np.testing.assert_allclose(grouped.var((1, 3)), 1, rtol=1e-9)


def test_eps_of_groupnorm_is_inside_the_root():
    x = np.array([1.0, 1.2]).reshape(1, 1, 2, 1)  # deviation 0.1
    y = truth.groupnorm(x, np.ones(1), np.zeros(1), 1, 0.03)
    np.testing.assert_allclose(y.ravel(), [-0.5, 0.5])


@needs_numba
@pytest.mark.parametrize("name", ["v1", "v2"])
@pytest.mark.parametrize("shape", NORMS)
def test_groupnorm_is_right_on_every_rung(name, shape):
    *map_shape, groups = shape
    x, scale, bias = numbers(*map_shape) + 30, numbers(map_shape[-1]), numbers(map_shape[-1])
    expected = truth.groupnorm(x.astype(float), scale, bias, groups, 1e-6)
    close(rung("groupnorm", name)(x, scale, bias, groups, 1e-6), expected, 2e-5)


@needs_numba
def test_groupnorm_of_a_map_that_is_all_alike_is_its_bias():
    bias = numbers(32)
    y = tiers.load("cpu").groupnorm(np.full((1, 20, 20, 32), 0.3, np.float32), numbers(32), bias, 32, 1e-6)
    # the rounding of the mean, 2e-8, times 1/√eps = 1000 and a scale
    np.testing.assert_allclose(y, np.broadcast_to(bias, y.shape), atol=2e-4)


@needs_numba
def test_groupnorm_refuses_groups_that_do_not_divide_the_channels():
    with pytest.raises(InputError, match="12 channels"):
        tiers.load("cpu").groupnorm(numbers(1, 2, 2, 12), numbers(12), numbers(12), 5, 1e-6)


def test_the_gradient_of_relu_passes_only_where_the_output_is_positive():
    y = np.array([0.0, 2.0, 0.0])
    np.testing.assert_array_equal(truth.backward.relu(np.array([3.0, 4.0, 5.0]), y), [0, 4, 0])


@needs_numba
@pytest.mark.parametrize("name", ["ref", "v1", "v2"])
@pytest.mark.parametrize("shape", [(2, 5, 4, 12), (1, 1, 1, 3), (2, 14, 15, 70)])
def test_pooling_takes_the_largest_of_what_is_inside(name, shape):
    x = -1 - np.abs(numbers(*shape))  # below zero: padding by zeros would show
    y = ref.max_pool(x, 3, 2) if name == "ref" else rung("max_pool", name)(x, 3, 2)
    for i, j in np.ndindex(y.shape[1:3]):
        top, left = (conv_ref.padding(size, 3, 2)[0] for size in shape[1:3])
        rows, columns = (slice(max(2 * k - first, 0), 2 * k - first + 3) for k, first in ((i, top), (j, left)))
        np.testing.assert_array_equal(y[:, i, j], x[:, rows, columns].max((1, 2)))


@needs_numba
def test_pooling_keeps_a_nan_visible_wherever_it_is_in_a_window():
    for place in np.ndindex(3, 3):
        x = numbers(1, 3, 3, 1)
        x[(0, *place)] = np.nan
        assert np.isnan(tiers.load("cpu").max_pool(x, 3, 3)).all() and np.isnan(ref.max_pool(x, 3, 3)).all()


def test_of_several_largest_the_first_gets_the_gradient():
    x = np.zeros((1, 2, 2, 1))
    y = truth.max_pool(x, 3, 2)
    np.testing.assert_array_equal(truth.backward.max_pool(np.ones_like(y), x, y, 3, 2).ravel(), [1, 0, 0, 0])
