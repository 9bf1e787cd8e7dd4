"""Every gradient of the golden cases, and planted mistakes that they must catch.

tests/check/test_goldens.py holds the other cases; tolerances and their reasons stand in minivit/check/gradients.py.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from planted import IN_HYBRID, IN_HYBRID_OPS, IN_MODEL, IN_OPS, module_with, ops_with

from minivit import check, checkpoints, models, tiers
from minivit.check.gradients import as_official, produce
from minivit.params import flatten

GOLDEN = Path(__file__).parents[1] / "golden"
PLAIN = ("grad__vit_token", "grad__vit_gap_representation", "grad__hf_vit")
HYBRID = ("grad__hybrid_r1",)
CASES = (*PLAIN, *HYBRID)
ops = tiers.load("ref", "float64")


def case_of(name):
    return {**json.loads((GOLDEN / name / "case.json").read_text()), "folder": GOLDEN / name}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_every_gradient_agrees_with_the_official_one(case, dtype):
    verdicts = check.run(GOLDEN / case, dtype=dtype)
    assert [v.name for v in verdicts] == [tensor["name"] for tensor in case_of(case)["tensors"]]
    assert [v for v in verdicts if not v.ok] == []


@pytest.mark.parametrize("case", CASES)
def test_float64_gradients_are_right_to_the_last_digits(case):
    errors = [v.error for v in check.run(GOLDEN / case, dtype="float64") if "/grad" in v.name]
    assert max(errors) < 1e-14


@pytest.mark.parametrize("case", CASES)
def test_the_case_has_every_parameter_and_the_image_for_two_sets_of_labels(case):
    folder = GOLDEN / case
    checkpoint = checkpoints.read(folder / "weights.npz" if (folder / "weights.npz").exists() else folder)
    official = {array.name for array in checkpoint.arrays.values()}
    stored = {v.name.removesuffix("__f64") for v in check.run(folder, dtype="float64") if "/grad" in v.name}
    expected = {f"{kind}/grad/{name}" for kind in ("onehot", "smooth") for name in official}
    assert stored == expected | {"onehot/grad_images", "smooth/grad_images"}


@pytest.mark.parametrize("case", CASES)
def test_as_official_takes_the_weights_back_to_where_they_came_from(case):
    folder = GOLDEN / case
    checkpoint = checkpoints.read(folder / "weights.npz" if (folder / "weights.npz").exists() else folder)
    official = as_official(flatten(checkpoint.params()), checkpoint)
    assert len(official) == len(checkpoint.arrays)
    for array in checkpoint.arrays.values():
        np.testing.assert_array_equal(official[array.name], array.read())


def caught(cases=PLAIN):
    """The golden cases that disagree."""
    return [case for case in cases if not all(v.ok for v in check.run(GOLDEN / case, dtype="float64"))]


@pytest.mark.parametrize("mistake", [*IN_OPS, *IN_HYBRID_OPS])
def test_goldens_catch_a_mistake_in_an_op(mistake, monkeypatch):
    wrong = ops_with(ops, *{**IN_OPS, **IN_HYBRID_OPS}[mistake])
    monkeypatch.setattr(tiers, "load", lambda tier, dtype: wrong)
    assert caught(HYBRID if mistake in IN_HYBRID_OPS else PLAIN)


@pytest.mark.parametrize("mistake", IN_MODEL)
def test_goldens_catch_a_mistake_in_the_model(mistake, monkeypatch):
    wrong = module_with("models/vit_backward.py", *IN_MODEL[mistake])
    monkeypatch.setattr(models, "backward_of", lambda config: wrong)
    assert caught()


@pytest.mark.parametrize("mistake", IN_HYBRID)
def test_goldens_catch_a_mistake_in_the_hybrid(mistake, monkeypatch):
    wrong = module_with("models/hybrid_backward.py", *IN_HYBRID[mistake])
    monkeypatch.setattr(models, "backward_of", lambda config: wrong)
    assert caught(HYBRID)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_key_bias_that_is_not_zero_is_found(dtype):
    case = case_of("grad__vit_token")
    found = produce(case, "ref", dtype)
    name = "onehot/grad/Transformer/encoderblock_0/MultiHeadDotProductAttention_1/key/bias"
    found[name] = found[name] + np.asarray(2e-6, dtype)
    failed = [v.name for v in check.run(case["folder"], dtype=dtype, against=found) if not v.ok]
    assert failed == [name + "__f64"]


@pytest.mark.parametrize(("dtype", "error"), [("float64", 2e-10), ("float32", 2e-4)])
def test_errors_above_the_tolerance_are_found_and_smaller_ones_are_not(dtype, error):
    case = case_of("grad__hf_vit")
    found = produce(case, "ref", dtype)
    name, size = "smooth/grad/classifier.weight", max(np.abs(x).max() for n, x in found.items() if "/grad" in n)
    size = size if dtype == "float64" else np.abs(found[name]).max()
    for factor, failed in ((1, [name + "__f64"]), (0.4, [])):
        changed = {**found, name: found[name] + np.asarray(factor * error * size, dtype)}
        assert [v.name for v in check.run(case["folder"], dtype=dtype, against=changed) if not v.ok] == failed


def test_a_missing_or_misshapen_gradient_is_found():
    case = case_of("grad__vit_token")
    found = produce(case, "ref", "float64")
    del found["onehot/grad/cls"]
    found["smooth/grad_images"] = found["smooth/grad_images"].transpose(0, 3, 1, 2)
    verdicts = check.run(case["folder"], dtype="float64", against=found)
    failed = {v.name: v.note for v in verdicts if not v.ok}
    assert failed == {
        "onehot/grad/cls__f64": "missing",
        "smooth/grad_images__f64": "shape (3, 3, 32, 32), expected (3, 32, 32, 3)",
    }
