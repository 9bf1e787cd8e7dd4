"""Every rung of LayerNorm and softmax against float64: odd widths, rows that do not fill a block, random schedules."""

import numpy as np
import pytest
from simulated import agrees

from minivit.errors import InputError
from minivit.gpu.arrays import on_device
from minivit.gpu.formats import BFLOAT16, FLOAT32, FORMATS
from minivit.ops.layernorm import gpu as layernorm
from minivit.ops.layernorm import ref as layernorm_ref
from minivit.ops.softmax import gpu as softmax
from minivit.ops.softmax import ref as softmax_ref

#: one number, less than a warp, not a multiple of four, the DeiT-tiny width
WIDTHS = 1, 5, 33, 131, 192
EPS = 1e-6


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def normalised(rung, x, eps=EPS):
    # what the rung gives, and what float64 gives from the very same (rounded) numbers
    width = x.shape[-1]
    scale, bias = 1 + numbers(width, seed=1), numbers(width, seed=2)
    truth = layernorm_ref.layernorm(*(np.asarray(v).astype(np.float64) for v in (x, scale, bias)), eps)
    return layernorm.LADDER[rung](x, scale, bias, eps), truth


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rung", layernorm.LADDER)
def test_layernorm_takes_any_width(rung, width, seed):
    assert agrees(*normalised(rung, on_device(3 + numbers(3, 3, width))))


@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
@pytest.mark.parametrize("rung", layernorm.LADDER)
def test_layernorm_of_every_format(rung, format):
    assert agrees(*normalised(rung, on_device(numbers(5, 132), format)), format.name)


@pytest.mark.parametrize("rung", layernorm.LADDER)
def test_eps_is_inside_the_root(rung):
    # the variance is 0.00188, so the place of eps = 0.01 shows
    assert agrees(*normalised(rung, np.array([[1.0, 1.0, 1.0, 1.1, 1.0]], np.float32), eps=0.01))


@pytest.mark.parametrize("rung", layernorm.LADDER)
def test_layernorm_survives_a_mean_much_larger_than_the_spread(rung):
    # E[x²] − E[x]² would lose all digits; 1000 + i/8 is exact in float32
    x = 1000 + np.round(8 * numbers(2, 64)) / 8
    assert agrees(*normalised(rung, x))


def test_layernorm_writes_the_format_that_its_scale_asks_for():
    x, scale, bias = numbers(3, 8), on_device(numbers(8, seed=1)), numbers(8, seed=2)
    scale.output = BFLOAT16
    y = layernorm.layernorm(x, scale, bias, EPS)
    assert y.format is BFLOAT16 and agrees(y, layernorm_ref.layernorm(x, np.asarray(scale), bias, EPS), "bfloat16")


def test_rows_too_wide_for_registers_take_another_rung():
    assert agrees(*normalised("v3", numbers(1, layernorm.IN_REGISTERS + 3)))
    x = numbers(1, softmax.IN_REGISTERS + 3)
    assert agrees(softmax.softmax(x), softmax_ref.softmax(x.astype(np.float64)))


def test_layernorm_refuses_a_scale_that_does_not_fit():
    with pytest.raises(InputError, match="4 scales and 5 biases, expected 5"):
        layernorm.layernorm(numbers(2, 5), numbers(4), numbers(5), EPS)


@pytest.mark.parametrize("n", [1, 2, 17, 197])
@pytest.mark.parametrize("rung", softmax.LADDER)
def test_softmax_takes_any_length(rung, n, seed):
    x = 3 * numbers(2, 3, n)
    assert agrees(softmax.LADDER[rung](x), softmax_ref.softmax(x.astype(np.float64)))


@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
@pytest.mark.parametrize("rung", softmax.LADDER)
def test_softmax_of_every_format(rung, format):
    x = on_device(numbers(2, 577), format)
    assert agrees(softmax.LADDER[rung](x), softmax_ref.softmax(np.asarray(x).astype(np.float64)), format.name)


@pytest.mark.parametrize("rung", softmax.LADDER)
def test_softmax_does_not_overflow(rung):
    x = np.array([[1000.0, 999.0, -1000.0], [-1000.0, -1001.0, -1002.0]], np.float32)
    assert agrees(softmax.LADDER[rung](x), softmax_ref.softmax(x.astype(np.float64)))


def test_a_view_is_normalised_as_what_it_shows():
    x = numbers(3, 4, 6)
    assert agrees(softmax.softmax(on_device(x).transpose(1, 2, 0)), softmax_ref.softmax(x.transpose(1, 2, 0)))
    scale, bias = np.ones(6, np.float32), np.zeros(6, np.float32)
    y = layernorm.layernorm(on_device(x, FLOAT32)[:, 1], scale, bias, EPS)
    assert agrees(y, layernorm_ref.layernorm(x[:, 1], scale, bias, EPS))
