"""The table and the roofline of tier "gpu" (benchmarks/gpu_report.py): made from figures, never typed."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import gpu_cases  # noqa: E402
import gpu_report  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "h200.json"


@pytest.fixture
def report():
    """As if every rung reached half of what is expected of it, twice the library's time."""
    rows = []
    for case in gpu_cases.CASES:
        flops, moved = gpu_cases.work(case)
        seconds = (flops / 1e12 if case.unit == "TFLOP/s" else moved / 1e9) / (case.expected / 2)
        rows.append({"case": case.key, "ms": 1e3 * seconds, "speed": case.expected / 2, "of_library": 0.5})
    models = [{"model": "B/16", "dtype": "bfloat16", "batch": 1, "ms": 0.7125, "eager_ms": 3.5}]
    facts = {"card": "NVIDIA H200, compute capability 9.0", "torch": "2.9", "numpy": "2.5.2"}
    return {"machine": facts, "copy_gbytes": 4300.0, "tiny": False, "rows": rows, "models": models}


def test_without_figures_nothing_is_claimed():
    table = gpu_report.markdown(None)
    assert table.count(gpu_report.NONE) == 2 * len(gpu_cases.CASES) + 3 * len(gpu_cases.MODELS)
    assert "%" not in table and "nobody has run" in table


def test_figures_come_from_the_file(report):
    table = gpu_report.markdown(report)
    assert "| linear bfloat16 | v4 | 12608×768×3072 | 400 TFLOP/s | 200 TFLOP/s | 50% |" in table
    assert "| B/16 bfloat16 | 1 | 0.6 ms | 0.713 ms | 3.5 ms | not yet measured |" in table
    assert "NVIDIA H200, compute capability 9.0; copies at 4300 GB/s; torch 2.9, numpy 2.5.2." in table


def test_the_speed_of_a_case_is_its_work_over_its_time(report):
    for case, row in zip(gpu_cases.CASES, report["rows"], strict=True):
        assert gpu_cases.speed(case, row["ms"] / 1e3) == pytest.approx(row["speed"])


def test_every_case_names_a_rung_that_exists():
    for case in gpu_cases.CASES:
        folder = {"patch_embed": "patches"}.get(case.op, case.op)
        source = (ROOT / "minivit" / "ops" / folder / "gpu.py").read_text(encoding="utf-8")
        assert f'"{case.rung}": ' in source.partition("LADDER = ")[2].partition("\n")[0]


def test_the_table_of_the_readme_is_the_generated_one():
    measured = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else None
    between = (ROOT / "README.md").read_text(encoding="utf-8").partition(gpu_report.MARKS[0])[2]
    assert between.partition(gpu_report.MARKS[1])[0].strip() == gpu_report.markdown(measured).strip()


def test_figures_of_a_trial_run_are_refused(tmp_path, report):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps({**report, "tiny": True}), encoding="utf-8")
    with pytest.raises(SystemExit, match="measures nothing"):
        gpu_report.main([str(path)])


def test_the_roofline_has_a_dot_per_rung(tmp_path, report):
    gpu_report.draw(report, tmp_path / "roofline.png")
    assert (tmp_path / "roofline.png").stat().st_size > 10_000
