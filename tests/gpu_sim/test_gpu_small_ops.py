"""Patch embedding, prepended tokens, pooling, tanh and the resize of positions, against float64."""

import numpy as np
import pytest
from simulated import agrees, error

from minivit.errors import InputError
from minivit.gpu.arrays import on_device
from minivit.gpu.formats import BFLOAT16, FLOAT16, FLOAT32, FORMATS
from minivit.ops.embed import gpu as embed
from minivit.ops.embed import ref as embed_ref
from minivit.ops.patches import gpu as patches
from minivit.ops.patches import ref as patches_ref
from minivit.ops.pool import gpu as pool
from minivit.ops.pool import ref as pool_ref
from minivit.ops.positions import gpu as positions
from minivit.ops.positions import ref as positions_ref
from minivit.ops.tanh import gpu as tanh

MODES = (
    "corner_bilinear", "bilinear", "bicubic", "bicubic_antialias", "bicubic_antialias_float32", "corner_bilinear_scipy",
)  # fmt: skip
#: images, patch side, width: borders that fill no patch; one channel; patches that are read four numbers at a time
IMAGES = ((2, 9, 11, 3), 4, 7), ((1, 10, 10, 1), 5, 24), ((3, 8, 16, 3), 4, 40)


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def exact(x):
    return np.asarray(x).astype(np.float64)


@pytest.mark.parametrize(("shape", "side", "width"), IMAGES, ids=str)
@pytest.mark.parametrize(
    ("rung", "format"), [("v1", FLOAT32), ("v2", FLOAT32), ("v1", FLOAT16), ("v3", FLOAT16), ("v3", BFLOAT16)], ids=str
)
def test_patches_of_any_image(rung, format, shape, side, width):
    w, b = on_device(numbers(side, side, shape[3], width), format), numbers(width, seed=1)
    truth = patches_ref.patch_embed(exact(numbers(*shape)), exact(w), exact(b))
    assert agrees(patches.LADDER[rung](numbers(*shape), w, b), truth, format.name)


def test_patches_under_other_schedules(seed):
    images, w, b = numbers(2, 8, 8, 3), numbers(4, 4, 3, 12, seed=1), numbers(12, seed=2)
    for format in (FLOAT32, BFLOAT16):
        kept = on_device(w, format)
        truth = patches_ref.patch_embed(exact(images), exact(kept), exact(b))
        assert agrees(patches.patch_embed(images, kept, b), truth, format.name)


def test_the_stream_starts_in_the_format_that_the_weights_ask_for():
    w = on_device(numbers(2, 2, 3, 8), BFLOAT16)
    w.output = FLOAT32
    assert patches.patch_embed(numbers(1, 4, 4, 3), w, numbers(8)).format is FLOAT32


def test_images_with_other_channels_are_refused():
    with pytest.raises(InputError, match="the images have 1 channels"):
        patches.patch_embed(numbers(1, 4, 4, 1), numbers(2, 2, 3, 8), numbers(8))


def test_a_rung_of_patches_says_which_formats_it_multiplies():
    with pytest.raises(InputError, match="v3 multiplies float16 or bfloat16"):
        patches.LADDER["v3"](numbers(1, 4, 4, 3), numbers(2, 2, 3, 8), numbers(8))


@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
@pytest.mark.parametrize("tokens", [1, 2])
def test_prepended_tokens(tokens, format):
    x, prefix = on_device(numbers(3, 4, 5), format), numbers(1, tokens, 5, seed=1)
    y = embed.prepend(x, prefix)
    assert y.format is format and agrees(y, embed_ref.prepend(exact(x), prefix), format.name)


def test_a_prefix_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"shape \(1, 1, 4\), expected \(1, 1, 5\)"):
        embed.prepend(numbers(3, 4, 5), numbers(1, 1, 4))


@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
@pytest.mark.parametrize("how", ["token", "gap", "unpooled", "token_unpooled"])
@pytest.mark.parametrize("prefix", [0, 2])
def test_pooling(how, prefix, format):
    x = on_device(numbers(3, 6, 5), format)
    assert agrees(pool.pool(x, how, prefix), pool_ref.pool(exact(x), how, prefix), format.name)


@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
def test_tanh(format):
    x = on_device(5 * numbers(3, 50), format)
    assert agrees(tanh.tanh(x), np.tanh(exact(x)), format.name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("new", [(5, 2), (7, 9)], ids=str)
def test_positions_at_another_resolution(new, mode):
    table = numbers(1, 1 + 12, 5)
    truth = positions_ref.resize_positions(exact(table), (3, 4), new, 1, mode)
    assert error(positions.resize_positions(table, (3, 4), new, 1, mode), truth) <= 2e-6


def test_positions_in_halves():
    table = on_device(numbers(1, 2 + 12, 5), BFLOAT16)
    truth = positions_ref.resize_positions(exact(table), (3, 4), (2, 5), 2, "bicubic")
    assert agrees(positions.resize_positions(table, (3, 4), (2, 5), 2, "bicubic"), truth, "bfloat16")


def test_positions_at_the_trained_resolution_are_left_alone():
    table = on_device(numbers(1, 5, 3))
    assert positions.resize_positions(table, (2, 2), (2, 2), 1, "bicubic") is table
