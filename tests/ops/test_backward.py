"""The backward of every NumPy op: what it means, one cause per test.  That its numbers are right: tests/check."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivit import tiers
from minivit.check.gradcheck import CASES
from minivit.config import POSITION_RESIZES
from minivit.errors import InputError
from minivit.ops.cross_entropy.ref import one_hot
from minivit.ops.gelu.ref import CHUNK
from minivit.trace import compare

ops = tiers.load("ref", "float64")
back = ops.backward
rng = np.random.default_rng(0)
side = st.integers(1, 6)


def run_backward(case, dtype):
    # -> inputs, gradients, the same numbers in every dtype; no array may be written to
    rng = np.random.default_rng(1)
    shapes, forward, backward = CASES[case]
    inputs = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    y = np.asarray(forward(ops, *inputs))
    dy = rng.standard_normal(y.shape).astype(dtype) if y.shape else dtype(1)
    for x in (*inputs, y, np.asarray(dy)):
        x.flags.writeable = False
    found = backward(back, dy, y, *inputs)
    return inputs, found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_gradients_have_the_shapes_and_dtype_of_the_inputs_which_stay_as_they_were(case, dtype):
    inputs, found = run_backward(case, dtype)
    assert [(g.shape, g.dtype) for g in found] == [(x.shape, x.dtype) for x in inputs]


@pytest.mark.parametrize("case", [case for case in CASES if case != "resize_positions"])
def test_float32_gradients_are_those_of_float64(case):
    _, in_single = run_backward(case, np.float32)
    _, in_double = run_backward(case, np.float64)
    for single, double in zip(in_single, in_double, strict=True):
        assert compare(single, double, 2e-6)[0]


def assert_adjoint(y, dy, *pairs):
    """For a linear op, ⟨dy, f(x)⟩ = ⟨f_backward(dy), x⟩: the definition of a transposed matrix."""
    np.testing.assert_allclose(np.vdot(dy, y), sum(np.vdot(d, x) for d, x in pairs), rtol=1e-10, atol=1e-10)


@given(B=side, N=side, inputs=side, outputs=side, seed=side)
@settings(max_examples=30, deadline=None)
def test_linear_backward_is_the_transpose_for_any_shape(B, N, inputs, outputs, seed):
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape) for shape in ((B, N, inputs), (inputs, outputs), (outputs,)))
    dy = rng.standard_normal((B, N, outputs))
    dx, dw, db = back.linear(dy, x, w)
    assert_adjoint(x @ w, dy, (dx, x))
    assert_adjoint(x @ w, dy, (dw, w))
    assert_adjoint(np.broadcast_to(b, dy.shape), dy, (db, b))


@given(B=side, h=st.integers(2, 9), w=st.integers(2, 9), P=st.integers(1, 2), seed=side)
@settings(max_examples=30, deadline=None)
def test_patch_embed_backward_is_the_transpose_for_any_image_size(B, h, w, P, seed):
    rng = np.random.default_rng(seed)
    images, kernel = rng.standard_normal((B, h, w, 2)), rng.standard_normal((P, P, 2, 3))
    y = ops.patch_embed(images, kernel, np.zeros(3))
    dy = rng.standard_normal(y.shape)
    dimages, dw, db = back.patch_embed(dy, images, kernel)
    assert_adjoint(y, dy, (dimages, images))
    assert_adjoint(y, dy, (dw, kernel))
    np.testing.assert_allclose(db, dy.sum((0, 1)), rtol=1e-10, atol=1e-12)


def test_pixels_that_no_patch_covers_have_gradient_zero():
    images, w = rng.standard_normal((1, 5, 7, 2)), rng.standard_normal((2, 2, 2, 3))
    dimages, _, _ = back.patch_embed(rng.standard_normal((1, 6, 3)), images, w)
    assert not dimages[:, 4:].any() and not dimages[:, :, 6:].any() and dimages[:, :4, :6].all()


@pytest.mark.parametrize("mode", POSITION_RESIZES)
@pytest.mark.parametrize(("old", "new"), [((4, 3), (7, 5)), ((5, 6), (2, 3)), ((3, 2), (3, 5)), ((1, 1), (2, 3))])
def test_resize_positions_backward_is_the_transpose_in_every_mode(mode, old, new):
    table, dy = rng.standard_normal((1, 1 + old[0] * old[1], 4)), rng.standard_normal((1, 1 + new[0] * new[1], 4))
    y = ops.resize_positions(table, old, new, 1, mode)
    dtable = back.resize_positions(dy, old, new, 1, mode)
    rounding = 1e-5 if mode.endswith("float32") else 1e-12
    np.testing.assert_allclose(np.vdot(dtable, table), np.vdot(dy, y), rtol=rounding, atol=rounding)
    np.testing.assert_array_equal(dtable[:, 0], dy[:, 0])


@given(B=side, N=st.integers(2, 6), prefix=st.integers(0, 1), how=st.sampled_from(["token", "gap", "unpooled"]))
@settings(max_examples=30, deadline=None)
def test_pool_backward_is_the_transpose(B, N, prefix, how):
    x = rng.standard_normal((B, N, 3))
    y = ops.pool(x, how, prefix)
    dy = rng.standard_normal(y.shape)
    assert_adjoint(y, dy, (back.pool(dy, N, how, prefix), x))


def test_prepend_backward_adds_up_what_all_images_say_about_a_token():
    dy, prefix = rng.standard_normal((3, 5, 2)), np.zeros((1, 2, 2))
    dpatches, dprefix = back.prepend(dy, prefix)
    np.testing.assert_array_equal(dpatches, dy[:, 2:])
    np.testing.assert_allclose(dprefix[0], dy[0, :2] + dy[1, :2] + dy[2, :2])


@given(rows=side, width=st.integers(2, 9), shift=st.floats(-5, 5), stretch=st.floats(0.5, 5))
@settings(max_examples=30, deadline=None)
def test_layernorm_passes_nothing_on_that_shifts_or_stretches_a_row(rows, width, shift, stretch):
    x = np.random.default_rng(rows).standard_normal((rows, width)) * stretch + shift
    dy, scale = rng.standard_normal((2, rows, width))
    dx, _, _ = back.layernorm(dy, x, scale[0], 1e-12)
    size = np.abs(dx).max() + 1
    np.testing.assert_allclose(dx.sum(-1) / size, 0, atol=1e-8)
    np.testing.assert_allclose((dx * x).sum(-1) / size, 0, atol=1e-7)


@given(rows=side, width=st.integers(1, 9), size=st.floats(0.1, 50))
@settings(max_examples=30, deadline=None)
def test_softmax_passes_nothing_on_that_lifts_a_row(rows, width, size):
    p = ops.softmax(rng.standard_normal((rows, width)) * size)
    dx = back.softmax(rng.standard_normal((rows, width)), p)
    np.testing.assert_allclose(dx.sum(-1), 0, atol=1e-14)


def test_a_certain_softmax_passes_nothing_on():
    assert not back.softmax(rng.standard_normal((1, 3)), np.array([[0.0, 1.0, 0.0]])).any()


@pytest.mark.parametrize("kind", ["tanh", "erf"])
def test_gelu_backward_runs_over_chunks_and_axes(kind):
    x = rng.standard_normal((3, CHUNK // 2 + 5)).astype(np.float32)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    found = back.gelu(dy, x, kind)
    by_row = np.stack([back.gelu(dy[i], x[i], kind) for i in range(3)])
    np.testing.assert_array_equal(found, by_row)


@pytest.mark.parametrize("kind", ["tanh", "erf"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_far_from_zero_is_a_step(kind, dtype):
    x = np.array([-1e9, -1e4, -40, 40, 1e4, 1e9], dtype)
    with np.errstate(all="raise", under="ignore"):
        slope = back.gelu(np.ones_like(x), x, kind)
    np.testing.assert_allclose(slope, [0, 0, 0, 1, 1, 1], atol=1e-6)


def test_cross_entropy_is_minus_the_log_of_the_probability_of_the_label():
    logits, labels = rng.standard_normal((4, 5)), np.array([0, 3, 3, 1])
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(probabilities[np.arange(4), labels]).mean()
    np.testing.assert_allclose(ops.cross_entropy(logits, one_hot(labels, 5)), expected, rtol=1e-14)


def test_cross_entropy_of_uniform_logits_is_the_log_of_the_number_of_classes():
    np.testing.assert_allclose(ops.cross_entropy(np.zeros((2, 8)), one_hot([1, 2], 8, smoothing=0.3)), np.log(8))


def test_cross_entropy_survives_extreme_logits():
    logits, targets = np.array([[1e4, -1e4, 0]], np.float32), one_hot([1], 3)
    with np.errstate(all="raise", under="ignore"):
        loss, gradient = ops.cross_entropy(logits, targets), back.cross_entropy(logits, targets)
    assert loss == 2e4
    np.testing.assert_array_equal(gradient, [[1, -1, 0]])


def test_cross_entropy_is_the_mean_over_all_tokens_of_unpooled_logits():
    logits, targets = rng.standard_normal((2, 3, 5)), rng.dirichlet(np.ones(5), (2, 3))
    rows = logits.reshape(6, 5), targets.reshape(6, 5)
    np.testing.assert_allclose(ops.cross_entropy(logits, targets), ops.cross_entropy(*rows))
    np.testing.assert_allclose(back.cross_entropy(logits, targets), back.cross_entropy(*rows).reshape(2, 3, 5))


def test_targets_that_do_not_quite_sum_to_one_have_their_own_gradient():
    logits, targets = rng.standard_normal((2, 5)), rng.random((2, 5))
    h, v = 1e-5, rng.standard_normal((2, 5))
    slope = (ops.cross_entropy(logits + h * v, targets) - ops.cross_entropy(logits - h * v, targets)) / (2 * h)
    np.testing.assert_allclose(np.vdot(back.cross_entropy(logits, targets), v), slope, rtol=1e-8)


def test_smoothed_targets_share_out_the_smoothing_over_all_classes():
    targets = one_hot([2, 0], 4, smoothing=0.2)
    np.testing.assert_allclose(targets, [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]], rtol=1e-6)
    assert targets.dtype == np.float32 and one_hot([[1, 0]], 2, dtype=np.float64).tolist() == [[[0, 1], [1, 0]]]


@pytest.mark.parametrize(("labels", "what"), [([0, 4], "got 4"), ([-1], "got -1"), ([0.5], "got float64")])
def test_a_label_that_is_no_class_is_named(labels, what):
    with pytest.raises(InputError, match=f"from 0 to 3, {what}"):
        one_hot(labels, 4)


def test_a_replaced_backward_is_the_one_that_is_called_and_the_forward_stays():
    mine = ops.replace(softmax_backward=lambda dp, p: p)
    assert mine.backward.softmax(1, 2) == 2
    assert mine.softmax is ops.softmax and mine.backward.gelu is back.gelu
    assert ops.backward.softmax is back.softmax, "the original has changed"
    assert ops.replace(softmax=np.sort).backward.softmax is back.softmax


def test_replacing_an_unknown_backward_names_the_nearest():
    with pytest.raises(InputError, match="softmax_backward"):
        ops.replace(softmax_backwards=None)


def test_every_tier_that_learns_has_a_backward_for_every_op():
    pytest.importorskip("numba")
    for tier in ("ref", "cpu"):
        assert vars(tiers.load(tier).backward).keys() == tiers.FOLDERS.keys()
