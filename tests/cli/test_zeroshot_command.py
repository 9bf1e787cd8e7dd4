"""`minivit zeroshot`: labels, sentences, the bar chart, and bad input."""

import json
import sys

import numpy as np
import pytest
from lit_files import BERT, SMALL, write_lit, write_pictures

import minivit
from minivit.cli import main
from minivit.lit import PROMPTS


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zeroshot")
    for config in (BERT, SMALL):
        write_lit(folder, config)
    write_pictures(folder / "pictures", 2)
    return folder


@pytest.fixture
def run(place, monkeypatch, capsys):
    monkeypatch.chdir(place)

    def run(*arguments):
        code = main(["zeroshot", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


PICTURE, WEIGHTS = "pictures/0.png", ("--weights", "LiT-bert.npz")


@pytest.mark.parametrize("weights", ["LiT-bert.npz", "LiT-small.npz"])
def test_it_says_what_the_model_says_and_draws_it(run, tmp_path, weights):
    output = tmp_path / "bars.png"
    code, out, err = run(PICTURE, "--labels", "cat, dog", "--weights", weights, "-o", output, "--json")
    answer = json.loads(out)[0]
    found = minivit.load(weights).zeroshot(PICTURE, ["cat", "dog"])
    assert (code, err) == (0, "") and answer["output"] == str(output)
    assert answer["top"] == [{"label": p.label, "logit": p.logit, "probability": p.probability} for p in found]
    assert output.read_bytes().startswith(b"\x89PNG")


def test_for_people_it_prints_labels_with_probabilities(run, tmp_path):
    code, out, _ = run(PICTURE, "pictures/1.png", "--labels", "a cat,a dog", *WEIGHTS, "-o", tmp_path / "all")
    assert code == 0 and out.count("a cat") == out.count("a dog") == 2 and "%" in out
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"0-zeroshot.png", "1-zeroshot.png"}


def test_labels_and_sentences_come_from_files_too(run, tmp_path):
    labels, prompts = tmp_path / "labels.txt", tmp_path / "prompts.txt"
    labels.write_text("cat\n\ndog, red\n", encoding="utf-8")
    prompts.write_text("a {}\nthe {}.\n", encoding="utf-8")
    end = ("-o", tmp_path / "x.png", "--json")
    _, out, _ = run(PICTURE, "--labels", labels, "--prompts", prompts, *WEIGHTS, *end)
    found = minivit.load("LiT-bert.npz").zeroshot(PICTURE, ["cat", "dog, red"], ("a {}", "the {}."))
    assert [(row["label"], row["logit"]) for row in json.loads(out)[0]["top"]] == [(p.label, p.logit) for p in found]
    _, out, _ = run(PICTURE, "--labels", "cat, dog", "--prompts", "official", *WEIGHTS, *end)
    found = minivit.load("LiT-bert.npz").zeroshot(PICTURE, ["cat", "dog"], PROMPTS)
    assert [(row["label"], row["logit"]) for row in json.loads(out)[0]["top"]] == [(p.label, p.logit) for p in found]


def test_top_shows_so_many(run, tmp_path):
    _, out, _ = run(PICTURE, "--labels", "cat, dog, red", "--top", 2, *WEIGHTS, "-o", tmp_path / "x.png", "--json")
    assert len(json.loads(out)[0]["top"]) == 2


def test_there_may_be_very_many_labels(run, tmp_path):
    labels = ", ".join("abcdefghijklmnopqrstuvwxyz"[i % 26] + " cat" * (1 + i // 26) for i in range(300))
    code, out, _ = run(PICTURE, "--labels", labels, "--top", 300, *WEIGHTS, "-o", tmp_path / "x.png", "--json")
    assert code == 0 and len(json.loads(out)[0]["top"]) == 300


def test_a_long_label_is_cut_with_one_warning(run, tmp_path):
    code, _, err = run(PICTURE, "--labels", "cat, " + "red " * 20, *WEIGHTS, "-o", tmp_path / "x.png")
    assert code == 0 and err.count("\n") == 1 and "20 word pieces; the model reads the first 15" in err


CASES = {
    "no labels": (["--labels", ""], "a label is empty"),
    "an empty label": (["--labels", "cat,,dog"], "a label is empty"),
    "a label without words": (["--labels", "cat,\u200b"], "is empty: nothing in it is a word"),
    "a label twice": (["--labels", "cat, dog, cat"], "'cat' is there twice"),
    "sentences that are not there": (["--labels", "cat", "--prompts", "none.txt"], "expected 'official' or a file"),
    "a sentence without a place": (["--labels", "cat", "--prompts", "LiT-bert.txt"], "has no {}"),
    "not a text file": (["--labels", "pictures/0.png"], "cannot be read as a text file"),
    "not a picture": (["--labels", "cat", "-o", "x.jpg"], "ends in .png"),
    "no such vocabulary": (["--labels", "cat", "--vocabulary", "none.txt"], "none.txt: no such file"),
    "another vocabulary": (["--labels", "cat", "--vocabulary", "labels.txt"], "has no [CLS]"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line(run, case, tmp_path, place):
    (place / "labels.txt").write_text("cat\n")
    arguments, problem = CASES[case]
    code, out, err = run(PICTURE, *WEIGHTS, "-o", tmp_path / "x.png", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and problem in err
    assert not list(tmp_path.iterdir())


def test_a_model_without_a_text_tower_is_refused(run):
    code, _, err = run(PICTURE, "--labels", "cat", "--model", "demo")
    assert code == 2 and "demo reads no texts; give a LiT model" in err


@pytest.mark.parametrize("command", ["classify", "look", "features", "explore"])
def test_commands_that_need_classes_or_one_tower_say_so(run, capsys, command):
    assert main([command, PICTURE, *WEIGHTS]) == 2
    assert "is a LiT model, which has no classes" in capsys.readouterr().err


def test_without_the_library_the_line_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    code, _, err = run(PICTURE, "--labels", "cat", "--weights", "LiT-small.npz")
    assert code == 2 and "pip install sentencepiece" in err and err.count("\n") == 1


def test_trace_records_both_towers(run, capsys, tmp_path):
    run(PICTURE, "--labels", "cat", *WEIGHTS, "-o", tmp_path / "x.png")
    assert main(["trace", PICTURE, *WEIGHTS, "--text", "cat", "dog", "-o", str(tmp_path / "t.npz")]) == 0
    arrays = np.load(tmp_path / "t.npz")
    assert arrays["probs"].shape == (1, 2) and arrays["txt.block0.attn.probs"].shape == (2, 12, 16, 16)
    assert main(["trace", PICTURE, *WEIGHTS, "--keep", "img.*", "--json"]) == 0
    assert main(["trace", PICTURE, "--model", "demo", "--text", "cat"]) == 2
    assert "--text is for LiT models" in capsys.readouterr().err
