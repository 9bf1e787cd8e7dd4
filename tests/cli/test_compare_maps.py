"""`minivit compare-maps`: seven maps with their deletion scores."""

import json

import numpy as np
import pytest
from PIL import Image

from minivit import load
from minivit.cli import main
from minivit.viz.explain import explain
from minivit.viz.faithful import deletion

TOKEN = "tests/golden/vit__token/weights.npz"
HEADLESS = ["--weights", "tests/golden/vit__headless/weights.npz", "--heads", "4"]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    return path


def test_the_scores_are_the_deletion_areas_and_the_figure_is_a_png(capsys, picture, tmp_path):
    place = tmp_path / "maps.png"
    assert main(["compare-maps", str(picture), "--weights", TOKEN, "--class", "3", "-o", str(place), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    scores = answer["settings"]["scores"]
    assert len(scores) == len(answer["maps"]) == 7 and answer["settings"]["class"] == 3
    areas = [score["deletion"] for score in scores.values()]
    assert areas == sorted(areas)
    _, found = explain(load(TOKEN), picture, ("relevance",), 3)
    curve = deletion(load(TOKEN), picture, found["relevance"][0], 3)
    assert scores["relevance"]["deletion"] == pytest.approx(curve.auc)
    assert scores["random numbers"]["untrained"] == pytest.approx(1)  # it never asked the model
    with Image.open(place) as image:
        assert image.format == "PNG" and image.width == 1500


def test_people_get_a_table_and_how_to_read_it(capsys, picture, tmp_path):
    assert main(["compare-maps", str(picture), "-o", str(tmp_path / "maps.png"), "--weights", TOKEN]) == 0
    out = capsys.readouterr().out
    for expected in ("deletion", "untrained", "patch lens", "random numbers", "One picture proves nothing", "maps.png"):
        assert expected in out
    assert max(map(len, out.splitlines())) <= 120


WRONG = {
    "layer 3 is out of range, expected 0 to 2": ["--weights", TOKEN, "--layer", "3"],
    "class 10 is out of range, expected 0 to 9": ["--weights", TOKEN, "--class", "10"],
    "there is no folder missing": ["--weights", TOKEN, "-o", "missing/x.png"],
    "gives no class for the image": HEADLESS,
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_gets_one_line(message, capsys, picture, tmp_path, monkeypatch):
    assert main(["compare-maps", str(picture), "-o", str(tmp_path / "x.png"), *WRONG[message]]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
    assert not (tmp_path / "x.png").exists()
