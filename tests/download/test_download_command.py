"""`minivit download`, as people and programs use it; and loading what it fetched."""

import csv
import io
import json

import pytest
from download_files import files_of
from download_server import Served

from minivit import load, loading
from minivit.cli import main
from minivit.errors import InputError
from minivit.registry import augreg

STEM = "Ti_16-i21k-300ep-lr_0.001-aug_{aug}-wd_0.03-do_0.0-sd_0.0"
TUNED = STEM + "--{data}-steps_10k-lr_0.01-res_224"


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of a command."""
    code = main(["download", *map(str, arguments)])
    return code, *capsys.readouterr()


def run_json(capsys, *arguments):
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_it_says_what_it_fetches_and_how_to_use_it(token, home, capsys):
    code, out, err = run(capsys, "tiny/token")
    assert code == 0 and err == ""
    assert "tiny/token: 32 pixels, 10 classes, Apache-2.0" in out
    assert f"{home / 'tiny' / 'token.npz'} (0.1 MB; agrees with its size and contents)" in out
    assert "minivit classify PICTURE --model tiny/token" in out


def test_json_tells_where_it_is_and_what_it_is(token, home, capsys):
    facts = run_json(capsys, "tiny/token")
    assert facts["path"] == str(home / "tiny" / "token.npz") and facts["already_there"] is False
    assert facts["record"]["bytes"] == len(token.data) and len(facts["record"]["sha256"]) == 64
    assert run_json(capsys, "tiny/token")["already_there"] is True


def test_notes_go_to_stderr(token, capsys):
    token.steps = [{"cut": 5000}]
    code, _, err = run(capsys, "tiny/token")
    assert code == 0 and err.startswith("minivit: the connection was cut") and err.count("\n") == 1


def test_progress_shows_on_a_terminal_only(token, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    code, _, err = run(capsys, "tiny/token")
    assert code == 0 and "100% of 0.1 MB" in err and "0:00 left" in err


def test_bad_input_is_one_line_and_code_2(token, home, capsys):
    token.status = 404
    for arguments in (["tiny/token"], [], ["tiny/tken"], ["--top", "0", "x"], ["tiny", "--where", "x"]):
        code, out, err = run(capsys, *arguments)
        assert code == 2 and out == "" and err.startswith("minivit: ") and err.count("\n") == 1, err
    assert files_of(home) == set()


def test_ctrl_c_says_that_it_can_go_on(token, capsys, monkeypatch):
    def interrupt(self, done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr("minivit.commands.download.Shown.progress", interrupt)
    code, _, err = run(capsys, "tiny/token")
    assert code == 130 and "the same command goes on" in err


def test_list_shows_all_or_some(token, capsys):
    code, out, _ = run(capsys, "--list")
    assert code == 0 and "tiny/Ti" in out and "owner/model" in out
    rows = run_json(capsys, "Ti", "--list")
    assert {row["name"] for row in rows} >= {"tiny/Ti"} and all("url" in row for row in rows)
    run(capsys, "tiny/token")
    assert {row["name"]: row["here"] for row in run_json(capsys, "--list")}["tiny/token"] == "yes"


def test_list_without_the_small_registry_shows_the_real_one(capsys):
    rows = run_json(capsys, "--list")
    assert len(rows) > 140 and {"augreg/Ti_16", "google/vit-base-patch16-224"} <= {row["name"] for row in rows}


@pytest.fixture
def index(small, server, home):
    """A short index.csv on the server: two checkpoints, each fine-tuned twice."""
    text = io.StringIO()
    table = csv.DictWriter(text, augreg.COLUMNS)
    table.writeheader()
    for aug, before in (("none", 0.4), ("light1", 0.3)):
        for data, after in (("cifar100", 0.80), ("kitti", 0.70)):
            row = dict.fromkeys(augreg.COLUMNS, "1")
            row |= {"name": "Ti/16", "ds": "i21k", "aug": aug, "final_val": before, "adapt_ds": data}
            row |= {"adapt_resolution": 224, "adapt_final_val": after + (aug == "light1") / 100}
            row |= {"filename": STEM.format(aug=aug), "adapt_filename": TUNED.format(aug=aug, data=data)}
            table.writerow(row)
    server.files["/vit_models/augreg/index.csv"] = Served(text.getvalue().encode())
    return home / "augreg" / "index.csv"


def test_the_index_of_augreg_is_fetched_and_filtered(index, capsys):
    rows = run_json(capsys, "--list", "--where", "adapt_ds=cifar100")
    assert [(row["aug"], row["recommended"]) for row in rows] == [("light1", ""), ("none", "yes")]
    assert index.exists()
    code, out, _ = run(capsys, "ViT-Ti/16", "--list", "--where", "adapt_resolution=224", "--top", "3")
    assert code == 0 and out.count("Ti_16-i21k-300ep") == 3


def test_the_recommended_checkpoint_is_the_best_before_fine_tuning(index, server, capsys, tmp_path):
    code, _, err = run(capsys, "ViT-Ti/16", "--where", "adapt_ds=kitti")
    assert code == 2 and f"{TUNED.format(aug='none', data='kitti')}.npz: the server has no such file" in err


def test_conditions_that_nothing_meets_are_refused(index, capsys):
    for condition, expected in {"adapt_ds=cifar10": "there is cifar100, kitti", "adaptds=x": "'adapt_ds'"}.items():
        code, _, err = run(capsys, "--list", "--where", condition)
        assert code == 2 and expected in err
    assert run(capsys, "Ti/16", "--where", "aug=light1")[0] == 2


def test_a_damaged_index_is_refused(index, server, capsys):
    server.files["/vit_models/augreg/index.csv"].data = b"name,ds\n1,2\n"
    code, _, err = run(capsys, "--list", "--where", "adapt_ds=kitti")
    assert code == 2 and "the column 'epochs' is missing" in err and not index.exists()


def test_what_was_fetched_is_loaded_by_its_name(token, home, capsys):
    run(capsys, "tiny/token")
    assert loading.find("tiny/token") == home / "tiny" / "token.npz"
    assert load("tiny/token").config.classes == 10


def test_what_was_not_fetched_says_how_to_fetch_it(home):
    for name, meant in {"augreg/Ti_16": "augreg/Ti_16", "vit-b16@224": "augreg/B_16@224"}.items():
        with pytest.raises(InputError, match=f"`minivit download {meant}`"):
            load(name)


def test_what_is_ambiguous_is_not_loaded(home):
    with pytest.raises(InputError, match="ambiguous, it may be google/vit-base-patch16-224"):
        load("vit-base")
