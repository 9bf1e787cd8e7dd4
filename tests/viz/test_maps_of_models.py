"""Maps that need a model: every kind of model, trained weights, wrong input."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minivit import InputError, Model, load, params, tiers
from minivit.config import ViTConfig
from minivit.viz import attribution, explain, faithful, lens, similarity, statistics

SMALL = ViTConfig("small", patch=4, width=8, blocks=2, heads=2, mlp=16, classes=5, image=(12, 8))
KINDS = {
    "token": SMALL,
    "gap": replace(SMALL, pool="gap", prefix=0),
    "distilled": replace(SMALL, prefix=2, distilled_head=True),
    "representation": replace(SMALL, representation=6),
    "norm after pool": replace(SMALL, pool="gap", norm_after_pool=True),
    "cifar": replace(SMALL, image=(32, 32)),
}
HEADLESS, UNPOOLED = replace(SMALL, classes=None), replace(SMALL, pool="unpooled", prefix=0)


def model(config=SMALL, tier="ref", dtype="float64"):
    return Model(config, params.seeded(config), tiers.load(tier, dtype))


def picture(config=SMALL, count=1):
    return np.random.default_rng(1).standard_normal((count, *config.image, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_has_every_map(kind):
    config = KINDS[kind]
    targets, found = explain.explain(model(config), picture(config, 3))
    assert targets.shape == (3,) and list(found) == list(explain.MAPS)
    for name, values in found.items():
        assert values.shape == (3, *config.grid) and np.isfinite(values).all(), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_a_logit_sum_to_it_for_every_class(kind):
    config = KINDS[kind]
    trace = model(config).trace(picture(config, 3), attribution.KEEP)
    values = attribution.attribute(model(config), trace).values
    assert (np.abs(values.sum(1) - trace["logits"]) <= 1e-4 * np.abs(trace["logits"])).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_lens_of_the_last_stream_gives_the_logits(kind):
    trace = model(KINDS[kind]).trace(picture(KINDS[kind]), f"{lens.KEEP}, logits")
    found = [lens.logit_lens(model(KINDS[kind]), stream) for stream in lens.streams(trace)]
    np.testing.assert_array_equal(found[-1], trace["logits"])


@pytest.mark.parametrize("kind", KINDS)
def test_knocking_out_a_head_is_a_run_with_its_z_patched_to_zero(kind):
    config = KINDS[kind]
    found, before = faithful.knock_out(model(config), picture(config), 2), model(config).run(picture(config))[0, 2]
    for i, h in np.ndindex(2, 2):
        after = model(config).run(picture(config), patch={f"block{i}.attn.z": lambda z, h=h: faithful.silence(z, h)})
        assert found[0, i, h] == after[0, 2] - before


def test_a_map_of_a_batch_is_that_of_each_of_its_images():
    _, together = explain.explain(model(), picture(count=3), ["relevance", "rollout"], [0, 4, 2])
    for i, target in enumerate([0, 4, 2]):
        _, alone = explain.explain(model(), picture(count=3)[i : i + 1], ["relevance", "rollout"], target)
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][i], values[0], rtol=1e-9)


def test_maps_without_a_class_need_no_head():
    targets, found = explain.explain(model(HEADLESS), picture(), ["attention", "rollout", "norm-weighted"])
    assert targets is None and len(found) == 3


def test_another_size_of_the_image_gives_another_grid():
    _, found = explain.explain(model(), np.zeros((1, 19, 16, 3)), ["relevance"])
    assert found["relevance"].shape == (1, 4, 4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_packed_weights_give_the_same_maps(dtype):
    pytest.importorskip("numba")
    config = replace(SMALL, width=32, mlp=64)
    _, right = explain.explain(model(config), picture(config), target=1)
    _, packed = explain.explain(model(config, "cpu", dtype), picture(config), target=1)
    for name in ("attention", "rollout", "norm-weighted", "relevance"):
        np.testing.assert_allclose(packed[name], right[name], rtol={"float32": 1e-4, "bfloat16": 0.2}[dtype])


def test_deletion_begins_with_the_whole_image_ends_with_none_of_it_and_leaves_it_alone():
    image, values = picture(), np.arange(6.0).reshape(3, 2)
    kept = image.copy()
    found = faithful.deletion(model(), image, values, target=1, steps=3)
    blank = np.broadcast_to(image.mean((1, 2), keepdims=True), image.shape)
    logits = np.exp(model().run(np.concatenate([image, blank])))
    np.testing.assert_allclose(found.scores[[0, -1]], logits[:, 1] / logits.sum(-1))
    assert np.array_equal(image, kept) and found.fractions.tolist() == [0, 1 / 3, 2 / 3, 1]


def test_a_map_that_ignores_the_weights_does_not_change_with_them():
    found = faithful.randomisation(model(), lambda changed: picture()[0, :, :, 0])
    assert [part for part, _ in found] == ["head", "block1", "block0"]
    np.testing.assert_allclose([rho for _, rho in found], 1)


def test_randomising_leaves_the_model_as_it_was():
    mine = model()
    before = mine.run(picture())
    faithful.randomisation(mine, lambda changed: explain.explain(changed, picture(), ["rollout"])[1]["rollout"][0])
    np.testing.assert_array_equal(mine.run(picture()), before)


WRONG = {
    "there is no map 'relevence'; did you mean 'relevance'": lambda: explain.explain(model(), picture(), ["relevence"]),
    "has no block 2, expected 0 to 1": lambda: explain.explain(model(), picture(), ["rollout"], layer=2),
    "has no block -1, expected 0 to 1": lambda: explain.explain(model(), picture(), ["rollout"], layer=-1),
    "class 5: expected 0 to 4": lambda: explain.explain(model(), picture(), target=5),
    "class -1: expected 0 to 4": lambda: faithful.knock_out(model(), picture(), -1),
    "target 'cat': expected the index of a class": lambda: explain.explain(model(), picture(), target="cat"),
    "expected the index of a class, or 1, one per image": lambda: explain.explain(model(), picture(), target=[1, 2]),
    "has no classification head": lambda: explain.explain(model(HEADLESS), picture(), ["relevance"]),
    "gives logits for every token": lambda: lens.logit_lens(model(UNPOOLED), np.zeros((1, 6, 8))),
    "attn.z was not recorded": lambda: attribution.attribute(model(), model().trace(picture(), "embed.out")),
    r"the map has shape \(2, 3\), expected \(3, 2\)": lambda: faithful.deletion(model(), picture(), np.ones((2, 3))),
    "7 steps, expected 1 to 6": lambda: faithful.deletion(model(), picture(), np.ones((3, 2)), steps=7),
    "0 steps, expected 1 to 6": lambda: faithful.insertion(model(), picture(), np.ones((3, 2)), steps=0),
    "no baseline 'blurr'; did you mean 'blur'": lambda: faithful.deletion(
        model(), picture(), np.ones((3, 2)), baseline="blurr"
    ),
    "expected one picture, got 2": lambda: faithful.deletion(model(), picture(count=2), np.ones((3, 2))),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_input_is_one_clear_line(message):
    with pytest.raises(InputError, match=message) as raised:
        WRONG[message]()
    assert "\n" not in str(raised.value)


@pytest.mark.skipif("MINIVIT_DATA" not in os.environ, reason="MINIVIT_DATA is not set: no trained weights")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_part_of_every_logit_of_trained_weights():
    data = Path(os.environ["MINIVIT_DATA"])
    deit = load(data / "deit_tiny/deit_tiny_patch16_224.timm.safetensors", dtype="float64", preprocess="deit")
    trace = deit.trace(data / "photos/coco_cats.png", f"{attribution.KEEP}, block*.attn.probs, block*.resid_post")
    values, logits = attribution.attribute(deit, trace).values.sum(1), trace["logits"]
    assert (np.abs(values - logits) <= 1e-4 * np.abs(logits)).all() and logits.shape == (1, 1000)
    early = statistics.distance(trace["block0.attn.probs"], 1, (14, 14), 16)
    late = statistics.distance(trace["block11.attn.probs"], 1, (14, 14), 16)
    assert early.min() < 50 < 100 < late.min()  # ViT, fig. 7: early heads look near and far, late ones only far
    filters, shares = similarity.patch_filters(deit.params["embed"]["w"])
    assert filters.shape == (28, 16, 16, 3) and (np.diff(shares) < 0).all()
