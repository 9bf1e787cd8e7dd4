"""The commands around tier cpu."""

import json

import numpy as np
import pytest

from minivit.cli import main

pytest.importorskip("numba", reason="tier cpu needs Numba")


def run_json(capsys, *arguments):
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_warmup_compiles_every_kernel(capsys):
    code, facts = run_json(capsys, "warmup")
    assert code == 0 and facts["kernels"] >= 8
    _, again = run_json(capsys, "warmup")
    assert again["seconds"] < 2


def test_bench_times_every_tier_and_dtype(capsys):
    code, rows = run_json(capsys, "bench", "--models", "Ti/16", "--batches", "1", "--runs", "1")
    assert code == 0
    assert [(r["tier"], r["dtype"]) for r in rows] == [
        ("ref", "float32"), ("cpu", "float32"), ("cpu", "bfloat16"), ("cpu", "float16"), ("cpu", "int8"),
    ]  # fmt: skip
    assert all(0 < r["best_ms"] <= r["median_ms"] for r in rows)


def test_classify_agrees_between_tiers_and_dtypes(capsys, tmp_path):
    np.save(tmp_path / "pixels.npy", np.random.default_rng(0).standard_normal((224, 224, 3)).astype(np.float32))
    answers = []
    for options in ([], ["--tier", "cpu"], ["--tier", "cpu", "--dtype", "int8", "--threads", "1"]):
        _, answer = run_json(
            capsys, "classify", str(tmp_path / "pixels.npy"), "--model", "demo", "--top", "1", *options
        )
        answers.append(answer[0]["top"][0])
    assert answers[0]["index"] == answers[1]["index"] == answers[2]["index"]
    assert answers[1]["logit"] == pytest.approx(answers[0]["logit"], abs=1e-5)
    assert answers[2]["logit"] == pytest.approx(answers[0]["logit"], abs=0.1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--tier", "cpu", "--dtype", "float64"], "not with 'float64'"),
        (["--tier", "cpu", "--threads", "0"], "threads"),
        (["--tier", "cpu", "--threads", "100000"], "threads"),
        (["--tier", "ref", "--threads", "2"], "OPENBLAS_NUM_THREADS"),
    ],
)
def test_what_a_tier_cannot_do_is_refused(capsys, tmp_path, options, expected):
    np.save(tmp_path / "pixels.npy", np.zeros((224, 224, 3), np.float32))
    code = main(["classify", str(tmp_path / "pixels.npy"), "--model", "demo", *options])
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and expected in err and err.count("\n") == 1


def test_bench_refuses_impossible_threads_before_it_times_anything(capsys):
    code = main(["bench", "--threads", "100000"])
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and "threads" in err and err.count("\n") == 1


def test_check_reports_every_tensor_of_an_int8_run(capsys):
    code, reports = run_json(capsys, "check", "tests/golden/vit__token", "--tier", "cpu", "--dtype", "int8")
    tensors = reports[0]["tensors"]
    assert code == 0 and len(tensors) == 53
    assert max(t["error"] for t in tensors) > 1e-3  # it is int8 indeed
