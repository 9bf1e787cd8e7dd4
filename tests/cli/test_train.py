"""`minivit train` and `minivit finetune`, run as a user runs them, on tiny pictures."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from minivit.cli import main
from minivit.train import run as module

GOLDEN = "tests/golden"
TINY = ["--tier", "ref", "--preset", "shapes", "--size", 16, "--patch", 8, "--width", 16, "--blocks", 1, "--heads", 2]
TINY += ["--mlp", 16, "--batch", 8, "--warmup", 1]


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr(module.Run, "draw", lambda *_: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of dark and bright pictures, {train,test}/{bright,dark}/*.png."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for part, count in (("train", 16), ("test", 6)):
        for name, light in (("dark", 40), ("bright", 180)):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(light, light + 60, (20, 24, 3), np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")
    return root


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of a command."""
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def refused(capsys, *arguments):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and not out and err.startswith("minivit: ") and err.count("\n") == 1, err
    return err


def test_train_learns_and_classify_reads_the_result(capsys, folder, tmp_path):
    output = tmp_path / "run"
    code, out, err = run(capsys, "train", "--data", folder, *TINY, "--epochs", 8, "--output", output)
    assert code == 0 and f"model     {output}/best.safetensors" in out
    assert len(re.findall(r"epoch \d  step \d+/32  loss .* accuracy .*%", err)) == 8
    picture = folder / "test" / "bright" / "0.png"
    code, out, _ = run(capsys, "classify", picture, "--weights", output / "best.safetensors", "--json")
    assert code == 0 and json.loads(out)[0]["top"][0]["label"] == "bright"


def test_train_json_is_a_summary_for_programs(capsys, folder, tmp_path):
    _, out, _ = run(capsys, "train", "--data", folder, *TINY, "--steps", 3, "--output", tmp_path / "run", "--json")
    summary = json.loads(out)
    assert summary["steps"] == 3 and summary["epochs"] == 1 and 0 <= summary["accuracy"] <= 1
    assert summary["checkpoint"] == str(tmp_path / "run" / "best.safetensors") and summary["parameters"] > 0


def test_train_takes_a_published_model_by_name(capsys, folder, tmp_path):
    options = ["--tier", "ref", "--preset", "official", "--model", "ti/16", "--size", 16, "--blocks", 1]
    options += ["--batch", 8, "--parts", 1, "--steps", 1, "--warmup", 0, "--output", tmp_path / "run"]
    code, _, _ = run(capsys, "train", "--data", folder, *options)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert code == 0 and settings["model"]["name"] == "ViT-192/16" and settings["model"]["image"] == [16, 16]


def test_augmentation_can_be_switched_by_options(capsys, folder, tmp_path):
    options = ["--steps", 2, "--no-flip", "--crop", 0, "--area", 0.5, 1, "--output", tmp_path / "run"]
    assert run(capsys, "train", "--data", folder, *TINY, *options)[0] == 0
    augment = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["augment"]
    assert (augment["flip"], augment["crop"], augment["area"]) == (False, 0, [0.5, 1.0])


def test_resume_needs_nothing_but_the_folder(capsys, folder, tmp_path, monkeypatch):
    output = tmp_path / "run"
    run(capsys, "train", "--data", folder, *TINY, "--epochs", 1, "--output", output)
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "train", "--resume", output, "--json")
    assert code == 0 and json.loads(out)["steps"] == 4


def test_resume_with_another_option_names_it(capsys, folder, tmp_path):
    output = tmp_path / "run"
    run(capsys, "train", "--data", folder, *TINY, "--epochs", 1, "--output", output)
    assert "rate is 0.5, but the run in" in refused(capsys, "train", "--resume", output, "--rate", 0.5)
    assert "model.heads is 4, but the run in" in refused(capsys, "train", "--resume", output, "--heads", 4)


def test_finetune_gives_a_checkpoint_new_classes(capsys, folder, tmp_path):
    options = ["--tier", "ref", "--size", 48, "--batch", 8, "--parts", 2, "--steps", 8, "--warmup", 1]
    options += ["--output", tmp_path / "run"]
    code, out, _ = run(capsys, "finetune", f"{GOLDEN}/vit__token/weights.npz", "--data", folder, *options, "--json")
    assert code == 0 and json.loads(out)["best_accuracy"] >= 0.9
    picture = folder / "test" / "dark" / "1.png"
    code, out, _ = run(capsys, "classify", picture, "--weights", tmp_path / "run" / "best.safetensors", "--json")
    answer = json.loads(out)[0]
    assert code == 0 and answer["top"][0]["label"] == "dark" and answer["model"].endswith(f" on {folder.name}")
    code, out, _ = run(capsys, "inspect", tmp_path / "run" / "last.safetensors")
    assert "vit__token/weights.npz" in out and "(48, 48)" in out


def test_a_fine_tuning_goes_on_like_any_run(capsys, folder, tmp_path):
    options = ["--tier", "ref", "--batch", 8, "--parts", 1, "--epochs", 1, "--warmup", 0, "--output", tmp_path / "run"]
    run(capsys, "finetune", f"{GOLDEN}/vit__gap/weights.npz", "--data", folder, *options)
    code, out, _ = run(capsys, "train", "--resume", tmp_path / "run", "--json")
    assert code == 0 and json.loads(out)["steps"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "{new}"], "--data is missing"),
        (["--data", "{data}"], "one of the arguments --output --resume is required"),
        (["--data", "{data}", "--output", "{new}", "--resume", "{new}"], "not allowed with argument"),
        (["--data", "{new}", "--output", "{new}"], "no such file or folder"),
        (
            ["--data", "{data}", "--output", "{data}", "--batch", "8", "--warmup", "0"],
            "is not empty; choose a new folder",
        ),
        (["--resume", "{new}"], "holds no run"),
        (["--data", "{data}", "--output", "{new}", "--preset", "cifar"], "did you mean 'cifar10'"),
        (["--data", "{data}", "--output", "{new}", "--preset", "official"], "the recipe has no model"),
        (["--data", "{data}", "--output", "{new}", "--preset", "official", "--width", "8"], "has no model whose sizes"),
        (["--data", "{data}", "--output", "{new}", "--model", "vit-x"], "unknown model 'vit-x'"),
        (["--data", "{data}", "--output", "{new}", "--batch", "0"], "batch is 0, expected a number from 1"),
        (["--data", "{data}", "--output", "{new}", "--batch", "many"], "invalid int value: 'many'"),
        (["--data", "{data}", "--output", "{new}", "--epochs", "1", "--steps", "9"], "expected exactly one of them"),
        (["--data", "{data}", "--output", "{new}", "--brightness", "3"], "augment: brightness is 3"),
        (["--data", "{data}", "--output", "{new}", "--batch", "8", "--epochs", "1"], "warmup is 300 steps, but"),
        (["--data", "{data}", "--output", "{new}"], "a batch of 128 pictures, expected 1 to 32"),
        (["--data", "{data}", "--output", "{new}", "--tier", "cup"], "did you mean 'cpu'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(arguments, message, capsys, folder, tmp_path):
    filled = [argument.format(data=folder, new=tmp_path / "run") for argument in arguments]
    assert message in refused(capsys, "train", "--tier", "ref", *filled)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_not_touched(capsys, folder, tmp_path):
    output = tmp_path / "run"
    run(capsys, "train", "--data", folder, *TINY, "--epochs", 1, "--output", output)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    message = refused(capsys, "train", "--data", folder, *TINY, "--epochs", 2, "--output", output)
    assert f"{output} holds a run already; go on with `minivit train --resume {output}`" in message
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_what_cannot_be_finetuned_is_refused_in_one_line(capsys, folder, tmp_path):
    weights, new = f"{GOLDEN}/vit__token/weights.npz", tmp_path / "run"
    assert "no such file" in refused(capsys, "finetune", "none.npz", "--data", folder, "--output", new)
    assert "--data is missing" in refused(capsys, "finetune", weights, "--output", new)
    assert "less than one patch" in refused(capsys, "finetune", weights, "--data", folder, "--output", new, "--size", 8)
    assert not new.exists()
