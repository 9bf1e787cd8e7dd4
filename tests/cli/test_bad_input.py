"""Bad input on the command line: one clear line on stderr, exit code 2, no traceback, nothing half-written.

Damaged images and checkpoints have their own tests (tests/image, tests/checkpoints); here, the line reaches the user.
"""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from minivit.cli import main

GOLDEN = "tests/golden"
VIT = f"{GOLDEN}/vit__token/weights.npz"


@pytest.fixture
def picture(tmp_path):
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.new("RGB", (32, 32), "teal").save(path)
    return str(path)


def refused(capsys, *arguments):
    """The one line with which a command refuses its input."""
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert code == 2 and out == ""
    assert err.startswith("minivit: ") and err.count("\n") == 1, err
    return err


CASES = {
    "no command": ([], "COMMAND"),
    "unknown command": (["clasify"], "did you mean 'classify'"),
    "unknown option": (
        ["zoo", "--jsn"],
        "unexpected '--jsn'; did you mean '--json' or '--png'? (`minivit zoo --help` shows how)",
    ),
    "unknown option with a value": (["classify", "{picture}", "--weigths=x"], "did you mean '--weights'"),
    "one word too many": (["doctor", "me"], "unexpected 'me' (`minivit doctor --help` shows how)"),
    "unknown action": (["course", "biuld"], "unknown action 'biuld'; did you mean 'build'?"),
    "unknown model": (["classify", "{picture}", "--model", "vit-b17"], "did you mean 'ViT-B/"),
    "known model without weights": (["classify", "{picture}", "--model", "ViT-H/14"], "no weights for ViT-H/14"),
    "missing weights": (["classify", "{picture}", "--weights", "none.npz"], "none.npz: no such file"),
    "weights folder without weights": (["classify", "{picture}", "--weights", "tests"], "tests"),
    "unknown tier": (["classify", "{picture}", "--model", "demo", "--tier", "reff"], "did you mean 'ref'"),
    "unknown dtype": (["classify", "{picture}", "--model", "demo", "--dtype", "float8"], "float8"),
    "unknown policy": (["classify", "{picture}", "--model", "demo", "--preprocess", "gogle"], "did you mean 'google'"),
    "bad size": (["classify", "{picture}", "--model", "demo", "--size", "0x224"], "expected pixels"),
    "size below a patch": (["classify", "{picture}", "--model", "demo", "--size", "8"], "less than one patch"),
    "negative top": (["classify", "{picture}", "--model", "demo", "--top", "-1"], "expected a positive number"),
    "impossible heads": (["classify", "{picture}", "--weights", VIT, "--heads", "7"], "heads"),
    "missing image": (["classify", "cat.jpg", "--model", "demo"], "cat.jpg: no such file"),
    "folder instead of image": (["classify", "tests", "--model", "demo"], "folder"),
    "missing labels": (
        ["classify", "{picture}", "--model", "demo", "--labels", "none.txt"],
        "none.txt: no such file; expected",
    ),
    "unknown tensor": (["trace", "{picture}", "--model", "demo", "--keep", "block1.atn.probs"], "block1.attn.probs"),
    "headless model": (["classify", "{picture}", "--weights", f"{GOLDEN}/vit__headless/weights.npz"], "features"),
    "inspect nothing": (["inspect", "none.npz"], "no such file"),
    "not a case": (["check", "tests"], "not a golden case"),
    "two cases against one dump": (["check", VIT, VIT, "--against", VIT], "one case at a time"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_arguments_get_one_line(case, capsys, picture):
    arguments, expected = CASES[case]
    assert expected in refused(capsys, *(a.format(picture=picture) for a in arguments))


def test_a_wrong_number_of_labels_is_refused(capsys, picture, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")
    line = refused(capsys, "classify", picture, "--model", "demo", "--labels", labels)
    assert "2 labels, but the model has 10 classes" in line


@pytest.mark.parametrize("content", ["[1, 2", '{"1": "a"}', "[3]", "\x00"])
def test_broken_label_files_are_refused(content, capsys, picture, tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text(content)
    assert "labels.json" in refused(capsys, "classify", picture, "--model", "demo", "--labels", labels)


def test_nan_pixels_are_refused(capsys, tmp_path):
    pixels = np.zeros((1, 224, 224, 3), np.float32)
    pixels[0, 3, 4, 1] = np.nan
    np.save(tmp_path / "pixels.npy", pixels)
    assert "NaN" in refused(capsys, "classify", tmp_path / "pixels.npy", "--model", "demo")


def test_pickled_arrays_are_refused(capsys, tmp_path):
    np.save(tmp_path / "pixels.npy", np.array([{}], object), allow_pickle=True)
    assert "pickle" in refused(capsys, "classify", tmp_path / "pixels.npy", "--model", "demo")


@pytest.mark.parametrize("command", ["features", "trace"])
def test_an_output_that_cannot_be_written_is_refused_and_nothing_is_left(command, capsys, picture, tmp_path):
    output = tmp_path / "missing" / "out.npz"
    assert "cannot write" in refused(capsys, command, picture, "--model", "demo", "-o", output)
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


def test_an_output_that_is_a_folder_is_refused_and_the_folder_kept(capsys, picture, tmp_path):
    assert "cannot write" in refused(capsys, "features", picture, "--model", "demo", "-o", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"family": "vit_jaxx"}, "cannot check cases of the family 'vit_jaxx'"),
        ({"family": None}, "cannot check cases"),
        ({"tensors": 3}, "malformed"),
        ({"float32_vs_float64_error_of_the_reference": {}}, "missing or malformed entry"),
    ],
)
def test_malformed_cases_are_refused(change, expected, capsys, tmp_path):
    shutil.copytree(f"{GOLDEN}/vit__headless", tmp_path / "case")
    case = json.loads((tmp_path / "case" / "case.json").read_text())
    (tmp_path / "case" / "case.json").write_text(json.dumps({**case, **change}))
    assert expected in refused(capsys, "check", tmp_path / "case")


def test_running_out_of_memory_is_one_line(capsys, picture, monkeypatch):
    def too_large(*_):
        raise MemoryError("Unable to allocate 142. GiB for an array")

    monkeypatch.setattr("minivit.model.Model.classify", too_large)
    assert "142. GiB" in refused(capsys, "classify", picture, "--model", "demo")


def test_a_process_ends_with_code_2_and_no_traceback():
    done = subprocess.run([sys.executable, "-m", "minivit", "inspect", "none.npz"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("minivit: none.npz")
