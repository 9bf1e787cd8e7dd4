"""The MLP-Mixer: the paper's formula, SAME padding, one resolution, backward, learning, and what needs attention."""

from dataclasses import replace

import numpy as np
import pytest

from minivit import load, names, params, tiers
from minivit.check import gradcheck
from minivit.config import MixerConfig
from minivit.data import Dataset, Split
from minivit.errors import InputError
from minivit.gradients import Saving, loss_and_gradients
from minivit.model import Model
from minivit.models import mixer, mixer_backward
from minivit.ops.cross_entropy.ref import one_hot
from minivit.trace import NO_TAP, Tap
from minivit.train import run as module
from minivit.train.noise import Noise
from minivit.train.recipe import Recipe
from minivit.train.start import adapted, initial
from minivit.train.state import Settings
from minivit.viz import plots
from minivit.viz.explain import explain
from minivit.viz.explorer import explore

SMALL = MixerConfig("small mixer", patch=4, width=8, blocks=2, token_mlp=5, mlp=12, classes=5, image=(11, 8))
KINDS = {
    "padded": SMALL,
    "whole patches": replace(SMALL, image=(12, 8)),
    "erf": replace(SMALL, gelu="erf", eps=1e-3),
    "many blocks": replace(SMALL, blocks=11),  # "block1." is not "block10."
}
ops = tiers.load("ref", "float64")
targets = one_hot([1, 3], 5, smoothing=0.1, dtype=np.float64)


def images_of(config, seed=1):
    return np.random.default_rng(seed).standard_normal((2, *config.image, 3))


def model_of(config=SMALL, dtype="float64"):
    return Model(config, params.seeded(config, dtype=dtype), tiers.load("ref", dtype))


def test_it_is_equation_1_of_the_paper_column_by_column_and_row_by_row():
    model, p = model_of(), params.seeded(SMALL, dtype=np.float64)["blocks"][0]

    def norm(x, scale, bias):
        return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * scale + bias

    def mlp(v, fc1, fc2):
        h = v @ fc1["w"] + fc1["b"]
        return 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3))) @ fc2["w"] + fc2["b"]

    trace = model.trace(images_of(SMALL))
    for X, Y in zip(trace["embed.patches"], trace["block0.resid_post"], strict=True):
        normed = np.array([norm(row, **p["ln1"]) for row in X])
        U = X + np.array([mlp(column, **p["token_mlp"]) for column in normed.T]).T
        expected = U + np.array([mlp(norm(row, **p["ln2"]), **p["mlp"]) for row in U])
        np.testing.assert_allclose(Y, expected, rtol=1e-12, atol=1e-12)


def test_sides_that_are_no_multiple_of_the_patch_are_padded_on_both_sides_the_odd_line_behind():
    images = np.ones((1, 37, 36, 1))
    padded = mixer.whole_patches(images, 8)
    assert padded.shape == (1, 40, 40, 1) and padded.sum() == 37 * 36
    assert padded[0, 1:38, 2:38].all()
    assert MixerConfig("small", 8, 8, 1, 4, 4, image=(36, 36)).grid == (5, 5)
    whole = np.ones((1, 40, 40, 1))
    assert mixer.whole_patches(whole, 8) is whole


@pytest.mark.parametrize("size", [(12, 8), (9, 5)])
def test_any_size_with_the_same_grid_of_patches_is_read(size):
    assert model_of().run(np.zeros((1, *size, 3))).shape == (1, 5)


@pytest.mark.parametrize("size", [(24, 16), (8, 12), (13, 8)])
def test_a_mixer_cannot_change_resolution(size):
    for ask in (
        lambda: model_of().run(np.zeros((1, *size, 3))),
        lambda: model_of().run(np.zeros((30, 30, 3), np.uint8), size=size),
        lambda: model_of().gradients(np.zeros((1, *size, 3)), 1),
        lambda: adapted(SMALL, params.seeded(SMALL), pictures(), size),
    ):
        with pytest.raises(InputError, match=rf"reads 11×8 pixels, got {size[0]}×{size[1]}: a Mixer cannot change"):
            ask()


def test_the_names_are_those_of_the_tensors_in_the_order_in_which_they_are_made():
    trace = model_of().trace(images_of(SMALL))
    assert list(trace) == model_of().names()
    for name, tensor in names.of(SMALL).items():
        assert trace[name].shape == names.shape(tensor, SMALL, batch=2), name


def test_without_a_head_the_mean_token_is_the_output():
    headless = model_of(replace(SMALL, classes=None))
    pixels = images_of(SMALL)
    np.testing.assert_array_equal(headless.run(pixels), headless.features(pixels)["mean"])
    assert headless.features(pixels).keys() == {"mean", "tokens"}


# ---- backward -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_parameters_and_images_agree_with_central_differences(kind, monkeypatch):
    monkeypatch.setattr(gradcheck, "STEPS", np.array([1e-4, 3e-5, 1e-5]))
    config = KINDS[kind]
    assert gradcheck.smallest(gradcheck.check_model(ops, config, (2, *config.image, 3))) < gradcheck.LIMIT


def test_the_gradient_of_every_named_tensor_agrees_with_central_differences(monkeypatch):
    monkeypatch.setattr(gradcheck, "STEPS", np.array([1e-4, 3e-5, 1e-5]))
    model, images = model_of(), images_of(SMALL)
    gradients, trace = model.gradients(images, targets, keep="*"), model.trace(images)
    assert gradients.keys() == trace.keys()
    for name, x in trace.items():

        def loss(changed, name=name):
            return ops.cross_entropy(model.run(images, patch={name: lambda _: changed}), targets)

        slopes = gradcheck.curve(loss, [np.array(x)], [gradients[name]], directions=2)
        assert gradcheck.smallest(slopes) < 10 * gradcheck.LIMIT, name


def test_the_second_bias_across_tokens_reaches_nothing_but_the_mean_of_the_tokens():
    # it adds the same number to every channel of a token, which every later LayerNorm takes away
    gradients = model_of().gradients(images_of(SMALL), targets).params["blocks"][0]["token_mlp"]
    assert np.abs(gradients["fc2"]["b"]).max() < 1e-14 < 1e-4 < np.abs(gradients["fc1"]["b"]).max()


def test_backward_takes_the_gradient_of_the_feature_of_a_headless_model(monkeypatch):
    monkeypatch.setattr(gradcheck, "STEPS", np.array([1e-4, 3e-5, 1e-5]))
    config, images = replace(SMALL, classes=None), images_of(SMALL)
    flat = params.flatten(params.seeded(config, dtype=np.float64))
    save = Saving(NO_TAP, mixer_backward)
    y = mixer.forward(params.nest(flat), images, config, ops, save)
    r = np.random.default_rng(2).standard_normal(y.shape)
    grads, dimages = mixer_backward.backward(params.nest(flat), save.store, r, config, ops)

    def loss(pixels, *values):
        changed = params.nest(dict(zip(flat, values, strict=True)))
        return np.vdot(r, mixer.forward(changed, pixels, config, ops))

    found = [dimages, *params.flatten(grads).values()]
    assert gradcheck.smallest(gradcheck.curve(loss, [images, *flat.values()], found)) < gradcheck.LIMIT


class ReadOnly:
    """A tap that lets nobody write to any tensor."""

    active = True

    def inside(self, part):
        return self

    def __call__(self, name, x):
        x = x.view()
        x.flags.writeable = False
        return x


def test_nothing_that_goes_in_is_written_to():
    model, images = model_of(), images_of(SMALL)
    plain = params.flatten(loss_and_gradients(model.params, images, targets, SMALL, ops)[2])
    for x in (pixels := images.copy(), wanted := targets.copy(), *params.flatten(model.params).values()):
        x.flags.writeable = False
    _, _, tree = loss_and_gradients(model.params, pixels, wanted, SMALL, ops, (ReadOnly(), ReadOnly()))
    for name, gradient in params.flatten(tree).items():
        np.testing.assert_array_equal(gradient, plain[name])


def test_only_what_backward_reads_is_kept():
    model, images, save = model_of(), images_of(SMALL), Saving(NO_TAP, mixer_backward)
    mixer.forward(model.params, images, SMALL, ops, save)
    assert {"block0.token_mlp.out", "block0.ln1.out", "final.norm", "logits"}.isdisjoint(save.store)
    for name in save.store:
        missing = {other: x for other, x in save.store.items() if other != name}
        with pytest.raises(KeyError):
            mixer_backward.backward(model.params, missing, targets, SMALL, ops)


# ---- learning -------------------------------------------------------------------------------------------------------


def pictures(count=48):
    """Two classes, dark and bright ones, with noise."""

    def split(count, seed):
        rng, labels = np.random.default_rng(seed), np.arange(count) % 2
        pixels = rng.integers(0, 160, (count, 16, 16, 3)) + 90 * labels[:, None, None, None]
        return Split(pixels.astype(np.uint8), labels)

    return Dataset("dark or bright", ("dark", "bright"), split(count, 0), split(count // 2, 1))


TINY = MixerConfig("tiny mixer", patch=8, width=16, blocks=2, token_mlp=8, mlp=16, image=(16, 16))
RECIPE = Recipe(model=TINY, epochs=4, batch=8, rate=1e-2, warmup=2, dropout=0.05, stochastic_depth=0.1)


def test_it_learns_from_scratch_and_the_recipe_and_the_model_are_read_back(tmp_path):
    summary = module.train(RECIPE, pictures(), tmp_path / "run", tier="ref")
    assert summary["accuracy"] == 1.0
    assert not (tmp_path / "run" / "attention").exists() and (tmp_path / "run" / "curve.png").exists()
    assert Settings.load(tmp_path / "run").recipe.model == replace(TINY, classes=2)
    model = load(tmp_path / "run" / "best.safetensors")
    assert model.config.token_mlp == 8 and model.config.family == "mixer" and model.labels == ("dark", "bright")


def test_a_trained_one_gets_a_new_head_and_keeps_the_rest():
    tree = initial(replace(TINY, classes=7), seed=1)
    changed, adapted_tree = adapted(replace(TINY, classes=7), tree, pictures())
    assert changed.classes == 2 and not adapted_tree["head"]["w"].any()
    np.testing.assert_array_equal(
        adapted_tree["blocks"][1]["token_mlp"]["fc1"]["w"], tree["blocks"][1]["token_mlp"]["fc1"]["w"]
    )


def test_first_parameters_are_xavier_uniform_and_the_same_for_the_same_seed():
    w = initial(replace(TINY, token_mlp=4000))["blocks"][0]["token_mlp"]["fc1"]["w"]
    limit = np.sqrt(6 / (4 + 4000))
    assert w.shape == (4, 4000) and 0.99 * limit < np.abs(w).max() <= limit and abs(w.std() / limit - 3**-0.5) < 0.01


def test_stochastic_depth_and_dropout_act_on_both_mlps_and_attention_dropout_is_refused():
    tap, _ = Noise(SMALL, dropout=0.5, stochastic_depth=0.5).at(0)
    seen = Tap(["block1.token_mlp.act", "block1.token_mlp.out", "block1.mlp.act", "block1.mlp.out"])

    class Both:
        active = True

        def __init__(self, first=tap, second=seen):
            self.first, self.second = first, second

        def inside(self, part):
            return Both(self.first.inside(part), self.second.inside(part))

        def __call__(self, name, x):
            return self.second(name, self.first(name, x))

    mixer.forward(model_of().params, images_of(SMALL), SMALL, ops, Both())
    for name in seen.keep:
        assert 0.3 < (seen.store[name] == 0).mean() <= 1, name
    with pytest.raises(InputError, match="small mixer has no attention"):
        Noise(SMALL, attention_dropout=0.1)
    with pytest.raises(InputError, match=r"small mixer has no attention .*; use initial vit_jax"):
        initial(SMALL, kind="mimetic")


# ---- what needs attention -------------------------------------------------------------------------------------------


def test_figures_say_in_one_line_that_a_mixer_has_no_attention_or_work():
    model, picture = model_of(dtype="float32"), np.zeros((20, 20, 3), np.uint8)
    working = {"filters", "pca"}
    for name in working:
        plots.FIGURES[name](model, picture)
    for name in plots.FIGURES.keys() - working:
        with pytest.raises(InputError, match=r"has no attention and no positions: .* look --map filters or pca work"):
            plots.FIGURES[name](model, picture)


@pytest.mark.parametrize("ask", [explain, explore, plots.compare, lambda model, x: model.trace(x, "block*.attn.probs")])
def test_what_shows_attention_says_in_one_line_that_there_is_none(ask):
    with pytest.raises(InputError, match=r"has no attention and no positions: .* work$"):
        ask(model_of(dtype="float32"), np.zeros((20, 20, 3), np.uint8))


def test_a_misspelt_tensor_is_still_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"no tensor 'block0\.token_mlp\.akt'; did you mean 'block0\.token_mlp\.act'"):
        model_of().trace(images_of(SMALL), "block0.token_mlp.akt")
