"""The compiled backward pass: every op, and the encoder that learns, against NumPy in float64, on awkward shapes."""

import dataclasses

import numpy as np
import pytest

from minivit import cost, tiers
from minivit.config import ViTConfig
from minivit.errors import InputError
from minivit.gradients import loss_and_gradients
from minivit.ops.cross_entropy.ref import one_hot
from minivit.params import flatten, seeded
from minivit.trace import NO_TAP, make_tap

pytest.importorskip("numba", reason="tier cpu needs Numba")

from minivit.ops.gelu import cpu as gelu
from minivit.ops.layernorm import cpu as layernorm
from minivit.ops.linear import cpu as linear
from minivit.ops.linear.packed import PackedMatrix
from minivit.ops.linear.trained import TrainedMatrix, can_learn
from minivit.ops.patches import cpu as patches
from minivit.ops.simd import team
from minivit.ops.simd.arrays import aligned

truth = tiers.load("ref", "float64")
rng = np.random.default_rng(0)

ODD = ViTConfig("odd", 8, 24, 2, 3, 40, classes=5, image=(24, 32))
#: one cause each: GELU, heads of width 1, wide heads, more tokens than a tile of queries, no biases, another pooling
CONFIGS = {
    "odd": ODD,
    "erf": dataclasses.replace(ODD, gelu="erf"),
    "narrow heads": dataclasses.replace(ODD, heads=24),
    "one head, wide": dataclasses.replace(ODD, width=70, heads=1, mlp=33),
    "many tokens": dataclasses.replace(ODD, patch=2, blocks=1),
    "no qkv bias, average": dataclasses.replace(ODD, qkv_bias=False, pool="gap", prefix=0),
    "one block, one token": dataclasses.replace(ODD, blocks=1, image=(8, 8), pool="gap", prefix=0),
}


def numbers(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def close(found, expected, tolerance=3e-6):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == np.float32
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 24, 40), (13, 100, 33), (801, 13, 70)])
def test_linear_backward_is_right(shape):
    rows, inputs, outputs = shape
    dy, x, w = numbers(2, rows, outputs), numbers(2, rows, inputs), numbers(inputs, outputs)
    expected = truth.backward.linear(dy.astype(float), x.astype(float), w)
    close(linear.linear_backward(dy, x, w), expected)
    close(linear.linear_backward(dy, x, PackedMatrix(w)), expected)
    close(linear.linear_backward(dy, x, TrainedMatrix(w.shape).pack(w)), expected)


def test_linear_backward_refuses_shapes_that_do_not_fit():
    with pytest.raises(InputError, match="do not fit"):
        linear.linear_backward(numbers(3, 5), numbers(3, 4), numbers(4, 6))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
def test_a_packed_matrix_unpacks_to_what_its_products_use(dtype):
    w = numbers(37, 70)
    packed = PackedMatrix(w, dtype)
    used = linear.linear(np.eye(37, dtype=np.float32), packed)
    assert np.abs(packed.unpacked() - used).max() <= (1e-2 if dtype == "int8" else 0)
    if dtype == "float32":
        assert (packed.unpacked() == w).all()


def test_a_trained_matrix_takes_over_new_numbers():
    first, second, x = numbers(20, 33), numbers(20, 33), numbers(7, 20)
    w = TrainedMatrix(first.shape).pack(first)
    w.pack(second)
    close([linear.linear(x, w)], [x.astype(float) @ second])


@pytest.mark.parametrize("width", [1, 24, 50, 192])
@pytest.mark.parametrize("rows", [1, 100])
def test_layernorm_backward_is_right(rows, width):
    dy, x, scale = numbers(rows, width), numbers(rows, width) + 3, numbers(width)
    expected = truth.backward.layernorm(dy.astype(float), x.astype(float), scale, 1e-3)
    for ours, theirs in zip(layernorm.layernorm_backward(dy, x, scale, 1e-3), expected, strict=True):
        # with one number per row all is zero but for rounding
        assert np.abs(ours - theirs).max() <= 1e-5 * max(np.abs(theirs).max(), 1 if width == 1 else 0)


@pytest.mark.parametrize("kind", ["tanh", "erf"])
def test_gelu_backward_is_right_from_end_to_end(kind):
    x = np.concatenate([np.linspace(-12, 12, 5001), [-1e9, -100, 0, 100, 1e9]]).astype(np.float32)
    dy = np.ones_like(x)
    close([gelu.gelu_backward(dy, x, kind)], [truth.backward.gelu(dy.astype(float), x.astype(float), kind)])


def test_patch_embed_backward_is_right():
    dy, images, w = numbers(2, 12, 10), numbers(2, 26, 33, 3), numbers(8, 8, 3, 10)
    expected = truth.backward.patch_embed(dy.astype(float), images.astype(float), w)
    close(patches.patch_embed_backward(dy, images, w), expected)


def gradients(config, ops, batch=5, tap=None):
    """(loss, {name: gradient}) of seeded parameters on seeded images."""
    own = np.random.default_rng(1)
    images = own.standard_normal((batch, *config.image, 3)).astype(ops.activations)
    targets = one_hot(np.arange(batch) % config.classes, config.classes, 0.1, ops.activations)
    loss, _, tree = loss_and_gradients(ops.prepare(seeded(config, 3)), images, targets, config, ops, tap)
    return loss, {name: np.array(gradient) for name, gradient in flatten(tree).items()}


def assert_same(found, expected, tolerance):
    """Relative to the largest entry of each gradient; those that vanish (the key biases), to the largest of all."""
    assert abs(found[0] - expected[0]) <= tolerance * expected[0]
    assert found[1].keys() == expected[1].keys()
    largest = max(np.abs(gradient).max() for gradient in expected[1].values())
    for name, gradient in expected[1].items():
        error = np.abs(found[1][name] - gradient).max()
        assert error <= tolerance * max(np.abs(gradient).max(), 1e-3 * largest), name


@pytest.mark.parametrize("name", CONFIGS)
def test_the_learning_encoder_has_the_gradients_of_numpy(name):
    config = CONFIGS[name]
    assert_same(gradients(config, tiers.load("cpu", training=True)), gradients(config, truth), 1e-5)


def test_the_step_written_out_has_the_same_gradients():
    ops, nobody = tiers.load("cpu", training=True), (make_tap(ODD, "block0.mlp.pre"), NO_TAP)
    assert_same(gradients(ODD, ops, tap=nobody), gradients(ODD, truth), 1e-5)


def test_gradients_work_with_weights_packed_for_inference():
    assert_same(gradients(ODD, tiers.load("cpu")), gradients(ODD, truth), 1e-5)


@pytest.mark.skipif(not can_learn("bfloat16"), reason="this CPU does not multiply bfloat16")
def test_bfloat16_learning_rounds_as_bfloat16_does():
    assert_same(gradients(ODD, tiers.load("cpu", "bfloat16", training=True)), gradients(ODD, truth), 0.03)


def test_learning_in_a_dtype_that_cannot_is_refused():
    with pytest.raises(InputError, match="cannot train with int8"):
        tiers.load("cpu", "int8", training=True)


def test_a_second_batch_of_another_size_forgets_the_first():
    ops = tiers.load("cpu", training=True)
    gradients(ODD, ops, batch=7)
    assert_same(gradients(ODD, ops, batch=3), gradients(ODD, truth, batch=3), 1e-5)


def test_what_learning_keeps_in_memory_is_what_the_table_says():
    config = dataclasses.replace(ODD, patch=4, width=96, mlp=192, blocks=3)
    team.team()._space = aligned(0)  # what other tests needed
    ops = tiers.load("cpu", training=True)
    gradients(config, ops, batch=16)
    found = team.team()._space.nbytes + sum(array.nbytes for array in ops.fused["encoder"]._saved)
    assert 0.7 <= found / cost.learning_bytes(config, 16) <= 1.2


def test_learning_gives_the_same_bits_with_any_number_of_threads():
    before = team.team().threads
    try:
        found = []
        for threads in (1, 2):
            team.set_threads(threads)
            found.append(gradients(ODD, tiers.load("cpu", training=True)))
    finally:
        team.set_threads(before)
    assert found[0][0] == found[1][0]
    assert all((found[0][1][name] == found[1][1][name]).all() for name in found[0][1])
