"""The commands, run as a user runs them: output for people, JSON for programs, exit codes."""

import json
import shutil

import numpy as np
import pytest

from minivit import loading
from minivit.cli import COMMANDS, main
from minivit.config import VARIANTS

GOLDEN = "tests/golden"


@pytest.fixture
def picture(tmp_path):
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    return str(path)


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of a command."""
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def run_json(capsys, *arguments):
    code, out, _ = run(capsys, *arguments, "--json")
    return code, json.loads(out)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"example:\n  minivit {command}" in out and "--json" in out


def test_classify_prints_the_top_classes(capsys, picture):
    code, out, _ = run(capsys, "classify", picture, "--model", "demo", "--top", 3)
    assert code == 0 and out.count("class ") == 3


def test_classify_says_how_to_name_classes_that_have_no_names(capsys, picture, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join("abcdefghij"))
    hint = "has no names for its classes; --labels FILE"
    assert hint in run(capsys, "classify", picture, "--model", "demo")[1]
    assert hint not in run(capsys, "classify", picture, "--model", "demo", "--labels", labels)[1]


def test_classify_json_has_one_object_per_image(capsys, picture):
    code, answers = run_json(capsys, "classify", picture, picture, "--model", "demo", "--top", 2)
    assert code == 0 and len(answers) == 2
    assert answers[0].keys() == {"image", "model", "tier", "top"}
    top = answers[0]["top"]
    assert [t.keys() for t in top] == [{"index", "label", "logit", "probability"}] * 2
    assert top[0]["probability"] > top[1]["probability"] and answers[0]["tier"] == "ref"


def test_classify_uses_the_labels_of_the_checkpoint(capsys, picture):
    weights = f"{GOLDEN}/hf__vit_classification"
    _, answers = run_json(capsys, "classify", picture, "--weights", weights, "--top", 5)
    assert {t["label"] for t in answers[0]["top"]} == {
        "tench",
        "goldfish",
        "tabby, tabby cat",
        "loudspeaker",
        "volcano",
    }


def test_classify_reads_label_files_of_lines_and_json(capsys, picture, tmp_path):
    lines, table = tmp_path / "labels.txt", tmp_path / "labels.json"
    lines.write_text("\n".join(f"thing {i}" for i in range(10)))
    table.write_text(json.dumps({str(i): f"thing {i}" for i in range(10)}))
    for file in (lines, table):
        _, answers = run_json(capsys, "classify", picture, "--model", "demo", "--labels", file, "--top", 1)
        assert answers[0]["top"][0]["label"] == f"thing {answers[0]['top'][0]['index']}"


def test_classify_at_another_size(capsys, picture):
    _, small = run_json(capsys, "classify", picture, "--model", "demo", "--size", "96x160")
    _, usual = run_json(capsys, "classify", picture, "--model", "demo")
    assert small[0]["top"] != usual[0]["top"]


def test_features_writes_class_token_mean_and_tokens(capsys, picture, tmp_path):
    output = tmp_path / "f.npz"
    code, report = run_json(capsys, "features", picture, picture, "--model", "demo", "-o", output)
    arrays = np.load(output)
    assert code == 0 and report["arrays"]["tokens"] == [2, 197, 64]
    np.testing.assert_array_equal(arrays["tokens"][:, 0], arrays["cls"])
    np.testing.assert_allclose(arrays["tokens"][:, 1:].mean(1), arrays["mean"], atol=1e-6)
    assert list(arrays["images"]) == [picture] * 2


def test_trace_prints_the_table_and_saves_the_tensors(capsys, picture, tmp_path):
    output = tmp_path / "t.npz"
    code, out, _ = run(capsys, "trace", picture, "--model", "demo", "--keep", "block3.attn.*,logits", "-o", output)
    assert code == 0 and "block3.attn.probs" in out and "1×4×197×197" in out
    assert len(np.load(output).files) == 8


def test_trace_without_an_image_lists_the_names(capsys):
    code, rows = run_json(capsys, "trace", "--model", "demo")
    assert code == 0 and rows[0]["name"] == "image" and rows[-1]["name"] == "logits" and len(rows) == 5 + 4 * 14 + 3


def test_trace_against_a_file_finds_the_first_difference(capsys, picture, tmp_path):
    saved = tmp_path / "t.npz"
    run(capsys, "trace", picture, "--model", "demo", "-o", saved)
    assert run(capsys, "trace", picture, "--model", "demo", "--against", saved)[0] == 0
    arrays = dict(np.load(saved))
    np.savez(saved, **{**arrays, "block2.mlp.act": arrays["block2.mlp.act"] + 0.1})
    code, out, _ = run(capsys, "trace", picture, "--model", "demo", "--against", saved)
    assert code == 1 and "first tensor that differs: block2.mlp.act" in out


def test_inspect_says_what_a_file_is(capsys):
    code, facts = run_json(capsys, "inspect", f"{GOLDEN}/vit__token/weights.npz")
    assert code == 0 and facts["layout"] == "vit_jax npz" and facts["config"]["heads"] == 3
    code, out, _ = run(capsys, "inspect", f"{GOLDEN}/hf__deit_distilled")
    assert code == 0 and "huggingface" in out


def test_zoo_lists_every_variant(capsys):
    code, rows = run_json(capsys, "zoo")
    assert code == 0 and len(rows) == len(VARIANTS)
    assert next(r for r in rows if r["name"] == "ViT-B/16")["parameters"] == 86_567_656
    code, out, _ = run(capsys, "zoo")
    assert code == 0 and "ViT-H/14" in out


def test_doctor_reports_tiers_and_weights(capsys, tmp_path, monkeypatch):
    (tmp_path / "mine.npz").write_bytes(b"")
    monkeypatch.setenv("MINIVIT_HOME", str(tmp_path))
    code, facts = run_json(capsys, "doctor")
    assert code == 0 and "float64" in facts["tiers"]["ref"] and str(tmp_path / "mine.npz") in facts["weights"]


def test_weights_are_found_by_name(capsys, picture, tmp_path, monkeypatch):
    shutil.copy(f"{GOLDEN}/vit__token/weights.npz", tmp_path / "ViT-B_16.npz")
    monkeypatch.setenv("MINIVIT_HOME", str(tmp_path))
    code, answers = run_json(capsys, "classify", picture, "--model", "vit-b16")
    assert code == 0 and len(answers[0]["top"]) == 5


def test_check_passes_a_good_case_and_says_so(capsys):
    code, reports = run_json(capsys, "check", f"{GOLDEN}/vit__headless", f"{GOLDEN}/timm__vit_avg")
    assert code == 0 and [r["case"] for r in reports] == ["vit__headless", "timm__vit_avg"]
    assert all(r["ok"] for r in reports)
    assert reports[0]["tensors"][0].keys() >= {"name", "ok", "error", "tolerance"}


def test_check_against_a_dump_names_what_is_wrong_and_what_is_missing(capsys, tmp_path):
    case = f"{GOLDEN}/vit__headless"
    golden = {name: x for name, x in np.load(f"{case}/tensors.npz").items() if not name.endswith("__f64")}
    np.savez(tmp_path / "good.npz", **golden)
    assert run(capsys, "check", case, "--against", tmp_path / "good.npz")[0] == 0
    wrong = {**golden, "block01/attn_probs": golden["block01/attn_probs"].swapaxes(-1, -2)}
    del wrong["pooled"]
    np.savez(tmp_path / "bad.npz", **wrong)
    code, reports = run_json(capsys, "check", case, "--against", tmp_path / "bad.npz")
    failed = [t["name"] for t in reports[0]["tensors"] if not t["ok"]]
    assert code == 1 and failed == ["block01/attn_probs", "pooled", "pooled__f64"]


def test_a_zero_head_is_warned_of_in_one_line(capsys, picture, tmp_path):
    arrays = dict(np.load(f"{GOLDEN}/vit__token/weights.npz"))
    np.savez(tmp_path / "zero.npz", **{**arrays, "head/kernel": arrays["head/kernel"] * 0})
    code, _, err = run(capsys, "classify", picture, "--weights", tmp_path / "zero.npz")
    assert code == 0 and err.startswith("minivit: warning: ") and "head is all zeros" in err and err.count("\n") == 1
    code, out, _ = run(capsys, "inspect", tmp_path / "zero.npz")
    assert "head is all zeros" in out


def test_inspect_lists_some_tensors_of_a_file_that_it_cannot_read(capsys, tmp_path):
    np.savez(tmp_path / "mixer.npz", **{"stem/kernel": np.ones((8, 8, 3, 4), np.float32), "MixerBlock_0/x": np.ones(3)})
    code, out, _ = run(capsys, "inspect", tmp_path / "mixer.npz")
    assert code == 0 and "Mixer" in out and "stem/kernel" in out and "problem" in out


def test_a_file_of_the_users_goes_before_the_one_in_the_box(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIVIT_HOME", str(tmp_path))
    assert loading.find("minivit-cifar10").parent != tmp_path
    (tmp_path / "minivit-cifar10.safetensors").write_bytes(b"mine")
    assert loading.find("minivit-cifar10") == tmp_path / "minivit-cifar10.safetensors"


def test_crop_keeps_more_of_the_picture_or_less(capsys, tmp_path):
    from PIL import Image

    pixels = np.full((64, 64, 3), 250, np.uint8)
    pixels[8:-8, 8:-8] = 0  # a white frame around black
    Image.fromarray(pixels).save(tmp_path / "frame.png")
    weights = ["--weights", f"{GOLDEN}/timm__vit_token/model.safetensors", "--heads", "4"]
    seen = {}
    for crop in ("1", "0.5"):
        run(
            capsys,
            "trace",
            tmp_path / "frame.png",
            *weights,
            "--crop",
            crop,
            "--keep",
            "image",
            "-o",
            tmp_path / "x.npz",
        )
        seen[crop] = np.load(tmp_path / "x.npz")["image"]
    assert seen["1"].max() > 0.9 and seen["0.5"].max() < -0.9
    code, _, err = run(capsys, "classify", tmp_path / "frame.png", *weights, "--crop", "1.5")
    assert code == 2 and "crop fraction in (0, 1]" in err
