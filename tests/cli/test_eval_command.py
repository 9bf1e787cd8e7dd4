"""`minivit eval`, run as a user runs it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minivit.cli import main

GOLDEN = "tests/golden"
WEIGHTS = f"{GOLDEN}/hf__vit_classification"  # five classes: tench, goldfish, tabby, loudspeaker, volcano
NAMES = ("volcano", "tench", "tabby", "goldfish", "loudspeaker")  # another order than the model's


@pytest.fixture
def folder(tmp_path):
    """test/<class>/*.png with 4 pictures per class."""
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in NAMES:
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 255, (40, 48, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / part / name / f"{i}.png")
    return tmp_path / "data"


def run(capsys, *arguments):
    code = main([str(a) for a in ("eval", *arguments)])
    return code, *capsys.readouterr()


def run_json(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_json_has_the_totals_and_a_row_per_class(capsys, folder):
    found = run_json(capsys, "--weights", WEIGHTS, "--data", folder)
    assert found.keys() == {"top1", "top5", "images", "ms_per_image", "skipped", "per_class"}
    assert found["images"] == 20 and found["top5"] == 1 and found["skipped"] == 0 and found["ms_per_image"] > 0
    assert found["top1"] == sum(row["correct"] for row in found["per_class"]) / 20
    assert [row["images"] for row in found["per_class"]] == [4] * 5


def test_the_answers_are_those_of_classify(capsys, folder):
    rows = run_json(capsys, "--weights", WEIGHTS, "--data", folder)["per_class"]
    correct = {row["class"].split(",")[0]: row["correct"] for row in rows}
    for name in NAMES:
        pictures = sorted(map(str, (folder / "test" / name).iterdir()))
        assert main(["classify", *pictures, "--weights", WEIGHTS, "--top", "1", "--json"]) == 0
        answers = [a["top"][0]["label"].split(",")[0] for a in json.loads(capsys.readouterr().out)]
        assert correct[name] == answers.count(name)


def test_the_table_for_people_has_classes_totals_and_what_was_timed(capsys, folder):
    code, out, err = run(capsys, "--weights", WEIGHTS, "--data", folder)
    assert code == 0 and "loudspeaker" in out and "top-1" in out and "20 pictures, 0 skipped" in out
    assert "without decoding" in out and "pictures" not in err  # no counter: this is no terminal


def test_a_limit_takes_pictures_of_every_class(capsys, folder):
    found = run_json(capsys, "--weights", WEIGHTS, "--data", folder, "--limit", 10)
    assert [row["images"] for row in found["per_class"]] == [2] * 5


def test_damaged_pictures_are_skipped_and_counted(capsys, folder):
    (folder / "test" / "tench" / "0.png").write_bytes(b"not a picture")
    code, out, err = run(capsys, "--weights", WEIGHTS, "--data", folder, "--json")
    found = json.loads(out)
    assert code == 0 and (found["images"], found["skipped"]) == (19, 1) and "0.png" in err


def test_the_plot_is_a_png(capsys, folder, tmp_path):
    code, _, _ = run(capsys, "--weights", WEIGHTS, "--data", folder, "--plot", tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        assert code == 0 and image.format == "PNG"


def test_a_model_without_labels_takes_the_names_of_the_data(capsys, tmp_path):
    for name in "jihgfedcba":
        (tmp_path / "test" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32), "teal").save(tmp_path / "test" / name / "0.png")
    rows = run_json(capsys, "--model", "demo", "--size", 64, "--data", tmp_path)["per_class"]
    assert [row["class"] for row in rows] == list("abcdefghij")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--data", "{folder}"], "the model has no single label"),
        (["--weights", WEIGHTS], "--data"),
        (["--weights", WEIGHTS, "--data", "nowhere"], "nowhere: no such"),
        (["--weights", WEIGHTS, "--data", "{folder}", "--batch", "0"], "expected positive"),
        (["--weights", WEIGHTS, "--data", "{folder}", "--limit", "0"], "expected positive"),
        (["--model", "demo", "--data", "{folder}"], "5 classes and the model 10"),
        (["--weights", f"{GOLDEN}/vit__headless/weights.npz", "--data", "{folder}"], "no classification head"),
        (["--weights", WEIGHTS, "--data", "{folder}", "--tier", "fast"], "unknown --tier"),
    ],
)
def test_bad_input_gets_one_line(arguments, expected, capsys, folder):
    code, out, err = run(capsys, *(a.format(folder=folder) for a in arguments))
    assert code == 2 and out == "" and err.startswith("minivit: ") and err.count("\n") == 1 and expected in err


def test_the_result_is_told_even_if_the_plot_cannot_be_written(capsys, folder):
    arguments = ("--weights", WEIGHTS, "--data", folder, "--json", "--plot", folder / "none" / "c.png")
    code, out, err = run(capsys, *arguments)
    assert code == 2 and json.loads(out)["images"] == 20 and "cannot write" in err and err.count("\n") == 1


@pytest.mark.skipif("MINIVIT_DATA" not in os.environ, reason="MINIVIT_DATA is not set: no trained weights")
def test_trained_weights_name_photographs_whose_folders_are_wordnet_numbers(capsys, tmp_path):
    data = Path(os.environ["MINIVIT_DATA"])
    for path in sorted((data / "photos" / "imagenet_samples").glob("n*.JPEG"))[::5]:
        place = tmp_path / "val" / "test" / path.name.split("_")[0]
        place.mkdir(parents=True)
        shutil.copy(path, place)
    weights = data / "deit_tiny" / "deit_tiny_patch16_224.timm.safetensors"
    labels = data / "text" / "timm_imagenet_synsets.txt"
    found = run_json(capsys, "--weights", weights, "--labels", labels, "--data", tmp_path / "val")
    assert found["images"] == 20 and found["top1"] >= 0.6 and found["top5"] >= 0.9
