"""`minivit zoo`: the list of models, the ranking of checkpoints, its chart, and what is refused."""

import json

import pytest

from minivit import speed
from minivit.cli import main
from minivit.config import VARIANTS
from minivit.speed import Speed


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of round numbers; what was asked of it."""
    asked = []

    def of_this_machine(tier, dtypes, threads=None, again=False, say=None):
        asked.append((tier, tuple(dtypes), threads, again))
        rates = {"float32": 1e11, "bfloat16": 2e11, "int8": 4e11}
        return {dtype: Speed(rates[dtype], rates[dtype], 1e11, 1e8) for dtype in dtypes}

    monkeypatch.setattr(speed, "of_this_machine", of_this_machine)
    return asked


def run(capsys, *arguments):
    code = main(["zoo", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_the_list_has_every_model_with_memory_accuracy_and_licence(capsys):
    code, out, _ = run(capsys, "--json")
    rows = json.loads(out)
    assert code == 0 and [row["name"] for row in rows] == list(VARIANTS)
    base = next(row for row in rows if row["name"] == "ViT-B/16")
    assert base["float32_mb"] > 1.9 * base["bfloat16_mb"] > 3.4 * base["int8_mb"] > 0
    assert base["accuracy"] > 85 and base["licence"] == "Apache-2.0"
    assert next(row for row in rows if row["name"] == "Mixer-B/16")["heads"] is None
    code, out, _ = run(capsys)
    assert code == 0 and "Mixer-L/16" in out and "accuracy" in out and "trace_mb" not in out


def test_the_ranking_is_by_accuracy_under_both_limits(capsys, machine):
    code, out, _ = run(capsys, "--fit", "400 MB, 30 ms", "--top", 4, "--json")
    rows = json.loads(out)
    assert code == 0 and len(rows) == 4 and machine == [("cpu", ("float32", "bfloat16", "int8"), None, False)]
    assert all(row["ms"] <= 30 and row["memory_mb"] <= 400 and row["fits"] for row in rows)
    assert [row["accuracy"] for row in rows] == sorted((row["accuracy"] for row in rows), reverse=True)
    assert rows[0].keys() >= {"parameters", "gflops", "float32_mb", "bfloat16_mb", "int8_mb", "licence", "dtype"}
    code, out, _ = run(capsys, "--fit", "400 MB, 30 ms", "--top", 4)
    assert code == 0 and rows[0]["checkpoint"] in out and "4 of " in out and "400 MB and 30 ms" in out


def test_one_dtype_and_one_tier_can_be_asked_for(capsys, machine):
    run(capsys, "--fit", "1 s", "--dtype", "int8", "--threads", 2, "--again")
    run(capsys, "--fit", "1 s", "--tier", "ref")
    assert machine == [("cpu", ("int8",), 2, True), ("ref", ("float32",), None, False)]


def test_measure_runs_the_best_ones(capsys, monkeypatch):
    ran = []

    def alone(function, config, *how):
        ran.append((config.name, *how))
        return 0.01, 2.5e8

    monkeypatch.setattr(speed, "alone", alone)
    code, out, err = run(capsys, "--fit", "30 ms", "--top", 2, "--measure", "--json")
    rows = json.loads(out)
    assert code == 0 and len(ran) == 2 and [row["ms"] for row in rows] == [10, 10]
    assert all(row["measured"] and row["memory_mb"] == 250 for row in rows) and "running " in err
    _, out, _ = run(capsys, "--fit", "30 ms", "--top", 2, "--measure")
    assert "2 of them measured" in out


@pytest.mark.parametrize("how", [(), ("--fit", "30 ms"), ("--fit", "300 MB")])
def test_the_chart_is_a_png(how, capsys, tmp_path):
    code, _, err = run(capsys, *how, "--png", tmp_path / "zoo.png")
    assert code == 0 and "wrote" in err
    assert (tmp_path / "zoo.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        (("--fit", "soon"), "'soon' is not a number and one of"),
        (("--fit", "1 MB"), "no published checkpoint fits in 1 MB: the smallest"),
        (("--fit", "1 s", "--tier", "ref", "--dtype", "int8"), "tier ref works with float32 here"),
        (("--fit", "1 s", "--top", "0"), "--top is 0"),
        (("--measure",), "go with --fit"),
        (("--png", "/nowhere/zoo.png"), "cannot write /nowhere/zoo.png"),
    ],
)
def test_what_makes_no_sense_is_one_line(how, problem, capsys):
    code, _, err = run(capsys, *how)
    assert code == 2 and problem in err and err.count("\n") == 1
