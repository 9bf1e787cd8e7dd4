"""Hybrids in tier "gpu": the fused stem and the stem as written, against ref and the official code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated import TOLERANCE, error

from minivit import check, config, params, tiers
from minivit.errors import InputError
from minivit.gpu import compat
from minivit.gpu.formats import BFLOAT16, FLOAT32, FORMATS
from minivit.gpu.sim import schedule
from minivit.model import Model
from minivit.models import hybrid
from minivit.ops.stem.gpu import stem
from minivit.trace import NO_TAP

GOLDEN = Path(__file__).parent.parent / "golden"
STEM = config.Stem((1, 1), width=8, groups=4)
SMALL = config.HybridConfig("small", 1, width=32, blocks=1, heads=2, mlp=64, classes=7, image=(16, 12), stem=STEM)
KINDS = {
    "two stages": SMALL,
    "root only, patches of 2": replace(SMALL, patch=2, stem=replace(STEM, units=())),
    "two units, no projection": replace(SMALL, stem=replace(STEM, units=(2,))),
    "channels not in fours": replace(SMALL, stem=replace(STEM, units=(1,), width=6, groups=3)),
    "timm": replace(SMALL, stem=replace(STEM, norm_eps=1e-5, weight_eps=1e-8, weight_eps_on="variance"), gelu="erf"),
}
#: of max|reference|: GroupNorm amplifies what rounding has shifted, in two halves of bfloat16 as in float32
FEATURES = {"float32": 2e-5, "float16": 2e-5, "bfloat16": 1e-3}


def images(count=2, height=16, width=12):
    return np.random.default_rng([count, height, width]).standard_normal((count, height, width, 3), np.float32)


def model(settings, tier="gpu", dtype="float32"):
    return Model(settings, params.seeded(settings), tiers.load(tier, dtype))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_fused_stem_agrees_with_the_stem_as_written(kind, dtype):
    settings = KINDS[kind]
    truth = model(settings, "ref", "float64")
    pixels = images(2 if settings is SMALL else 1)
    expected = hybrid.stem(truth.params["stem"], pixels.astype(np.float64), settings, truth.ops, NO_TAP)
    found = stem(model(settings, dtype=dtype).params["stem"], pixels, settings)
    assert found.format is FLOAT32 and error(found, expected) < FEATURES[dtype]


def test_a_stem_in_plain_bfloat16_would_be_far_off():
    # why maps and weights are in two halves: rounded once per layer, two small stages are off by a percent
    ref, rounded = tiers.load("ref", "float64"), lambda x: BFLOAT16.decode(BFLOAT16.encode(x)).astype(np.float64)
    tree = model(SMALL, "ref", "float64").params["stem"]
    plain = ref.replace(
        standardise=lambda *w: rounded(ref.standardise(*w)), conv=lambda x, w, stride: ref.conv(rounded(x), w, stride)
    )
    truth, found = (hybrid.stem(tree, images().astype(np.float64), SMALL, ops, NO_TAP) for ops in (ref, plain))
    assert error(found, truth) > 5 * FEATURES["bfloat16"]


@pytest.mark.parametrize("size", [(16, 12), (19, 13)], ids=str)
@pytest.mark.parametrize("dtype", FORMATS)
def test_a_forward_pass_agrees_with_ref(dtype, size):
    half = model(SMALL, dtype=dtype)
    kept = {path: np.asarray(value, np.float64) for path, value in params.flatten(half.params).items()}
    truth = Model(SMALL, params.nest(kept), tiers.load("ref", "float64"))
    with schedule(0):
        found = half.run(images(1, *size))
    assert error(found, truth.run(images(1, *size))) < TOLERANCE[dtype]


def test_every_tensor_of_the_trace_agrees_with_ref():
    found, truth = model(SMALL).trace(images()), model(SMALL, "ref", "float64").trace(images())
    assert list(found) == list(truth) and found.diff(truth).ok, found.diff(truth)


def test_a_replaced_tensor_of_the_stem_is_an_array_like_any_other():
    change = {"stem.stage0.unit0.conv2": lambda x: x * 0.5 + 1, "stem.pool": np.tanh}
    found, truth = (model(SMALL, *tier).run(images(), patch=change) for tier in ((), ("ref", "float64")))
    assert error(found, truth) < TOLERANCE["float32"]


@pytest.mark.parametrize(
    ("case", "dtype"), [("hybrid__r_stem", "float32"), ("hybrid__r_1_1", "float32"), ("hybrid__r_1_1", "bfloat16")]
)
def test_a_golden_case_of_the_official_code_passes(case, dtype):
    verdicts = check.run(GOLDEN / case, "gpu", dtype)
    assert len(verdicts) > 40 and all(verdict.ok for verdict in verdicts), verdicts


def test_weights_of_convolutions_are_kept_as_they_are_and_standardised_once():
    half = model(SMALL, dtype="bfloat16")
    w = half.params["stem"]["conv"]["w"]
    assert np.array_equal(np.asarray(w), params.seeded(SMALL)["stem"]["conv"]["w"]) and w.format is BFLOAT16
    assert half.params["stem"]["norm"]["scale"].output is None
    half.run(images())
    ready = w.standardised(STEM.weight_eps, STEM.weight_eps_on)
    matrix = ready.in_two
    half.run(images())
    assert w.standardised(STEM.weight_eps, STEM.weight_eps_on).in_two is matrix
    assert half.ops.prepare(half.params)["stem"]["conv"]["w"] is w


def test_maps_that_do_not_fit_into_memory_are_refused(monkeypatch):
    resnet = model(SMALL)
    # 14 maps of 8 channels and 48×32 cells, which is more than the tokens need, and the pixels
    pixels, maps = 4 * 192 * 128 * 3, 4 * 14 * 8 * 48 * 32
    monkeypatch.setattr(compat, "free_memory", lambda: pixels + maps - 1)
    with pytest.raises(InputError, match=r"1 images of 192×128 pixels need 0\.983 MB on the GPU"):
        resnet.run(images(1, 192, 128))
