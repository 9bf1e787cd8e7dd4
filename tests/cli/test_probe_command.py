"""`minivit probe`, run as a user runs it."""

import json

import numpy as np
import pytest
from PIL import Image

from minivit import params
from minivit.cli import main
from minivit.loading import load

COLOURS = {"blue": (30, 60, 200), "green": (40, 180, 60), "red": (200, 40, 30)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of three noisy colours, which any features can tell apart."""
    root, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for part, count in (("train", 8), ("test", 3)):
        for name, colour in COLOURS.items():
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(colour, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")
    return root


def run(capsys, *arguments):
    code = main([str(a) for a in ("probe", "--model", "demo", "--size", "64", *arguments)])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("method", ["ridge", "sgd"])
def test_colours_are_learnt_and_the_json_says_how(method, capsys, folder):
    code, out, err = run(capsys, "--data", folder, "--method", method, "--json")
    found = json.loads(out)
    assert code == 0 and err == ""
    assert found.keys() == {
        *("accuracy", "train_accuracy", "method", "feature", "mirror", "blocks", "lambda", "train", "test", "seconds"),
    }
    assert found["accuracy"] == 1 and (found["train"], found["test"]) == (24, 9)
    assert (found["method"], found["feature"]) == (method, "cls+mean")


def test_all_features_and_mirror_images_are_kept_and_what_is_missing_is_named(capsys, folder, tmp_path):
    kept, features = tmp_path / "features.npz", "cls+mean+quadrants+hidden"
    asked = "--data", folder, "--features", kept
    code, out, _ = run(capsys, *asked, "--feature", features, "--mirror", "--blocks", 2)
    assert code == 0 and f"{features} of the last 2 blocks, pictures and their mirror images" in out
    again = run(capsys, *asked, "--feature", "hidden+cls", "--mirror", "--blocks", 2, "--json")
    assert again[0] == 0 and json.loads(again[1])["mirror"]
    code, _, err = run(capsys, *asked, "--blocks", 2)
    assert code == 2 and "holds features for mirror True, not False" in err
    kept.unlink()
    run(capsys, *asked)
    code, _, err = run(capsys, *asked, "--feature", "quadrants")
    assert code == 2 and "holds no feature 'quadrants'; name another file" in err


def test_people_read_accuracy_and_strength(capsys, folder):
    code, out, _ = run(capsys, "--data", folder, "--train", 12, "--test", 6)
    assert code == 0 and "100.00% of 6 test pictures right" in out and "the 12 it learnt from" in out and "λ = " in out


def test_the_saved_probe_gives_logits_of_plain_features(capsys, folder, tmp_path):
    run(capsys, "--data", folder, "--feature", "mean", "-o", tmp_path / "probe.npz")
    saved, model = np.load(tmp_path / "probe.npz"), load("demo")
    for index, name in enumerate(COLOURS):
        features = model.features(str(folder / "test" / name / "0.png"), (64, 64))
        assert (features["mean"] @ saved["w"] + saved["b"]).argmax() == index and saved["classes"][index] == name


def test_kept_features_are_used_again_without_the_model(capsys, folder, tmp_path, monkeypatch):
    kept = tmp_path / "features.npz"
    first = json.loads(run(capsys, "--data", folder, "--features", kept, "--json")[1])
    monkeypatch.setattr(params, "seeded", None)  # the demo model cannot be built any more
    again = json.loads(run(capsys, "--data", folder, "--features", kept, "--json")[1])
    assert {**first, "seconds": 0} == {**again, "seconds": 0}


def test_kept_features_of_something_else_are_refused(capsys, folder, tmp_path):
    kept = tmp_path / "features.npz"
    run(capsys, "--data", folder, "--features", kept, "--train", 12)
    code, out, err = run(capsys, "--data", folder, "--features", kept)
    assert code == 2 and out == "" and "holds features for train 12, not None" in err and err.count("\n") == 1


def test_a_file_that_holds_no_features_is_refused_and_kept(capsys, folder, tmp_path):
    np.savez(tmp_path / "mine.npz", w=np.ones(3))
    before = (tmp_path / "mine.npz").read_bytes()
    code, _, err = run(capsys, "--data", folder, "--features", tmp_path / "mine.npz")
    assert code == 2 and "not a whole file of features" in err and (tmp_path / "mine.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("train_labels", lambda x: x + 3),
        ("train_labels", lambda x: x[None]),
        ("test_labels", lambda x: x[:-1]),
        ("test_mean", lambda x: x[:, :-1]),
        ("train_cls", lambda x: x * np.nan),
        ("about", lambda x: x[:-1]),
    ],
)
def test_kept_features_that_do_not_fit_together_are_refused(name, damage, capsys, folder, tmp_path):
    kept = tmp_path / "features.npz"
    run(capsys, "--data", folder, "--features", kept, "--train", 6, "--test", 3)
    arrays = dict(np.load(kept))
    np.savez(kept, **{**arrays, name: damage(arrays[name])})
    code, out, err = run(capsys, "--data", folder, "--features", kept, "--train", 6, "--test", 3)
    assert code == 2 and out == "" and "not a whole file of features" in err and err.count("\n") == 1


def test_the_result_is_told_even_if_the_probe_cannot_be_written(capsys, folder):
    code, out, err = run(capsys, "--data", folder, "--json", "-o", folder / "none" / "p.npz")
    assert code == 2 and json.loads(out)["test"] == 9 and "cannot write" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--data", "nowhere"], "nowhere: no such"),
        (["--data", "{folder}", "--method", "rigde"], "did you mean 'ridge'"),
        (["--data", "{folder}", "--feature", "cls+token"], "unknown feature 'token'"),
        (["--data", "{folder}", "--feature", "hiden"], "did you mean 'hidden'"),
        (["--data", "{folder}", "--train", "0"], "expected positive"),
        (["--data", "{folder}", "--train", "3"], "at least 5 training"),
        (["--data", "{folder}", "--features", "{folder}/none/f.npz"], "cannot write"),
    ],
)
def test_bad_input_gets_one_line(arguments, expected, capsys, folder):
    code, out, err = run(capsys, *(a.format(folder=folder) for a in arguments))
    assert code == 2 and out == "" and err.startswith("minivit: ") and err.count("\n") == 1 and expected in err
