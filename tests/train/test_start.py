"""Where a run starts: fresh parameters as vit_jax draws them, or a checkpoint with a new head."""

from dataclasses import replace

import numpy as np
import pytest

from minivit import params
from minivit.config import HUGGING_FACE, Preprocess, ViTConfig
from minivit.data import Dataset, Split
from minivit.errors import InputError
from minivit.ops.positions.ref import resize_positions
from minivit.train.start import adapted, initial

CONFIG = ViTConfig("start", 8, 96, 2, 4, 192, classes=7, image=(32, 32), representation=48)
FRESH = params.flatten(initial(CONFIG))
THREE = Dataset("three", ("a", "b", "c"), None, Split(np.zeros((3, 32, 32, 3), np.uint8), np.arange(3)))


def test_every_parameter_is_float32_and_of_its_shape():
    assert {name: array.shape for name, array in FRESH.items()} == params.shapes(CONFIG)
    assert {array.dtype for array in FRESH.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [("attn.qkv.w", 96, 96), ("attn.out.w", 96, 96), ("mlp.fc1.w", 96, 192), ("mlp.fc2.w", 192, 96)],
)
def test_matrices_are_xavier_uniform_and_query_key_value_each_for_itself(name, inputs, outputs):
    limit = np.sqrt(6 / (inputs + outputs))
    w = FRESH[f"blocks.1.{name}"]
    assert 0.99 * limit < np.abs(w).max() <= limit
    assert w.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


def test_the_patch_embedding_is_lecun_normal_cut_at_two_standard_deviations():
    deviation = 1 / np.sqrt(8 * 8 * 3)
    assert FRESH["embed.w"].std() == pytest.approx(deviation, rel=0.02)
    assert np.abs(FRESH["embed.w"]).max() <= 2 * deviation / 0.8796


@pytest.mark.parametrize(
    ("name", "deviation"),
    [("embed.position", 0.02), ("blocks.0.mlp.fc1.b", 1e-6), ("blocks.0.mlp.fc2.b", 1e-6)],
)
def test_positions_and_mlp_biases_are_small_normal_numbers(name, deviation):
    assert FRESH[name].std() == pytest.approx(deviation, rel=0.2)


@pytest.mark.parametrize(
    "name", ["embed.prefix", "embed.b", "blocks.0.attn.qkv.b", "blocks.0.attn.out.b", "head.w", "head.b", "norm.bias"]
)
def test_the_rest_is_zero(name):
    assert not FRESH[name].any()


def test_layernorms_start_as_the_identity():
    assert all((array == 1).all() for name, array in FRESH.items() if name.endswith("scale"))


def test_another_seed_gives_other_numbers():
    again, other = params.flatten(initial(CONFIG)), params.flatten(initial(CONFIG, seed=1))
    np.testing.assert_array_equal(again["embed.w"], FRESH["embed.w"])
    assert (other["embed.w"] != FRESH["embed.w"]).any()


# ---- fine-tuning ----------------------------------------------------------------------------------------------------


def test_a_new_head_is_zero_and_all_else_is_kept():
    tree = params.seeded(CONFIG)
    config, found = adapted(CONFIG, tree, THREE)
    flat, before = params.flatten(found), params.flatten(tree)
    assert {name: array.shape for name, array in flat.items()} == params.shapes(config)
    assert config.classes == 3 and config.representation is None and config.name == "start on three"
    assert flat["head.w"].shape == (96, 3) and not flat["head.w"].any() and not flat["head.b"].any()
    for name in flat.keys() - {"head.w", "head.b"}:
        np.testing.assert_array_equal(flat[name], before[name], err_msg=name)


def test_at_another_size_the_positions_are_resized_once_by_the_models_own_mode():
    config = replace(CONFIG, position_resize="bicubic")
    tree = params.seeded(config)
    changed, found = adapted(config, tree, THREE, size=(48, 40))
    expected = resize_positions(tree["embed"]["position"], (4, 4), (6, 5), 1, "bicubic")
    np.testing.assert_array_equal(found["embed"]["position"], expected)
    assert changed.image == (48, 40) and changed.tokens == 31


def test_a_model_of_the_same_classes_keeps_its_head():
    config = replace(CONFIG, classes=3)
    tree = params.seeded(config)
    changed, found = adapted(config, tree, THREE, size=(48, 40), labels=THREE.classes)
    assert (changed.name, changed.representation) == (config.name, config.representation)
    for name, array in params.flatten(found).items():
        if name != "embed.position":
            np.testing.assert_array_equal(array, params.flatten(tree)[name], err_msg=name)
    shuffled, found = adapted(config, tree, THREE, labels=THREE.classes[::-1])
    assert shuffled.name.endswith(" on three") and not found["head"]["w"].any()


def test_a_model_without_a_head_gets_one():
    config, found = adapted(replace(CONFIG, classes=None), params.seeded(replace(CONFIG, classes=None)), THREE)
    assert config.classes == 3 and found["head"]["w"].shape == (96, 3)


def test_both_heads_of_a_distilled_model_are_new():
    config = replace(CONFIG, representation=None, prefix=2, distilled_head=True)
    _, found = adapted(config, params.seeded(config), THREE)
    assert not found["head_distill"]["w"].any() and found["head_distill"]["w"].shape == (96, 3)


@pytest.mark.parametrize(("pool", "prefix", "then"), [("token_unpooled", 1, "token"), ("unpooled", 0, "gap")])
def test_a_model_that_answers_for_every_token_then_answers_once(pool, prefix, then):
    config = replace(CONFIG, pool=pool, prefix=prefix)
    assert adapted(config, params.seeded(config), THREE)[0].pool == then


def test_a_resize_in_pixels_grows_with_the_picture():
    cropped = replace(CONFIG, preprocess=Preprocess("own", "bicubic", "shorter", resize=40))
    tree = params.seeded(cropped)
    assert adapted(cropped, tree, THREE)[0].preprocess.resize == 40
    larger = adapted(cropped, tree, THREE, size=(64, 64))[0].preprocess
    assert (larger.resize, larger.crop_fraction) == (None, 0.8)
    assert adapted(replace(CONFIG, preprocess=HUGGING_FACE), tree, THREE, (64, 64))[0].preprocess == HUGGING_FACE


def test_less_than_a_patch_is_refused():
    with pytest.raises(InputError, match="size 4×32 is less than one patch of 8 pixels"):
        adapted(CONFIG, params.seeded(CONFIG), THREE, size=(4, 32))


def test_a_model_of_other_channels_is_refused():
    grey = replace(CONFIG, channels=1)
    with pytest.raises(InputError, match="reads 1 channels, expected 3"):
        adapted(grey, params.seeded(grey), THREE)
