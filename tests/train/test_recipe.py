"""Recipes: what they refuse, what they become as JSON, and the presets."""

import json
from dataclasses import asdict, replace

import pytest

from minivit import records
from minivit.config import ViTConfig
from minivit.data import Augment
from minivit.errors import InputError
from minivit.train.presets import PRESETS, changed, preset
from minivit.train.recipe import Recipe, first_difference, options


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("batch", 0, "batch is 0, expected a number from 1"),
        ("batch", 2.5, "batch is 2.5, expected a whole number"),
        ("batch", True, "batch is True, expected a whole number"),
        ("parts", 65, "parts is 65, more than the 64 pictures of a batch"),
        ("steps", -1, "steps is -1, expected a number from 1"),
        ("epochs", 3, "epochs is 3 and steps is 100, expected exactly one of them"),
        ("optimiser", "adam", "unknown optimiser 'adam'; did you mean 'adamw'"),
        ("momentum", 1.0, "momentum is 1, expected at least 0 and below 1"),
        ("buffer", "float16", "unknown buffer 'float16'; did you mean"),
        ("betas", (0.9, 1.0), "betas are"),
        ("betas", (0.9,), "betas is .*, expected a list of 2 numbers"),
        ("eps", 0.0, "eps is 0"),
        ("weight_decay", -0.1, "weight_decay is -0.1, expected a number from 0"),
        ("rate", 0.0, "rate is 0, expected a positive number"),
        ("rate", float("nan"), "rate is nan, expected a number"),
        ("rate", "fast", "rate is 'fast', expected a number"),
        ("warmup", -1, "warmup is -1, expected a number from 0"),
        ("decay", "linaer", "unknown decay 'linaer'; did you mean 'linear'"),
        ("clip", 0.0, "clip is 0, expected a positive number"),
        ("smoothing", 1.0, "smoothing is 1, expected at least 0 and below 1"),
        ("dropout", 1.5, "dropout is 1.5, expected a probability"),
        ("attention_dropout", -0.5, "attention_dropout is -0.5, expected a probability"),
        ("stochastic_depth", 1.0, "stochastic_depth is 1, expected a probability"),
        ("mixup", -1.0, "mixup is -1, expected a number from 0"),
        ("average", 1.0, "average is 1, expected at least 0 and below 1"),
        ("seed", -1, "seed is -1, expected a number from 0"),
        ("augment", None, "augment is None, expected an object"),
        ("model", "ViT-Ti/16", "model is 'ViT-Ti/16', expected an object"),
    ],
)
def test_each_impossible_value_is_refused_in_one_line(field, value, message):
    with pytest.raises(InputError, match=message) as caught:
        replace(Recipe(steps=100, batch=64), **{field: value})
    assert "\n" not in str(caught.value)


def test_sgd_refuses_the_weight_decay_that_it_does_not_have():
    with pytest.raises(InputError, match=r"weight_decay is 0\.05, but sgd has none"):
        preset("cifar10", optimiser="sgd")


def test_a_warm_up_that_leaves_no_step_is_refused():
    with pytest.raises(InputError, match="warmup is 500 steps, but the run has only 500"):
        preset("official", steps=500).total(100)


def test_epochs_count_whole_batches():
    assert Recipe(epochs=3).total(390) == 1170 and Recipe(steps=100).total(390) == 100


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    recipe = PRESETS[name]
    assert records.read(Recipe, json.loads(json.dumps(asdict(recipe))), "recipe") == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batches": 1}, "recipe has an unknown field 'batches'; did you mean 'batch'"),
        ({"rate": "1e-3"}, "recipe: rate is '1e-3', expected a number"),
        ({"augment": {"flop": True}}, "recipe: augment has an unknown field 'flop'; did you mean 'flip'"),
        ({"model": {"patch": 4}}, "recipe: model lacks the field 'name'"),
        ({"augment": 3}, "recipe: augment is 3, expected an object"),
    ],
)
def test_an_edited_recipe_is_refused_where_it_is_wrong(change, message):
    with pytest.raises(InputError, match=message):
        records.read(Recipe, {**asdict(PRESETS["shapes"]), **change}, "recipe")


def test_the_official_preset_is_that_of_vit_jax():
    # vit_jax/configs/common.py and train.py
    recipe = PRESETS["official"]
    assert (recipe.optimiser, recipe.momentum, recipe.buffer, recipe.clip) == ("sgd", 0.9, "bfloat16", 1.0)
    assert (recipe.rate, recipe.decay, recipe.warmup, recipe.batch, recipe.parts) == (0.03, "cosine", 500, 512, 8)
    assert recipe.augment == Augment(area=(0.05, 1.0), flip=True) and recipe.model is None


def test_steps_take_the_place_of_epochs():
    assert (preset("cifar10", steps=3000).epochs, preset("official", epochs=3).steps) == (None, None)


def test_unknown_presets_and_fields_come_with_the_nearest():
    with pytest.raises(InputError, match="unknown preset 'cifar'; did you mean 'cifar10'"):
        preset("cifar")
    with pytest.raises(InputError, match="a recipe has no field 'learning_rat'"):
        changed(PRESETS["shapes"], learning_rat=1.0)


def test_the_first_difference_is_named_down_to_the_model():
    recipe = PRESETS["shapes"]
    assert first_difference(recipe, recipe) is None
    assert first_difference(recipe, replace(recipe, rate=0.5, seed=1)) == "rate"
    assert first_difference(recipe, replace(recipe, model=replace(recipe.model, heads=6))) == "model.heads"
    assert first_difference(PRESETS["official"], recipe) == "model"


def test_every_option_has_a_type_and_a_meaning():
    kinds = {kind for kind, about in options().values() if about}
    assert kinds == {int, float, str} and options()["clip"][0] is float and "model" not in options()


def test_the_cifar10_model_stays_below_three_million_parameters():
    from minivit import params

    assert params.count(replace(PRESETS["cifar10"].model, classes=10)) <= 3e6
    assert isinstance(PRESETS["cifar10"].model, ViTConfig)
