"""Choosing a model: limits in words, estimates, measurements where they matter; and how a machine's speed is kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minivit import cost, fit, params, registry, speed
from minivit.config import VARIANTS, HybridConfig, Stem
from minivit.errors import InputError
from minivit.speed import Speed

#: A machine of round numbers: 100, 200 and 400 GFLOP/s; a process of 100 MB
SPEEDS = {"float32": Speed(1e11, 1e11, 1e11, 1e8), "bfloat16": Speed(2e11, 2e11, 1e11, 1e8)}
SPEEDS["int8"] = Speed(4e11, 4e11, 1e11, 1e8)


@pytest.mark.parametrize(
    ("text", "size", "seconds"),
    [
        ("2 GB, 50 ms", 2e9, 0.05),
        ("500MB", 5e8, None),
        ("20ms", None, 0.02),
        ("50 ms 1.5 GiB", 1.5 * 2**30, 0.05),
        ("0.1s;900mb", 9e8, 0.1),
        ("800 µs", None, 8e-4),
    ],
)
def test_limits_are_read_as_people_write_them(text, size, seconds):
    found = fit.limits(text)
    assert (found.bytes, found.seconds) == pytest.approx((size or float("inf"), seconds or float("inf")))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected memory, time for one image, or both"),
        ("fast", "'fast' is not a number and one of"),
        ("2, 50 ms", "'2' is not a number and one of"),
        ("2 GB, 1 GB", "'1 gb' is the second limit of its kind"),
        ("-2 GB", "'-2 gb' is not a number"),
        ("0 ms", "'0 ms' leaves nothing"),
        ("1.2.3 GB", "is not a number"),
        ("3 parsecs", "one of kB, MB, GB"),
        ("inf GB", "is not a number"),
    ],
)
def test_other_limits_are_one_clear_line(text, problem):
    with pytest.raises(InputError) as error:
        fit.limits(text)
    assert problem in str(error.value) and "\n" not in str(error.value) and "such as '2 GB, 50 ms'" in str(error.value)


def test_candidates_are_the_published_checkpoints_the_best_first():
    rows = fit.candidates()
    names = [name for row in rows for name in (row["checkpoint"], *row["also"])]
    assert sorted(names) == sorted(
        e.name for e in registry.entries() if e.accuracy is not None and e.config is not None
    )
    assert len(names) > 60 and any(row["also"] for row in rows)
    assert [row["accuracy"] for row in rows] == sorted((row["accuracy"] for row in rows), reverse=True)
    assert {row["config"].family for row in rows} == {"vit", "hybrid", "mixer", "lit"}
    row = next(row for row in rows if row["model"] == "ViT-B/16" and row["image"] == 224)
    assert row["parameters"] == 86_567_656 and row["float32_mb"] == pytest.approx(346.27, abs=0.01)
    assert row["licence"] == "Apache-2.0"


def test_the_first_dtype_that_fits_counts():
    rows = fit.estimate(fit.candidates(), SPEEDS, fit.limits("1 GB, 400 ms"))
    rows = {row["model"]: row for row in rows if row["image"] == 224}
    small, middle, large = rows["ViT-B/16"], rows["R50+ViT-L/32"], rows["ViT-L/16"]
    assert (small["dtype"], small["fits"]) == ("float32", True)
    assert small["ms"] == pytest.approx(cost.flops(small["config"]) / 1e11 * 1e3)
    assert small["memory_mb"] == pytest.approx(
        100 + (cost.weight_bytes(small["config"]) + cost.activation_bytes(small["config"])) / 1e6
    )
    assert (middle["dtype"], middle["fits"]) == ("bfloat16", True)  # in float32 its weights are too large
    assert (large["dtype"], large["fits"]) == ("int8", True)  # in bfloat16 it takes too long


def test_what_does_not_fit_says_so():
    rows = fit.estimate(fit.candidates(), SPEEDS, fit.limits("1 MB"))
    assert not any(row["fits"] for row in rows) and {row["dtype"] for row in rows} == {"int8"}
    with pytest.raises(InputError, match=r"no published checkpoint fits in 1 MB: the smallest, .*Ti.*, takes \d+ MB"):
        raise fit.nothing(rows, fit.limits("1 MB"))


def test_measurements_replace_estimates_until_enough_fit():
    limit, ran = fit.limits("20 ms"), []
    estimated = fit.estimate(fit.candidates(), SPEEDS, limit)

    def run(config, dtype):
        ran.append((config.name, dtype))
        return 2 * SPEEDS[dtype].seconds(config), 3e8  # this machine is half as fast as estimated

    rows = fit.measure(estimated, SPEEDS, limit, 3, run)
    fitting = [row for row in rows if row["fits"] and row["measured"]]
    assert len(fitting) == 3 and all(row["ms"] <= 20 and row["memory_mb"] == 300 for row in fitting)
    worst = [row for row in estimated if row["ms"] > 40]
    assert not {row["model"] for row in worst if row["dtype"] == "int8"} & {
        row["model"] for row in rows if row["measured"] and row["ms"] > 80
    }
    assert len(ran) < len(rows) and [row["checkpoint"] for row in rows] == [row["checkpoint"] for row in estimated]


def test_estimates_interpolate_between_the_measured_widths():
    machine = Speed(1e10, 4e10, 1e10, 0)
    rates = [cost.flops(VARIANTS[name]) / machine.seconds(VARIANTS[name]) for name in ("ViT-Ti/16", "ViT-S/16")]
    assert rates == pytest.approx([1e10, 2.5e10])
    for name in ("ViT-B/16", "ViT-L/16", "Mixer-L/16"):
        assert cost.flops(VARIANTS[name]) / machine.seconds(VARIANTS[name]) == pytest.approx(4e10)
    lit, tower = VARIANTS["LiT-B16B"], VARIANTS["LiT-B16B"].img
    assert machine.seconds(lit) == machine.seconds(tower)
    assert machine.bytes(lit, "float32") > machine.bytes(tower, "float32") + 4e8  # BERT is kept, too


def test_a_stem_costs_what_its_convolutions_do():
    stem = Stem((1, 2), width=8, groups=2)
    config = HybridConfig("t", 1, 8, 1, 2, 16, classes=None, image=(32, 48), stem=stem)
    kernels = {name: shape for name, shape in params.shapes(config).items() if len(shape) == 4 and "stem" in name}
    cells = {"conv": 16 * 24, "0.0": 8 * 12, "1.0": 4 * 6, "1.1": 4 * 6}
    expected = 0
    for name, shape in kernels.items():
        unit = name.removeprefix("stem.").removeprefix("stages.").rsplit(".", 2)[0]
        at = 8 * 12 if name.endswith("1.0.conv1.w") else cells[unit if unit in cells else "conv"]
        expected += 2 * at * np.prod(shape)
    assert cost.stem_flops(stem, 32, 48) == expected
    assert cost.flops(config) == expected + cost.flops(config) - cost.stem_flops(stem, 32, 48)


@pytest.mark.parametrize(
    ("name", "gflops"),  # twice the multiply-adds of timm's results/benchmark tables
    [("Mixer-B/16", 2 * 12.6), ("R50+ViT-B/16", 2 * 21.5), ("R26+ViT-S/32", 2 * 3.5), ("Mixer-L/16", 2 * 44.6)],
)
def test_flops_of_the_other_families(name, gflops):
    assert cost.flops(VARIANTS[name]) / 1e9 == pytest.approx(gflops, rel=0.03)


# ---- a real machine --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("MINIVIT_HOME", str(folder))
        patch.setattr(speed, "LARGE", replace(speed.LARGE, blocks=1))  # the whole is for a better estimate
        patch.setattr(speed, "RUNS", 2)
        yield folder


@pytest.fixture(scope="module")
def machine(home):
    said = []
    found = speed.of_this_machine("ref", ("float32",), say=said.append)
    assert len(said) == 1
    return found["float32"]


def test_a_machine_is_measured_once(machine, home):
    assert min(machine.small, machine.large, machine.stem) > 1e7 and 2e7 < machine.process < 1e9
    assert speed.of_this_machine("ref", ("float32",), say=pytest.fail) == {"float32": machine}
    assert (home / "speed.json").exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"x": 1}'])
def test_a_damaged_cache_is_no_cache(content, home, machine, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIVIT_HOME", str(tmp_path))
    (tmp_path / "speed.json").write_bytes(content)
    monkeypatch.setattr(speed, "alone", lambda *args: (0.5, 2e8))
    assert speed.of_this_machine("ref", ("float32",))["float32"].large == cost.flops(speed.LARGE) / 0.5
    assert Path(speed.cache_file()).read_bytes() != content


def test_estimated_memory_is_that_of_a_real_process(machine):
    config = VARIANTS["ViT-S/16"]
    _, peak = speed.alone(speed.measure, config, "ref", "float32", None, 1)
    assert machine.bytes(config, "float32") == pytest.approx(peak, rel=0.25)
