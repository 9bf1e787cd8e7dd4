"""`minivit look`: a figure per picture, numbers for programs, one line for what is wrong."""

import json

import numpy as np
import pytest
from PIL import Image

from minivit import load
from minivit.cli import main
from minivit.viz import plots

GOLDEN = "tests/golden"
TOKEN = f"{GOLDEN}/vit__token/weights.npz"  # 3 blocks, 3 heads, 4×4 patches, 10 classes
HEADLESS = ["--weights", f"{GOLDEN}/vit__headless/weights.npz", "--heads", "4"]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    return path


def look(capsys, *arguments, weights=("--weights", TOKEN)):
    """(exit code, stdout, stderr)."""
    code = main(["look", *map(str, arguments), *weights])
    return code, *capsys.readouterr()


def refused(capsys, *arguments, weights=("--weights", TOKEN)):
    code, out, err = look(capsys, *arguments, weights=weights)
    assert code == 2 and out == ""
    assert err.startswith("minivit: ") and err.count("\n") == 1, err
    return err


def test_a_look_is_a_png_and_says_what_it_shows(capsys, picture, tmp_path):
    place = tmp_path / "fig.png"
    code, out, err = look(capsys, picture, "--map", "rollout", "--layer", 1, "-o", place)
    assert (code, err) == (0, "")
    assert out == f"{place}: Attention rollout: from the class token, layer 1, mean of the heads\n"
    with Image.open(place) as image:
        assert image.format == "PNG" and image.width == 1500


def test_the_json_has_method_settings_and_the_largest_patches(capsys, picture, tmp_path):
    options = ["--map", "attention", "--layer", 1, "--head", 2, "-o", tmp_path / "x.png", "--json"]
    code, out, _ = look(capsys, picture, *options)
    [answer] = json.loads(out)
    assert code == 0 and answer["map"] == "attention" and answer["output"] == str(tmp_path / "x.png")
    assert answer["settings"] == {"from": "the class token", "layer": 1, "head": 2}
    probs = load(TOKEN).trace(picture, "block1.attn.probs")["block1.attn.probs"][0, 2, 0, 1:]
    assert answer["maps"]["head 2"]["top"][0]["patch"] == probs.argmax()
    assert answer["maps"]["head 2"]["sum"] == pytest.approx(float(probs.sum()), rel=1e-5)


def test_several_images_get_files_of_their_own_in_a_folder(capsys, picture, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    twin = other / "cat.png"
    twin.write_bytes(picture.read_bytes())
    code, out, _ = look(capsys, picture, twin, "--map", "filters", "-o", tmp_path / "out")
    assert code == 0 and out.count("\n") == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cat-2-filters.png", "cat-filters.png"]


def test_the_figure_is_named_after_image_and_map(capsys, picture, tmp_path, monkeypatch):
    weights = ["--model", "demo"]
    monkeypatch.chdir(tmp_path)
    assert look(capsys, picture, "--map", "filters", weights=weights)[0] == 0
    assert (tmp_path / "cat-filters.png").exists()


@pytest.mark.parametrize(
    ("weights", "who"),
    [
        (["--weights", f"{GOLDEN}/hf__deit_distilled"], "from the class token"),
        (["--weights", f"{GOLDEN}/hf__vit_classification"], "from the class token"),
        (["--weights", f"{GOLDEN}/timm__vit_avg/model.safetensors", "--heads", "3"], "from the mean patch"),
        (["--weights", f"{GOLDEN}/vit__gap/weights.npz"], "from the mean patch"),
        (HEADLESS, "from the class token"),
        ([], "from the class token"),  # the model in the box
    ],
)
def test_every_kind_of_model_can_be_looked_into(weights, who, capsys, picture, tmp_path):
    code, out, _ = look(capsys, picture, "--layer", 0, "-o", tmp_path / "x.png", weights=weights)
    assert code == 0 and who in out and (tmp_path / "x.png").exists()


def test_the_list_has_every_map_with_its_options(capsys):
    assert main(["look", "--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["map"] for row in rows] == list(plots.FIGURES) and all(row["shows"] for row in rows)
    options = {row["map"]: row["options"].split() for row in rows}
    assert options["attention"] == ["--layer", "--head", "--patch"] and options["filters"] == []
    assert main(["look", "--list"]) == 0
    assert "rollout" in capsys.readouterr().out


WRONG = {
    "unknown map": (["--map", "rolout"], "there is no map 'rolout'; did you mean 'rollout'"),
    "layer": (["--layer", "3"], "layer 3 is out of range, expected 0 to 2"),
    "head": (["--head", "-1"], "head -1 is out of range, expected 0 to 2"),
    "class": (["--map", "relevance", "--class", "10"], "class 10 is out of range, expected 0 to 9"),
    "class by name": (["--map", "lens", "--class", "cat"], "has no labels; give an index or --labels FILE"),
    "patch": (["--patch", "16"], "patch 16 is out of range, expected 0 to 15"),
    "patch column": (["--patch", "0,4"], "patch column 4 is out of range, expected 0 to 3"),
    "patch in words": (["--patch", "left"], "patch 'left': expected a number or row,column"),
    "option of another map": (["--map", "rollout", "--head", "1"], "takes no --head; it takes --layer, --patch"),
    "no png": (["-o", "fig.jpg"], "expected a name that ends in .png"),
    "no folder": (["-o", "missing/fig.png"], "there is no folder missing; choose another output path"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_gets_one_line(case, capsys, picture):
    options, expected = WRONG[case]
    assert expected in refused(capsys, picture, *options)


def test_other_wrong_input_gets_one_line_too(capsys, picture, tmp_path):
    assert "no IMAGE given" in refused(capsys)
    assert "none.jpg: no such file" in refused(capsys, "none.jpg", "-o", tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
    line = refused(capsys, picture, "--map", "relevance", "-o", tmp_path / "x.png", weights=HEADLESS)
    assert "gives no class for the image; choose a map that needs none" in line
    assert "several images need a folder" in refused(capsys, picture, picture, "-o", picture)


def test_names_with_signs_of_all_kinds_are_no_problem(capsys, picture, tmp_path):
    odd = tmp_path / "<script>'ü$x$\".png"
    odd.write_bytes(picture.read_bytes())
    code, out, _ = look(capsys, odd, "--map", "filters", "-o", tmp_path)
    assert code == 0 and (tmp_path / "<script>'ü$x$\"-filters.png").exists() and "ü$x$" in out
