"""The fused blocks of a Mixer: the same numbers as the blocks as written, in every dtype and for awkward sizes."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="tier cpu needs Numba")

from minivit import check, load, params, tiers
from minivit.check import recipe
from minivit.config import MixerConfig
from minivit.errors import InputError
from minivit.model import Model
from minivit.ops.linear.packed import LeftMatrix, PackedMatrix
from minivit.ops.simd.target import TALL, W

GOLDEN = Path(__file__).parents[1] / "golden"
DTYPES = tiers.TIERS["cpu"]

#: name -> (config, images): what is left over in tiles, pairs, panels and groups of images
CASES = {
    "odd everywhere": (MixerConfig("odd", 3, 37, 3, 13, 41, classes=5, image=(15, 9)), 2),
    "one token": (MixerConfig("one token", 8, 16, 1, 1, 8, classes=2, image=(8, 8)), 3),
    "several groups of images": (MixerConfig("groups", 2, 24, 2, 30, 16, classes=3, image=(32, 32)), 5),
    "long inner terms": (MixerConfig("long", 1, 8, 1, 850, 16, classes=2, image=(30, 30)), 1),
    "erf": (MixerConfig("erf", 4, 48, 2, 24, 96, classes=4, image=(16, 16), gelu="erf", eps=1e-3), 2),
}


def model_of(case, dtype="float32", threads=None):
    config, _ = CASES[case]
    return Model(config, params.seeded(config), tiers.load("cpu", dtype, threads))


def images_of(case):
    config, count = CASES[case]
    return np.random.default_rng(0).standard_normal((count, *config.image, 3)).astype(np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_fused_blocks_give_the_same_bits_as_the_blocks_as_written(case, dtype):
    model, images = model_of(case, dtype), images_of(case)
    fused = model.run(images)
    model.ops = model.ops.replace()
    np.testing.assert_array_equal(fused, model.run(images))


@pytest.mark.parametrize("case", CASES)
def test_they_agree_with_the_definition(case):
    config, _ = CASES[case]
    truth = Model(config, params.seeded(config), tiers.load("ref", "float64")).run(images_of(case))
    for dtype, tolerance in (("float32", 1e-5), ("float16", 1e-2), ("bfloat16", 8e-2), ("int8", 0.2)):
        error = np.abs(model_of(case, dtype).run(images_of(case)) - truth).max() / np.abs(truth).max()
        assert error < tolerance, dtype


def test_one_block_can_be_looked_into_while_the_others_are_fused(monkeypatch):
    model, images, calls = model_of("odd everywhere"), images_of("odd everywhere"), []
    whole = model.ops.fused["mixer_block"]
    monkeypatch.setitem(model.ops.fused, "mixer_block", lambda *arrays: calls.append(1) or whole(*arrays))
    trace = model.trace(images, "block1.token_mlp.act, logits")
    assert trace["block1.token_mlp.act"].shape == (2, 37, 13) and len(calls) == 2
    np.testing.assert_array_equal(trace["logits"], model.run(images))


def test_any_number_of_threads_gives_the_same_bits():
    images = images_of("several groups of images")
    one, two = (model_of("several groups of images", threads=threads).run(images) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_a_batch_gives_the_bits_of_its_images_one_by_one():
    model, images = model_of("several groups of images"), images_of("several groups of images")
    np.testing.assert_array_equal(model.run(images), np.concatenate([model.run(image[None]) for image in images]))


def test_a_copied_or_unpickled_model_has_its_own_panels():
    model, images = model_of("odd everywhere"), images_of("odd everywhere")
    wanted = model.run(images)
    for again in (copy.deepcopy(model.params), pickle.loads(pickle.dumps(model.params))):
        theirs, ours = (tree["blocks"][0]["token_mlp"]["fc1"]["w"].left for tree in (again, model.params))
        assert theirs.address != ours.address and theirs.fields[3] == theirs.panels.ctypes.data
        other = copy.copy(model)
        other.params = again
        np.testing.assert_array_equal(other.run(images), wanted)


def test_panels_hold_the_transpose_row_by_row():
    w = np.random.default_rng(0).standard_normal((W + 3, TALL + 1)).astype(np.float32)
    left = LeftMatrix(w, "float32")
    rows = left.panels.swapaxes(1, 2).reshape(2 * TALL, 2 * W)
    np.testing.assert_array_equal(rows[: TALL + 1, : W + 3], w.T)
    assert not rows[TALL + 1 :].any() and not rows[:, W + 3 :].any()


def test_int8_models_keep_the_mlp_across_tokens_in_bfloat16():
    blocks = model_of("odd everywhere", "int8").params["blocks"]
    assert blocks[1]["token_mlp"]["fc1"]["w"].dtype == "bfloat16" and blocks[1]["mlp"]["fc1"]["w"].dtype == "int8"
    assert isinstance(blocks[1]["token_mlp"]["fc1"]["w"], PackedMatrix)


def test_int8_names_the_tensor_that_is_not_finite():
    model, images = model_of("odd everywhere", "int8"), images_of("odd everywhere")
    model.params["blocks"][1]["token_mlp"]["fc2"]["b"][:] = np.inf
    with pytest.raises(InputError, match=r"block1\.ln2\.out has a NaN or an infinity"):
        model.run(images)


@pytest.mark.parametrize("case", ["mixer__small", "mixer__patch8", "grad__mixer"])
def test_every_tensor_and_every_gradient_agrees_with_the_official_one(case):
    verdicts = check.run(GOLDEN / case, tier="cpu")
    assert verdicts and [v for v in verdicts if not v.ok] == []


@pytest.mark.parametrize("case", ["mixer__small", "mixer__patch8"])
def test_fused_logits_agree_with_the_official_ones_in_every_dtype(case):
    images, stored = (np.load(GOLDEN / case / f"{name}.npz") for name in ("inputs", "tensors"))
    truth = stored["logits__f64"]
    for dtype, tolerance in (("float32", 4e-6), ("float16", 5e-3), ("bfloat16", 4e-2), ("int8", 8e-2)):
        found = load(GOLDEN / case / "weights.npz", tier="cpu", dtype=dtype).run(images["images"])
        assert np.abs(found - truth).max() < tolerance * np.abs(truth).max(), dtype


def test_fused_logits_of_mixer_b16_agree_with_the_official_ones():
    folder = GOLDEN / "real__mixer_b16"
    case = {**check.read_json(folder / "case.json", "no case"), "folder": folder}
    found = check.forward.load_model(case, "cpu", "float32").run(recipe.inputs(case)[""])
    truth = np.load(folder / "tensors.npz")["logits__f64"]
    assert np.abs(found - truth).max() < 4e-6 * np.abs(truth).max()


def test_a_model_that_learns_has_the_gradients_of_tier_ref():
    config, _ = CASES["erf"]
    images, tree = images_of("erf"), params.seeded(config)
    learning = tiers.load("cpu", training=True)
    found = Model(config, tree, learning).gradients(images, [1, 3])
    wanted = Model(config, tree, tiers.load("ref", "float64")).gradients(images.astype(np.float64), [1, 3])
    largest = max(np.abs(g).max() for g in params.flatten(wanted.params).values())
    for name, reference in params.flatten(wanted.params).items():
        assert np.abs(params.flatten(found.params)[name] - reference).max() < 1e-5 * largest, name
