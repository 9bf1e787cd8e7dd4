"""`minivit demo`: a walk for people, JSON for programs, a picture either way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from minivit import names
from minivit.cli import main
from minivit.loading import DEMO

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_json(capsys, *arguments):
    assert main(["demo", "--json", *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_demo_runs_on_a_fresh_machine_and_says_nothing_on_stderr(folder):
    home = folder / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}  # no font cache, no weights, no settings
    done = subprocess.run([sys.executable, "-m", "minivit", "demo"], capture_output=True, env=environment, check=True)
    out = done.stdout.decode()
    assert done.stderr == b""
    for expected in ("a painted ship", "embed.patches", "one vector per patch", "12  logits", "Most probable"):
        assert expected in out
    answer = out.split("Most probable classes:")[1].split()
    assert answer[1] == "ship" and float(answer[0].rstrip("%")) > 50
    with Image.open("minivit-demo.png") as image:
        assert image.format == "PNG" and image.width == 1500 and 1000 < image.height < 2000


def test_a_model_that_was_never_trained_says_so(capsys):
    assert main(["demo", "--model", "demo"]) == 0
    out = capsys.readouterr().out
    assert "never trained" in out and "hot-air balloon" in out


def test_the_json_has_a_row_for_each_tensor_with_its_meaning_and_time(capsys):
    answer = run_json(capsys, "--model", "demo", "-o", "maps.png")
    assert list(answer) == ["image", "model", "output", "steps", "top"]
    assert answer["model"] == "demo" and answer["output"] == "maps.png" and Path("maps.png").exists()
    assert [step["ms"] for step in answer["steps"]] == sorted(step["ms"] for step in answer["steps"])
    known = names.of(DEMO)
    for step in answer["steps"]:
        assert step["meaning"] == known[step["name"]].meaning
        assert step["min"] <= step["mean"] <= step["max"]
    assert len(answer["top"]) == 5 and answer["top"][0]["probability"] >= answer["top"][1]["probability"]


def test_the_short_list_ends_with_the_last_block_and_the_full_one_has_everything(capsys):
    short = [step["name"] for step in run_json(capsys, "--model", "demo")["steps"]]
    assert "block0.attn.q" in short and "block3.resid_post" in short and "block1.resid_post" not in short
    assert [step["name"] for step in run_json(capsys, "--model", "demo", "--full")["steps"]] == list(names.of(DEMO))


@pytest.mark.parametrize(
    ("weights", "options", "classes"),
    [
        ("vit__gap/weights.npz", [], 5),
        ("vit__headless/weights.npz", ["--heads", "4"], 0),
        ("hf__deit_distilled", [], 4),
        ("timm__vit_avg/model.safetensors", ["--heads", "3"], 5),
    ],
)
def test_the_demo_walks_a_file_through_other_kinds_of_models(weights, options, classes, capsys):
    picture = GOLDEN / "preprocess__images" / "rgb_37x53.png"
    answer = run_json(capsys, picture, "--weights", GOLDEN / weights, *options)
    assert answer["image"] == str(picture)
    assert len(answer["top"]) == classes


def test_an_unwritable_output_is_one_line_and_leaves_nothing_behind(folder, capsys):
    assert main(["demo", "-o", "missing/maps.png"]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("minivit: cannot write missing/maps.png") and error.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_an_output_that_is_no_png_is_refused_before_anything_runs(folder, capsys):
    assert main(["demo", "-o", "maps.jpg"]) == 2
    assert "expected a name that ends in .png" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


@pytest.mark.skipif("MINIVIT_DATA" not in os.environ, reason="MINIVIT_DATA is not set: no trained weights")
def test_real_weights_recognise_the_painted_balloon(capsys):
    weights = Path(os.environ["MINIVIT_DATA"]) / "deit_tiny" / "deit_tiny_patch16_224.timm.safetensors"
    assert run_json(capsys, "--weights", weights)["top"][0]["index"] == 417  # ImageNet: balloon
