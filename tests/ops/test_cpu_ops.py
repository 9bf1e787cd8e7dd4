"""The compiled ops: every rung against the NumPy reference in float64, on shapes that fill no register and no tile."""

import copy
import inspect
import threading
from pathlib import Path

import numpy as np
import pytest

from minivit import tiers
from minivit.config import ViTConfig, variant
from minivit.errors import InputError
from minivit.models import vit
from minivit.params import seeded
from minivit.trace import make_tap

pytest.importorskip("numba", reason="tier cpu needs Numba")

from minivit.ops.attention import cpu as attention
from minivit.ops.gelu import cpu as gelu
from minivit.ops.layernorm import cpu as layernorm
from minivit.ops.linear import cpu as linear
from minivit.ops.linear.packed import PackedMatrix
from minivit.ops.patches import cpu as patches
from minivit.ops.simd import team
from minivit.ops.simd.arrays import refuse_too_much
from minivit.ops.softmax import cpu as softmax

DTYPES = tiers.TIERS["cpu"]
truth = tiers.load("ref", "float64")
rng = np.random.default_rng(0)
SMALL = ViTConfig("small", 8, 24, 2, 3, 40, classes=5, image=(24, 32))


def numbers(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def close(found, expected, tolerance=2e-6):
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("rung", linear.LADDER)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 24, 40), (13, 100, 33), (50, 771, 70)])
def test_linear_is_right_on_every_rung(rung, shape):
    rows, inputs, outputs = shape
    x, w, b = numbers(2, rows, inputs), numbers(inputs, outputs), numbers(outputs)
    close(linear.LADDER[rung](x, w, b), truth.linear(x.astype(float), w, b))


def test_linear_without_a_bias_adds_nothing():
    x, w = numbers(7, 20), numbers(20, 9)
    close(linear.linear(x, PackedMatrix(w)), x.astype(float) @ w)


def test_a_copied_matrix_does_not_point_into_the_original():
    x, w = numbers(3, 20), numbers(20, 9)
    original = PackedMatrix(w)
    copied = copy.deepcopy(original)
    original.panels[:] = 0
    close(linear.linear(x, copied), x.astype(float) @ w)


@pytest.mark.parametrize("rung", layernorm.LADDER)
@pytest.mark.parametrize("width", [1, 24, 50, 192])
def test_layernorm_is_right_on_every_rung(rung, width):
    x, scale, bias = numbers(3, 5, width) + 3, numbers(width), numbers(width)
    close(layernorm.LADDER[rung](x, scale, bias, 1e-6), truth.layernorm(x.astype(float), scale, bias, 1e-6), 1e-5)


@pytest.mark.parametrize("rung", softmax.LADDER)
@pytest.mark.parametrize("n", [1, 17, 50, 197])
def test_softmax_is_right_on_every_rung(rung, n):
    x = 5 * numbers(3, 7, n)
    close(softmax.LADDER[rung](x), truth.softmax(x.astype(float)))


@pytest.mark.parametrize("kind", ["tanh", "erf"])
@pytest.mark.parametrize("rung", gelu.LADDER)
def test_gelu_is_right_on_every_rung(rung, kind):
    x = np.linspace(-40, 40, 4003, dtype=np.float32).reshape(1, -1)
    close(gelu.LADDER[rung](x, kind), truth.gelu(x.astype(float), kind), 1e-7)


@pytest.mark.parametrize("kind", ["tanh", "erf"])
def test_gelu_of_bfloat16_models_is_closer_than_bfloat16_and_keeps_what_is_not_finite(kind):
    x = np.linspace(-40, 40, 40003, dtype=np.float32)
    for dtype, error in (("float32", 1e-6), ("bfloat16", 1.2e-4)):
        found = gelu.function(dtype)(x, kind)
        assert np.abs(found - truth.gelu(x.astype(float), kind)).max() <= error
        np.testing.assert_array_equal(gelu.function(dtype)(np.float32([np.nan, 100, -100]), kind), [np.nan, 100, 0])


@pytest.mark.parametrize("rung", attention.LADDER)
@pytest.mark.parametrize(("n", "width"), [(1, 8), (13, 24), (50, 64), (70, 80)])
def test_attention_is_right_on_every_rung(rung, n, width):
    q, k, v = numbers(3, 2, 3, n, width)
    expected = truth.mix(truth.softmax(truth.scores(q.astype(float), k)), v)
    close(attention.LADDER[rung](q, k, v), expected)


@pytest.mark.parametrize("rung", patches.LADDER)
def test_patch_embedding_is_right_on_every_rung_and_drops_what_does_not_fill_a_patch(rung):
    images, w, b = numbers(2, 37, 50, 3), numbers(8, 8, 3, 20), numbers(20)
    close(patches.LADDER[rung](images, w, b), truth.patch_embed(images.astype(float), w, b))


def test_signatures_are_those_of_the_reference():
    ours, theirs = tiers.load("cpu"), tiers.load("ref")
    for op in tiers.FOLDERS:
        assert inspect.signature(getattr(ours, op)) == inspect.signature(getattr(theirs, op)), op


def test_exp_and_softmax_keep_a_nan_visible():
    x = numbers(2, 40)
    x[1, 3] = np.nan
    y = softmax.softmax(x)
    assert np.isfinite(y[0]).all() and np.isnan(y[1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fused_pass_and_a_traced_one_agree_to_the_last_bit(dtype):
    ops = tiers.load("cpu", dtype)
    params, images = ops.prepare(seeded(SMALL)), numbers(3, 24, 32, 3)
    traced = vit.forward(params, images, SMALL, ops, make_tap(SMALL, "*"))
    np.testing.assert_array_equal(vit.forward(params, images, SMALL, ops), traced)


def test_the_encoder_in_one_kernel_is_its_blocks_one_by_one():
    ops = tiers.load("cpu")
    params, x = ops.prepare(seeded(SMALL)), numbers(30, SMALL.tokens, SMALL.width)
    one_by_one = x
    for p in params["blocks"]:
        one_by_one = ops.fused["block"](p, one_by_one, SMALL)
    np.testing.assert_array_equal(ops.fused["encoder"](params["blocks"], x, SMALL), one_by_one)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-3), ("bfloat16", 2e-2), ("int8", 4e-2)])
def test_small_weights_cost_accuracy_but_not_more_than_their_rounding(dtype, tolerance):
    # halves of a unit in the last place: 5e-4, 4e-3 and 4e-3 (of the largest of a row), over some ten roundings
    params, images = seeded(SMALL), np.random.default_rng(5).random((2, 24, 32, 3), np.float32)
    ops = tiers.load("cpu", dtype)
    exact = vit.forward(params, images, SMALL, tiers.load("ref"))
    found = vit.forward(ops.prepare(params), images, SMALL, ops)
    error = np.abs(found - exact).max() / np.abs(exact).max()
    assert tolerance / 100 < error < tolerance


def test_half_precision_weights_take_half_the_memory_and_int8_a_quarter():
    params = seeded(variant("Ti/16"))

    def size(dtype):
        blocks = tiers.load("cpu", dtype).prepare(params)["blocks"]
        return sum(p["mlp"]["fc1"]["w"].nbytes for p in blocks[1:])

    assert size("bfloat16") == size("float16") == size("float32") / 2
    assert size("int8") < 0.27 * size("float32")


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_bit(threads):
    ops = tiers.load("cpu")
    params, images = ops.prepare(seeded(SMALL)), numbers(4, 24, 32, 3)
    expected = vit.forward(params, images, SMALL, ops)
    before = team.team().threads
    try:
        team.set_threads(min(threads, before))
        for _ in range(20):
            np.testing.assert_array_equal(vit.forward(params, images, SMALL, ops), expected)
    finally:
        team.set_threads(before)


def test_two_models_run_in_two_python_threads():
    models = []
    for dtype in ("float32", "int8"):
        ops = tiers.load("cpu", dtype)
        params, images = ops.prepare(seeded(SMALL)), numbers(2, 24, 32, 3)
        models.append((params, images, ops, vit.forward(params, images, SMALL, ops)))
    wrong = []

    def run(params, images, ops, expected):
        for _ in range(100):
            if not np.array_equal(vit.forward(params, images, SMALL, ops), expected):
                wrong.append(ops.dtype)

    threads = [threading.Thread(target=run, args=model) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="free memory is read from /proc")
def test_work_memory_that_is_not_free_is_refused_with_the_figure():
    with pytest.raises(InputError, match=r"needs 1152921504\.6 GB of work memory"):
        refuse_too_much(1 << 60)
    refuse_too_much(1 << 20)


def test_batch_and_resolution_may_change_without_preparing_again():
    ops, reference = tiers.load("cpu"), tiers.load("ref", "float64")
    params = seeded(SMALL)
    prepared, exact = ops.prepare(params), reference.prepare(params)
    for batch, height, width in ((1, 24, 32), (5, 40, 32), (2, 24, 32)):
        images = numbers(batch, height, width, 3)
        close(
            vit.forward(prepared, images, SMALL, ops), vit.forward(exact, images.astype(float), SMALL, reference), 1e-5
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_int8_names_the_tensor_that_is_not_finite(bad):
    ops, params = tiers.load("cpu", "int8"), seeded(SMALL)
    params["blocks"][1]["mlp"]["fc1"]["b"][3] = bad
    with pytest.raises(InputError, match=r"block1\.mlp\.act has a NaN or an infinity"):
        vit.forward(ops.prepare(params), numbers(1, 24, 32, 3), SMALL, ops)


def test_bad_tier_arguments_are_errors_that_say_what_is_possible():
    with pytest.raises(InputError, match="bfloat16 or float16 or int8, not with 'float8'"):
        tiers.load("cpu", "float8")
    with pytest.raises(InputError, match="0 threads asked for; this machine runs 1 to"):
        tiers.load("cpu", threads=0)
    with pytest.raises(InputError, match="OPENBLAS_NUM_THREADS"):
        tiers.load("ref", threads=2)


def test_wrong_widths_are_refused_before_memory_is_read():
    with pytest.raises(InputError, match="x has 5 numbers per row, expected 6"):
        linear.linear(numbers(2, 5), numbers(6, 3))
    with pytest.raises(InputError, match="expected 8, the width of x"):
        layernorm.layernorm(numbers(2, 8), numbers(7), numbers(8), 1e-6)
    with pytest.raises(InputError, match="the images have 1 channels"):
        patches.patch_embed(numbers(1, 16, 16, 1), numbers(8, 8, 3, 4), numbers(4))
