"""The backward pass of the whole model: every kind, every image size, the gradient of every named tensor, taps."""

from dataclasses import replace

import numpy as np
import pytest

from minivit import names, params, tiers
from minivit.check import gradcheck
from minivit.config import ViTConfig
from minivit.errors import InputError
from minivit.gradients import Saving, loss_and_gradients
from minivit.model import Model
from minivit.models import vit, vit_backward
from minivit.ops.cross_entropy.ref import one_hot
from minivit.trace import NO_TAP, Tap, compare, make_tap

SMALL = ViTConfig("small", patch=4, width=8, blocks=2, heads=2, mlp=12, classes=5, image=(12, 8))
KINDS = {
    "token": SMALL,
    "gap": replace(SMALL, pool="gap", prefix=0),
    "gap beside a class token": replace(SMALL, pool="gap"),
    "representation": replace(SMALL, representation=6),
    "distilled": replace(SMALL, prefix=2, distilled_head=True, gelu="erf", eps=1e-12),
    "norm after pool": replace(SMALL, pool="gap", norm_after_pool=True),
    "norm after pool, representation": replace(SMALL, pool="gap", norm_after_pool=True, representation=6),
    "no qkv bias": replace(SMALL, qkv_bias=False),
    "one block": replace(SMALL, blocks=1),
    "many blocks": replace(SMALL, blocks=11),  # "block1." is not "block10."
}
ops = tiers.load("ref", "float64")
images = np.random.default_rng(1).standard_normal((2, 12, 8, 3))
targets = one_hot([1, 3], 5, smoothing=0.1, dtype=np.float64)


def model_of(kind, dtype="float64"):
    return Model(KINDS[kind], params.seeded(KINDS[kind], dtype=dtype), tiers.load("ref", dtype))


@pytest.fixture(autouse=True)
def near_the_bottom_of_the_v(monkeypatch):
    monkeypatch.setattr(gradcheck, "STEPS", np.array([1e-4, 3e-5, 1e-5]))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_and_images_of_every_kind_agree_with_central_differences(kind):
    assert gradcheck.smallest(gradcheck.check_model(ops, KINDS[kind], images.shape)) < gradcheck.LIMIT


@pytest.mark.parametrize("size", [(4, 4), (8, 20), (15, 11), (24, 16)])
@pytest.mark.parametrize("mode", ["corner_bilinear", "bicubic", "bicubic_antialias"])
def test_any_image_size_agrees_with_central_differences(size, mode):
    config = replace(SMALL, position_resize=mode)
    assert gradcheck.smallest(gradcheck.check_model(ops, config, (1, *size, 3))) < gradcheck.LIMIT


@pytest.mark.parametrize("pool", ["unpooled", "token_unpooled"])
def test_unpooled_models_take_a_target_per_token(pool):
    model = Model(replace(SMALL, pool=pool), params.seeded(SMALL, dtype=np.float64), ops)
    gradients = model.gradients(images, np.full((2, 7), 3), keep="logits")
    expected = ops.backward.cross_entropy(model.run(images), one_hot(np.full((2, 7), 3), 5, dtype=np.float64))
    np.testing.assert_array_equal(gradients["logits"], expected)


@pytest.mark.parametrize("classes", [None, 5])
@pytest.mark.parametrize("representation", [None, 6])
def test_backward_takes_the_gradient_of_any_output(classes, representation):
    config = replace(SMALL, classes=classes, representation=representation)
    tree, save = params.seeded(config, dtype=np.float64), Saving(NO_TAP, vit_backward)
    y = vit.forward(tree, images, config, ops, save)
    r = np.random.default_rng(2).standard_normal(y.shape)
    grads, dimages = vit_backward.backward(tree, save.store, r, config, ops)
    flat = params.flatten(tree)

    def loss(pixels, *values):
        changed = params.nest(dict(zip(flat, values, strict=True)))
        return np.vdot(r, vit.forward(changed, pixels, config, ops))

    found = [dimages, *params.flatten(grads).values()]
    assert gradcheck.smallest(gradcheck.curve(loss, [images, *flat.values()], found)) < gradcheck.LIMIT


@pytest.mark.parametrize("kind", ["representation", "distilled", "norm after pool"])
def test_the_gradient_of_every_named_tensor_agrees_with_central_differences(kind):
    model = model_of(kind)
    gradients = model.gradients(images, targets, keep="*")
    trace = model.trace(images)
    assert gradients.keys() == trace.keys()
    for name, x in trace.items():

        def loss(changed, name=name):
            return ops.cross_entropy(model.run(images, patch={name: lambda _: changed}), targets)

        slopes = gradcheck.curve(loss, [np.array(x)], [gradients[name]], directions=2)
        assert gradcheck.smallest(slopes) < 10 * gradcheck.LIMIT, name


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_have_the_names_shapes_and_dtype_of_what_they_belong_to(kind):
    model = model_of(kind, "float32")
    gradients = model.gradients(images, targets, keep="*")
    for name, tensor in names.of(model.config).items():
        assert gradients[name].shape == names.shape(tensor, model.config, batch=2), name
    ours, found = params.flatten(model.params), params.flatten(gradients.params)
    assert [(name, g.shape) for name, g in found.items()] == [(name, p.shape) for name, p in ours.items()]
    assert {x.dtype for x in (*found.values(), *gradients.values())} == {np.dtype("float32")}


def test_float32_gradients_are_those_of_float64():
    double, single = (model_of("token", dtype).gradients(images, targets) for dtype in ("float64", "float32"))
    for name, reference in params.flatten(double.params).items():
        if np.abs(reference).max() > 1e-12:
            assert compare(params.flatten(single.params)[name], reference, 1e-4)[0], name


def test_a_key_bias_has_no_gradient_because_softmax_ignores_it():
    bias = model_of("token").gradients(images, targets).params["blocks"][0]["attn"]["qkv"]["b"]
    query, key, value = bias.reshape(3, 8)
    rounding = 1e-14  # what is left of terms of up to 0.1 that cancel; how much depends on the CPU's order of sums
    assert np.abs(key).max() < rounding < 1e-6 < min(np.abs(query).max(), np.abs(value).max())


class ReadOnly:
    """A tap that lets nobody write to any tensor."""

    active = True

    def inside(self, part):
        return self

    def __call__(self, name, x):
        x = x.view()
        x.flags.writeable = False
        return x


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_goes_in_is_written_to(kind):
    config, model = KINDS[kind], model_of(kind)
    for x in (pixels := images.copy(), wanted := targets.copy(), *params.flatten(model.params).values()):
        x.flags.writeable = False
    _, _, tree = loss_and_gradients(model.params, pixels, wanted, config, ops, (ReadOnly(), ReadOnly()))
    plain = params.flatten(loss_and_gradients(model.params, images, targets, config, ops)[2])
    for name, gradient in params.flatten(tree).items():
        np.testing.assert_array_equal(gradient, plain[name])


MASKED = ["attn.probs", "mlp.act", "mlp.out", "attn.out", "resid_mid"]


@pytest.mark.parametrize("tensor", [*(f"block1.{name}" for name in MASKED), "embed.out", "head.representation"])
def test_masks_on_the_way_forward_and_back_give_the_gradient_of_the_masked_model(tensor):
    model = model_of("representation")
    shape = model.trace(images, keep=tensor)[tensor].shape
    mask = (np.random.default_rng(3).random(shape) < 0.7) / 0.7  # dropout
    taps = Tap(patch={tensor: lambda x: x * mask}), Tap(patch={tensor: lambda d: d * mask}, keep=["image"])
    _, _, tree = loss_and_gradients(model.params, images, targets, model.config, ops, taps)
    flat = params.flatten(model.params)

    def loss(pixels, *values):
        changed = params.nest(dict(zip(flat, values, strict=True)))
        return ops.cross_entropy(vit.forward(changed, pixels, model.config, ops, taps[0]), targets)

    found = [taps[1].store["image"], *params.flatten(tree).values()]
    assert gradcheck.smallest(gradcheck.curve(loss, [images, *flat.values()], found)) < gradcheck.LIMIT


def test_only_what_backward_reads_is_kept_and_nothing_is_copied():
    model, made = model_of("distilled"), {}

    class Watch(ReadOnly):
        def __init__(self, prefix=""):
            self.prefix = prefix

        def inside(self, part):
            return Watch(f"{self.prefix}{part}.")

        def __call__(self, name, x):
            made[self.prefix + name] = x
            return x

    save = Saving(Watch(), vit_backward)
    vit.forward(model.params, images, model.config, ops, save)
    assert all(x is made[name] for name, x in save.store.items())
    assert {"block0.attn.scores", "block0.attn.out", "block1.mlp.out", "logits"} <= made.keys() - save.store.keys()
    for name in save.store:
        missing = {other: x for other, x in save.store.items() if other != name}
        with pytest.raises(KeyError):
            vit_backward.backward(model.params, missing, targets, model.config, ops)


def test_gradients_of_a_model_by_label_by_labels_and_by_distribution():
    model = model_of("token")
    by_label, by_labels = model.gradients(images, 3), model.gradients(images, [3, 3])
    by_target = model.gradients(images, one_hot([3, 3], 5))
    assert by_label.loss == by_labels.loss == by_target.loss
    np.testing.assert_array_equal(by_label["image"], by_target["image"])
    np.testing.assert_array_equal(by_label.logits, model.run(images))
    assert list(by_label) == ["image"] and "loss" in repr(by_label)


def test_gradients_that_were_not_kept_or_do_not_exist_are_named():
    gradients = model_of("token").gradients(images, 3, keep="block0.attn.*")
    assert "block0.attn.probs" in gradients
    with pytest.raises(InputError, match=r"block1\.attn\.probs was not recorded"):
        gradients["block1.attn.probs"]
    with pytest.raises(InputError, match=r"block0\.attn\.probs"):
        gradients["block0.attn.prob"]
    with pytest.raises(InputError, match="no tensor 'blok0"):
        model_of("token").gradients(images, 3, keep="blok0.*")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (5, "from 0 to 4, got 5"),
        ([1, 2, 3], r"have shape \(3,\), expected labels \(2,\) or probabilities \(2, 5\)"),
        (np.zeros((2, 4)), r"have shape \(2, 4\)"),
        ([0.5, 0.5], "got float64"),
    ],
)
def test_targets_that_do_not_fit_are_an_error(wrong, message):
    with pytest.raises(InputError, match=message):
        model_of("token").gradients(images, wrong)


def test_a_model_without_a_head_has_no_loss():
    config = replace(SMALL, classes=None)
    with pytest.raises(InputError, match="no classification head"):
        Model(config, params.seeded(config)).gradients(images, 1)


def test_gradients_of_an_image_are_zero_where_no_patch_looks():
    pixels = np.random.default_rng(4).standard_normal((1, 15, 11, 3))
    gradient = model_of("token").gradients(pixels, 3)["image"]
    assert not gradient[:, 12:].any() and not gradient[:, :, 8:].any() and gradient[:, :12, :8].all()


def test_a_tap_on_the_way_back_changes_all_that_lies_before_it():
    model = model_of("token")
    cut = make_tap(SMALL, keep="*", patch={"block1.resid_mid": lambda d: d * 0})
    _, _, tree = loss_and_gradients(model.params, images, targets, SMALL, ops, (NO_TAP, cut))
    assert tree["blocks"][1]["mlp"]["fc1"]["w"].any() and not tree["blocks"][1]["attn"]["out"]["w"].any()
    assert not cut.store["image"].any()
