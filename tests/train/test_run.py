"""Whole runs of a tiny model: what they learn, what they leave in their folder, and how they survive interruptions."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

import minivit
from minivit.config import ViTConfig
from minivit.data import Augment, Dataset, Split, shapes
from minivit.errors import InputError
from minivit.train import log
from minivit.train import run as module
from minivit.train.recipe import Recipe
from minivit.train.start import initial

TINY = ViTConfig("tiny", patch=8, width=16, blocks=2, heads=2, mlp=16, image=(16, 16))
RECIPE = Recipe(model=TINY, epochs=4, batch=8, rate=1e-2, warmup=2)
OFFICIAL = replace(RECIPE, optimiser="sgd", buffer="bfloat16", rate=0.03, augment=Augment(flip=True))
EVERYTHING = replace(
    RECIPE, weight_decay=0.05, average=0.9, dropout=0.1, attention_dropout=0.1, stochastic_depth=0.2, parts=2
)
EVERYTHING = replace(EVERYTHING, mixup=0.8, cutmix=1.0, smoothing=0.1, augment=Augment(crop=2, flip=True))


train = partial(module.train, tier="ref")


def pictures(count=48, seed=0, split=Split):
    """Two classes, dark and bright ones, 16×16 pixels, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = rng.integers(0, 160, (count, 16, 16, 3)) + 90 * labels[:, None, None, None]
    return split(pixels.astype(np.uint8), labels)


def dataset(split=Split):
    return Dataset("dark or bright", ("dark", "bright"), pictures(split=split), pictures(24, seed=1))


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Pictures take a second per test, and only one test looks at them."""
    monkeypatch.setattr(module.Run, "draw", lambda *_: None)


def left(folder):
    """What a run leaves, without the times: state, logs, models."""
    state = {name: array for name, array in np.load(folder / "state.npz").items() if name != "seconds"}
    logs = [
        [{**row, "seconds": 0} for row in log.read(folder / f"{name}.csv", columns)]
        for name, columns in (("log", log.STEPS), ("tests", log.TESTS))
    ]
    return state, logs, [(folder / f"{name}.safetensors").read_bytes() for name in ("last", "best")]


def assert_same(folder, other):
    (state, *rest), (expected, *expected_rest) = left(folder), left(other)
    assert state.keys() == expected.keys()
    for name in state:
        np.testing.assert_array_equal(state[name], expected[name], err_msg=name)
    assert rest == expected_rest


# ---- learning -------------------------------------------------------------------------------------------------------


def test_a_tiny_model_learns_and_is_read_back_as_it_was_tested(tmp_path):
    summary = train(RECIPE, dataset(), tmp_path / "run")
    assert summary["steps"] == 24 and summary["epochs"] == 4 and summary["best_accuracy"] >= 0.9
    model = minivit.load(summary["checkpoint"])
    test = dataset().test
    found = [model.top(logits, 1)[0].label for logits in model.run(list(test.pixels))]
    right = np.mean([label == ("dark", "bright")[truth] for label, truth in zip(found, test.labels, strict=True)])
    assert right == summary["best_accuracy"]


def test_32_shapes_are_learned_by_heart(tmp_path):
    pixels, labels = shapes.draw(32)
    same = Split(pixels, labels)
    config = ViTConfig("tiny", patch=8, width=48, blocks=2, heads=3, mlp=96, image=(32, 32))
    recipe = Recipe(model=config, epochs=30, batch=16, rate=3e-3, warmup=10)
    summary = train(recipe, Dataset("32 shapes", shapes.CLASSES, same, same), tmp_path / "run")
    assert summary["accuracy"] == 1.0


def test_the_moving_average_is_what_is_tested_and_kept(tmp_path):
    train(replace(RECIPE, average=0.5, epochs=1), dataset(), tmp_path)
    state = np.load(tmp_path / "state.npz")
    kept = minivit.load(tmp_path / "last.safetensors")
    flat = np.concatenate([a.ravel() for a in minivit.params.flatten(kept.params).values()])
    np.testing.assert_array_equal(flat, state["average"])
    assert (state["average"] != state["numbers"]).any()


def test_parts_give_the_same_gradient_but_for_rounding(tmp_path):
    for parts in (1, 4):
        train(replace(OFFICIAL, parts=parts, epochs=1), dataset(), tmp_path / str(parts))
    whole, parts = (np.load(tmp_path / name / "state.npz")["numbers"] for name in ("1", "4"))
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_the_provenance_tells_recipe_and_accuracy(tmp_path):
    train(replace(RECIPE, epochs=1), dataset(), tmp_path, data="/pictures")
    told = minivit.checkpoints.read(tmp_path / "last.safetensors").provenance
    assert told["data"] == "/pictures" and told["step"] == 6 and told["recipe"]["rate"] == 0.01
    assert told["accuracy"] == log.read(tmp_path / "tests.csv", log.TESTS)[0]["accuracy"]


def test_curves_and_attention_maps_are_drawn_as_it_learns(tmp_path, monkeypatch):
    monkeypatch.undo()
    train(replace(RECIPE, epochs=2), dataset(), tmp_path)
    drawn = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))
    assert drawn == ["attention/step_000006.png", "attention/step_000012.png", "curve.png"]
    assert Image.open(tmp_path / "curve.png").width == 1500


# ---- interruptions --------------------------------------------------------------------------------------------------


class Interrupting(Split):
    """A split whose pictures send Ctrl-C to the program when some more batches were taken."""

    after = 0

    def take(self, indices):
        Interrupting.after -= 1
        if Interrupting.after == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return super().take(indices)


@pytest.mark.parametrize("recipe", [OFFICIAL, EVERYTHING], ids=["SGD in bfloat16", "AdamW with everything"])
def test_interrupted_and_resumed_is_the_same_to_the_bit(recipe, tmp_path):
    train(recipe, dataset(), tmp_path / "whole")
    rng, interruptions, finished = np.random.default_rng(), 0, False
    while not finished:
        Interrupting.after = int(rng.integers(3, 12))
        try:
            train(recipe, dataset(Interrupting), tmp_path / "parts")
            finished = True
        except KeyboardInterrupt:
            interruptions += 1
    assert interruptions >= 2
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_what_was_done_after_the_last_save_is_done_again(tmp_path, monkeypatch):
    train(EVERYTHING, dataset(), tmp_path / "whole")
    steps = []

    def crash(self, *batch):
        steps.append(batch)
        if len(steps) == 10:  # as a power cut: nothing is saved, but the log is ahead of the state
            raise RuntimeError("power cut")
        return step(self, *batch)

    step = module.Run.step
    monkeypatch.setattr(module.Run, "step", crash)
    with pytest.raises(RuntimeError):
        train(EVERYTHING, dataset(), tmp_path / "parts")
    assert len(log.read(tmp_path / "parts" / "log.csv", log.STEPS)) == 9
    assert np.load(tmp_path / "parts" / "state.npz")["step"] == 6
    train(EVERYTHING, dataset(), tmp_path / "parts")
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_a_full_disk_stops_the_run_and_leaves_the_last_good_state(tmp_path, monkeypatch):
    train(OFFICIAL, dataset(), tmp_path / "whole")
    saved, savez = [], np.savez

    def full(file, **arrays):
        saved.append(arrays)
        if len(saved) == 3:
            raise OSError(28, "No space left on device")
        savez(file, **arrays)

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(InputError, match=r"cannot write .*state\.npz: No space left on device"):
        train(OFFICIAL, dataset(), tmp_path / "parts")
    assert np.load(tmp_path / "parts" / "state.npz")["step"] == 6
    train(OFFICIAL, dataset(), tmp_path / "parts")
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    summary = train(RECIPE, dataset(), tmp_path)
    before = left(tmp_path)
    again = train(RECIPE, dataset(), tmp_path)
    assert again == summary and str(left(tmp_path)) == str(before)


def test_ctrl_c_of_the_command_saves_says_how_to_go_on_and_exits_with_130(tmp_path):
    for part, split in (("train", pictures()), ("test", pictures(8, seed=1))):
        for i, (picture, label) in enumerate(zip(split.pixels, split.labels, strict=True)):
            (tmp_path / "data" / part / str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(tmp_path / "data" / part / str(label) / f"{i}.png")
    command = [sys.executable, "-m", "minivit", "train", "--data", str(tmp_path / "data"), "--preset", "shapes"]
    command += ["--size", "16", "--patch", "8", "--width", "16", "--blocks", "1", "--heads", "2", "--mlp", "16"]
    command += [
        "--batch",
        "8",
        "--warmup",
        "0",
        "--steps",
        "1000000",
        "--tier",
        "ref",
        "--output",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("ViT-16/8, ")
    assert process.stderr.readline().startswith("epoch 1 ")
    process.send_signal(signal.SIGINT)
    told = process.stderr.read()
    assert process.wait() == 130 and "Traceback" not in told
    step = int(re.search(r"stopped after step ([\d,]+), everything is saved", told)[1].replace(",", ""))
    assert f"minivit train --resume {tmp_path / 'run'}" in told
    assert np.load(tmp_path / "run" / "state.npz")["step"] == step


# ---- bad input ------------------------------------------------------------------------------------------------------


def refused(*arguments, **options):
    with pytest.raises(InputError) as caught:
        train(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_resuming_with_another_recipe_names_the_field(tmp_path):
    train(replace(RECIPE, epochs=1), dataset(), tmp_path)
    message = refused(replace(RECIPE, epochs=1, rate=0.02), dataset(), tmp_path)
    assert message.startswith(f"rate is 0.02, but the run in {tmp_path} has 0.01")


def test_resuming_with_other_pictures_names_their_number(tmp_path):
    train(replace(RECIPE, epochs=1), dataset(), tmp_path)
    fewer = replace(dataset(), train=pictures(40))
    assert refused(replace(RECIPE, epochs=1), fewer, tmp_path).startswith("train is 40, but the run in")


def test_a_folder_with_a_run_is_refused_unless_it_is_to_go_on(tmp_path):
    train(replace(RECIPE, epochs=1), dataset(), tmp_path)
    message = refused(replace(RECIPE, epochs=1), dataset(), tmp_path, resume=False)
    assert "holds a run already; go on with `minivit train --resume" in message


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert "is not empty" in refused(RECIPE, dataset(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path):
    (tmp_path / "run").write_text("")
    assert "cannot make the folder" in refused(RECIPE, dataset(), tmp_path / "run")


def test_a_loss_that_is_not_finite_names_step_tensor_and_the_last_good_state(tmp_path):
    config = replace(TINY, classes=2)
    tree = initial(config)
    tree["blocks"][1]["attn"]["qkv"]["w"] *= 1e25
    message = refused(RECIPE, dataset(), tmp_path, tree=tree)
    assert message.startswith("training diverged at step 1: block1.attn.scores is not finite (loss nan, rate 0)")
    assert message.endswith(f"the last good state is that of step 0 in {tmp_path / 'state.npz'}")


def test_a_bad_parameter_is_never_saved(tmp_path, monkeypatch):
    def spoil(self, numbers, *_):
        numbers[5] = np.nan

    monkeypatch.setattr("minivit.train.optimiser.AdamW.update", spoil)
    message = refused(replace(RECIPE, steps=1, epochs=None, warmup=0), dataset(), tmp_path)
    assert "not finite" in message or "the test loss is nan" in message
    assert np.isfinite(np.load(tmp_path / "state.npz")["numbers"]).all()


def test_a_recipe_without_model_says_how_to_choose_one(tmp_path):
    assert "the recipe has no model" in refused(replace(RECIPE, model=None), dataset(), tmp_path)


def test_a_dataset_without_training_pictures_is_refused(tmp_path):
    assert "only pictures to test with" in refused(RECIPE, replace(dataset(), train=None), tmp_path)


def test_a_batch_larger_than_the_dataset_is_refused_before_anything_is_written(tmp_path):
    assert "batch of 64" in refused(replace(RECIPE, batch=64), dataset(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_settings_of_a_run_can_be_read_by_people(tmp_path):
    train(replace(RECIPE, epochs=1), dataset(), tmp_path)
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["recipe"]["model"]["classes"] == 2 and written["data"] == "dark or bright"
