"""Convolution, GroupNorm, ReLU and max-pooling: every rung against float64, on odd maps, under random schedules."""

import numpy as np
import pytest
from simulated import agrees, error

from minivit.errors import InputError
from minivit.gpu.arrays import on_device
from minivit.gpu.formats import BFLOAT16, FLOAT16, FLOAT32, FORMATS
from minivit.ops.conv import gpu as conv
from minivit.ops.conv import gpu_halves as halves
from minivit.ops.conv import ref as conv_ref
from minivit.ops.groupnorm import gpu as groupnorm
from minivit.ops.groupnorm import ref as groupnorm_ref
from minivit.ops.max_pool import gpu as max_pool
from minivit.ops.max_pool import ref as max_pool_ref
from minivit.ops.relu import gpu as relu

RUNGS = ("v1", FLOAT32), ("v1", BFLOAT16), ("v2", FLOAT32), ("v3", FLOAT16), ("v3", BFLOAT16)
#: map, side of the windows, stride, outputs: padding on one side only, on both, or none; channels that are no multiple
#: of four or eight; more windows and outputs than a tile; windows larger than the map; one pixel
CASES = (
    ((2, 5, 7, 3), 3, 2, 5), ((1, 6, 4, 8), 1, 1, 16), ((1, 9, 6, 5), 7, 2, 8), ((1, 9, 8, 4), 3, 1, 12),
    ((2, 5, 6, 8), 1, 2, 24), ((1, 2, 3, 9), 5, 1, 33), ((1, 1, 1, 2), 3, 2, 1), ((1, 6, 12, 8), 3, 1, 40),
)  # fmt: skip
#: what is lost by two halves: 2⁻²² and 2⁻¹⁶ per number, and sums in float32
TWO_HALVES = {"float32": 1e-6, "float16": 1e-6, "bfloat16": 2e-5}
EPS = 1e-6


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def exact(x):
    return np.asarray(x).astype(np.float64)


def convolved(rung, format, shape, side, stride, outputs, op=conv):
    """(found, truth): weights are rounded to `format`, the map is not."""
    x, w = numbers(*shape), on_device(numbers(side, side, shape[3], outputs, seed=1), format)
    return op.LADDER[rung](x, w, stride), conv_ref.conv(exact(x), exact(w), stride)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(("rung", "format"), RUNGS, ids=str)
def test_a_convolution_of_any_map(rung, format, case):
    assert error(*convolved(rung, format, *case)) < TWO_HALVES[format.name]


@pytest.mark.parametrize(("rung", "format"), RUNGS, ids=str)
def test_a_convolution_under_other_schedules(rung, format, seed):
    assert error(*convolved(rung, format, (1, 5, 4, 8), 3, 2, 8)) < TWO_HALVES[format.name]


@pytest.mark.parametrize("format", [FLOAT16, BFLOAT16], ids=str)
def test_weights_of_a_model_lose_no_more_than_maps(format):
    # as ops.prepare keeps them: in float32, whatever they are multiplied in
    x, w = numbers(1, 4, 5, 8), numbers(3, 3, 8, 8, seed=1)
    assert error(conv.conv(x, halves.weights(w, format), 1), conv_ref.conv(exact(x), exact(w), 1)) < 2e-5
    rounded = exact(on_device(w, format))
    assert error(conv_ref.conv(exact(x), rounded, 1), conv_ref.conv(exact(x), exact(w), 1)) > 1e-4


@pytest.mark.parametrize("format", [FLOAT16, BFLOAT16], ids=str)
@pytest.mark.parametrize("channels", [3, 8, 12])
def test_a_map_in_two_halves_is_the_same_map(channels, format):
    x = numbers(2, 3, 4, channels)
    two = halves.in_two_halves(on_device(x), format)
    assert two.shape == (2, 3, 4, 2, halves.filled_up(channels)) and halves.in_two_halves(two, format) is two
    rounded, rest = np.moveaxis(exact(two), 3, 0)
    assert error((rounded + rest)[..., :channels], x) < 2e-5 and not np.any((rounded + rest)[..., channels:])
    assert np.array_equal(rounded[..., :channels], exact(on_device(x, format)))


@pytest.mark.parametrize(("eps", "eps_on"), [(1e-5, "std"), (1e-8, "variance")])
def test_weights_are_standardised_once(eps, eps_on):
    w = halves.weights(3 + numbers(3, 3, 4, 5), BFLOAT16)
    found = conv.standardise(w, eps, eps_on)
    assert found is conv.standardise(w, eps, eps_on) and found.format is BFLOAT16
    assert error(found, conv_ref.standardise(exact(w), eps, eps_on)) < 1e-6
    assert conv.standardise(w, 0.1, eps_on) is not found


def test_what_does_not_fit_is_refused():
    x, w = numbers(1, 4, 4, 3), numbers(3, 3, 2, 8)
    with pytest.raises(InputError, match=r"the map has 3 channels, w has shape \(3, 3, 2, 8\)"):
        conv.conv(x, w, 1)
    with pytest.raises(InputError, match="expected \\(k,k,channels,·\\)"):
        conv.conv(x, numbers(3, 2, 3, 8), 1)
    with pytest.raises(InputError, match="v3 multiplies float16 or bfloat16"):
        conv.LADDER["v3"](x, numbers(3, 3, 3, 8), 1)
    with pytest.raises(InputError, match="v2 multiplies float32"):
        conv.LADDER["v2"](x, on_device(numbers(3, 3, 3, 8), FLOAT16), 1)
    with pytest.raises(InputError, match="groupnorm: 6 channels, 6 scales, 6 biases and 4 groups"):
        groupnorm.groupnorm(numbers(1, 2, 2, 6), numbers(6), numbers(6), 4, EPS)
    with pytest.raises(InputError, match="groupnorm: 6 channels, 5 scales"):
        groupnorm.LADDER["v1"](numbers(1, 2, 2, 6), numbers(5), numbers(6), 3, EPS)


#: map, groups: fewer pixels than a part, several parts with a rest, channels that are no multiple of four, one pixel
MAPS = ((2, 5, 7, 8), 4), ((1, 3, 3, 6), 3), ((3, 6, 7, 10), 2), ((2, 1, 1, 4), 2), ((1, 9, 11, 64), 32)


def normed(rung, shape, groups, eps=EPS, op=groupnorm, mean=3.0):
    x, scale, bias = mean + numbers(*shape), 1 + numbers(shape[3], seed=1), numbers(shape[3], seed=2)
    truth = groupnorm_ref.groupnorm(exact(x), exact(scale), exact(bias), groups, eps)
    return op.LADDER[rung](x, scale, bias, groups, eps), truth


@pytest.mark.parametrize(("shape", "groups"), MAPS, ids=str)
@pytest.mark.parametrize("rung", groupnorm.LADDER)
def test_groupnorm_of_any_map(rung, shape, groups):
    assert agrees(*normed(rung, shape, groups))


@pytest.mark.parametrize("rung", groupnorm.LADDER)
def test_groupnorm_under_other_schedules(rung, seed):
    assert agrees(*normed(rung, (2, 5, 8, 12), 3))


@pytest.mark.parametrize("rung", groupnorm.LADDER)
def test_eps_of_groupnorm_is_inside_the_root(rung):
    assert agrees(*normed(rung, (1, 5, 7, 4), 2, eps=0.5))


@pytest.mark.parametrize("rung", groupnorm.LADDER)
def test_groupnorm_survives_a_mean_much_larger_than_the_spread(rung):
    # E[x²] − E[x]² would lose all digits; 1000 + i/8 is exact in float32
    x = 1000 + np.round(8 * numbers(1, 7, 9, 4)) / 8
    scale, bias = np.ones(4, np.float32), np.zeros(4, np.float32)
    assert agrees(groupnorm.LADDER[rung](x, scale, bias, 2, EPS), groupnorm_ref.groupnorm(exact(x), 1, 0, 2, EPS))


@pytest.mark.parametrize("output", FORMATS.values(), ids=str)
@pytest.mark.parametrize("residual", FORMATS.values(), ids=str)
@pytest.mark.parametrize("channels", [8, 6])
def test_the_last_pass_adds_the_residual_and_does_relu(channels, residual, output, seed):
    x, other = numbers(2, 3, 5, channels), numbers(2, 3, 5, channels, seed=3)
    scale, bias = numbers(channels, seed=1), numbers(channels, seed=2)
    given = on_device(other) if residual is FLOAT32 else halves.in_two_halves(on_device(other), residual)
    y = groupnorm.normalised(x, scale, bias, 2, EPS, relu=True, residual=given, output=output)
    truth = np.maximum(groupnorm_ref.groupnorm(exact(x), exact(scale), exact(bias), 2, EPS) + other, 0)
    found = exact(y) if output is FLOAT32 else exact(y).sum(3)[..., :channels]
    assert error(found, truth) < 2e-5 and y.format is output
    if output is not FLOAT32:
        assert not np.any(exact(y)[..., channels:])


@pytest.mark.parametrize("side", [3, 2])
@pytest.mark.parametrize(("shape", "stride"), [((2, 5, 7, 8), 2), ((1, 4, 6, 3), 2), ((1, 3, 4, 5), 1)], ids=str)
@pytest.mark.parametrize("rung", max_pool.LADDER)
def test_max_pooling_of_any_map(rung, shape, stride, side, seed):
    x = numbers(*shape) - 3  # negative: what is outside of the map must not win
    assert np.array_equal(np.asarray(max_pool.LADDER[rung](x, side, stride)), max_pool_ref.max_pool(x, side, stride))


@pytest.mark.parametrize("channels", [8, 5])
def test_max_pooling_into_two_halves(channels):
    x = numbers(1, 5, 4, channels) - 3
    two = exact(max_pool.pooled(x, 3, 2, FLOAT16))
    assert error(two.sum(3)[..., :channels], max_pool_ref.max_pool(exact(x), 3, 2)) < 1e-6
    assert not np.any(two[..., channels:])


@pytest.mark.parametrize("rung", max_pool.LADDER)
def test_a_nan_stays_in_relu_and_max_pooling(rung):
    x = numbers(1, 4, 4, 4)
    x[0, 1, 1, 2] = np.nan
    assert np.array_equal(np.asarray(max_pool.LADDER[rung](x, 3, 2)), max_pool_ref.max_pool(x, 3, 2), equal_nan=True)
    assert np.array_equal(np.asarray(relu.LADDER[rung](x)), np.maximum(x, 0), equal_nan=True)


@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
@pytest.mark.parametrize("rung", relu.LADDER)
def test_relu(rung, format, seed):
    x = on_device(numbers(3, 7, 25), format)
    assert np.array_equal(np.asarray(relu.LADDER[rung](x)), np.maximum(np.asarray(x), 0))
