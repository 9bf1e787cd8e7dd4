"""Tier "gpu" as a whole, in the simulator: small models against ref, the trace, and what it refuses."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from gpu import gpu_checks
from simulated import TOLERANCE, error

from minivit import check, config, params, tiers
from minivit.check import verdict
from minivit.errors import InputError
from minivit.gpu import compat
from minivit.gpu.arrays import dense, on_device
from minivit.gpu.formats import BFLOAT16, FLOAT16, FORMATS
from minivit.gpu.sim import schedule
from minivit.model import Model

GOLDEN = Path(__file__).parent.parent / "golden"
TINY = config.ViTConfig("tiny", image=(12, 16), patch=4, width=32, blocks=2, heads=2, mlp=64, classes=7)
VARIANTS = {
    "class token": TINY,
    "odd widths": replace(TINY, width=18, heads=3, mlp=21, classes=5, gelu="erf"),
    "mean of the tokens": replace(TINY, pool="gap", prefix=0, norm_after_pool=True),
    "representation layer": replace(TINY, representation=24),
    "distilled": replace(TINY, prefix=2, distilled_head=True),
    "no head": replace(TINY, classes=0),
    "every token": replace(TINY, pool="unpooled"),
}


def images(count=2, height=12, width=16, channels=3):
    return np.random.default_rng([count, height, width]).standard_normal((count, height, width, channels), np.float32)


def model(settings, tier="gpu", dtype="float32"):
    return Model(settings, params.seeded(settings), tiers.load(tier, dtype))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_forward_pass_agrees_with_ref(name):
    truth = model(VARIANTS[name], "ref", "float64").run(images())
    found = model(VARIANTS[name]).run(images())
    assert type(found) is np.ndarray and found.dtype == np.float32
    assert error(found, truth) < TOLERANCE["float32"]


def test_a_mixer_agrees_with_ref():
    settings = config.MixerConfig(
        "mixer", patch=4, width=18, blocks=2, token_mlp=11, mlp=24, classes=5, image=(12, 16)
    )  # fmt: skip
    found, truth = model(settings).trace(images()), model(settings, "ref", "float64").trace(images())
    assert found.diff(truth).ok, found.diff(truth)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["class token", "odd widths", "distilled"])
def test_a_forward_pass_in_halves_agrees_with_ref(name, dtype):
    half = model(VARIANTS[name], dtype=dtype)
    rounded = {path: np.asarray(value, np.float64) for path, value in params.flatten(half.params).items()}
    truth = Model(VARIANTS[name], params.nest(rounded), tiers.load("ref", "float64"))
    with schedule(0):
        found = half.run(images())
    assert error(found, truth.run(images())) < TOLERANCE[dtype]


def test_another_image_size_than_the_trained_one():
    pixels = images(1, 20, 13)
    assert error(model(TINY).run(pixels), model(TINY, "ref", "float64").run(pixels)) < TOLERANCE["float32"]


@pytest.mark.parametrize(
    ("case", "dtype", "tensors"),
    [("vit__token_representation", "float32", 30), ("mixer__small", "float32", 40), ("mixer__small", "bfloat16", 40)],
)
def test_a_golden_case_of_the_official_code_passes(case, dtype, tensors):
    verdicts = check.run(GOLDEN / case, "gpu", dtype)
    assert len(verdicts) > tensors and all(verdict.ok for verdict in verdicts), verdicts


def test_the_checks_for_real_gpus_pass_here_too():
    small = [
        one
        for one in gpu_checks.op_checks()
        if one.small and one.name.split()[0] in ("linear", "gelu", "softmax", "conv", "groupnorm", "max_pool", "relu")
    ]
    assert len(small) == 60 and gpu_checks.HYBRID == verdict.HYBRID
    for one in small:
        found, tolerance = one.run()
        assert found <= tolerance, one.name


def test_every_tensor_of_the_trace_agrees_with_ref():
    verdict = model(TINY).trace(images()).diff(model(TINY, "ref", "float64").trace(images()))
    assert verdict.ok, verdict


def test_probabilities_are_computed_only_if_somebody_looks(monkeypatch):
    vit = model(replace(TINY, blocks=1))
    seen = []
    monkeypatch.setitem(vit.ops.__dict__, "softmax", lambda x, real=vit.ops.softmax: seen.append(x) or real(x))
    vit.trace(images(), keep="logits")
    assert not seen
    assert vit.trace(images(), keep="*.probs")["block0.attn.probs"].shape == (2, 2, 13, 13)
    assert len(seen) == 1


def test_a_replaced_tensor_is_an_array_like_any_other():
    change = {"block0.attn.probs": lambda p: np.roll(p, 1, axis=-1) * 0.5, "embed.tokens": np.tanh}
    found, truth = model(TINY).run(images(), patch=change), model(TINY, "ref", "float64").run(images(), patch=change)
    assert error(found, truth) < TOLERANCE["float32"]


def test_features_are_numpy_arrays():
    found, truth = model(TINY).features(images()), model(TINY, "ref", "float64").features(images())
    assert all(error(found[name], truth[name]) < TOLERANCE["float32"] for name in ("cls", "mean", "tokens"))


def test_parameters_are_uploaded_once_and_the_stream_stays_in_float32():
    vit = model(TINY, dtype="bfloat16")
    block = vit.params["blocks"][0]
    assert block["attn"]["qkv"]["w"].format is FLOAT16 and block["mlp"]["fc2"]["w"].format is BFLOAT16
    assert [block[part][name]["w"].output.name for part, name in (("attn", "qkv"), ("attn", "out"))] == [
        "float16", "float32",
    ]  # fmt: skip
    again = vit.ops.prepare(vit.params)
    assert again["head"]["w"] is vit.params["head"]["w"]


def test_gradients_are_refused():
    with pytest.raises(InputError, match="tier 'gpu' computes no gradients"):
        model(TINY).gradients(images(), [0, 1])


def test_every_op_of_a_forward_pass_has_a_ladder_of_its_own():
    ops = tiers.load("gpu")
    for op, folder in tiers.FOLDERS.items():
        if op == "cross_entropy":  # with it, learning starts
            with pytest.raises(InputError, match="tier 'gpu' computes no gradients"):
                ops.cross_entropy(None, None)
        else:
            assert import_module(f"minivit.ops.{folder}.gpu").LADDER
            assert getattr(ops, op).__module__ == f"minivit.ops.{folder}.gpu"


def test_too_little_memory_is_refused_with_the_figure(monkeypatch):
    vit = model(TINY)
    monkeypatch.setattr(compat, "free_memory", lambda: 5_000)
    with pytest.raises(
        InputError, match=r"2 images of 12×16 pixels need 0\.0\d+ MB on the GPU, where 0\.005 MB are free"
    ):
        vit.run(images())
    with pytest.raises(InputError, match=r"embed\.w needs 0\.00614 MB on the GPU, where 0\.005 MB are free"):
        model(TINY)


def test_a_dtype_that_the_tier_does_not_know_is_refused():
    with pytest.raises(InputError, match="tier 'gpu' works with float32 or bfloat16 or float16, not with 'int8'"):
        tiers.load("gpu", "int8")


def test_views_add_up_as_in_numpy(seed):
    x = np.random.default_rng(0).standard_normal((2, 5, 3, 2, 4), np.float32)
    views = on_device(x).transpose(2, 0, 3, 1, 4)
    for view, expected in zip(views, x.transpose(2, 0, 3, 1, 4), strict=True):
        assert np.array_equal(np.asarray(view), expected)
        assert np.array_equal(np.asarray(dense(view)), expected)
        assert np.array_equal(np.asarray(view[1, :, 2:4]), expected[1, :, 2:4])
        merged = view.transpose(0, 2, 1, 3).reshape(2, 5, -1)
        assert np.array_equal(np.asarray(merged), expected.transpose(0, 2, 1, 3).reshape(2, 5, -1))
    assert np.array_equal(np.asarray((on_device(x) + x[:1]) / 2), (x + x[:1]) / np.float32(2))
    assert np.array_equal(np.asarray(x + on_device(x)), x + x)
    for part in (x[:, :1], x[0, 0, :, :1], x[:, :, :1, :, :1]):  # axes of length 1, at the end too
        assert np.array_equal(np.asarray(on_device(x) + part), x + part)
    divisor = np.arange(1, 5, dtype=np.float32)
    assert np.array_equal(on_device(x) / divisor, x / divisor)


@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
def test_rows_of_a_table_are_looked_up(format, seed):
    table, numbers = (
        on_device(np.random.default_rng(0).standard_normal((7, 5)), format),
        np.array([[6, 0, 3], [3, 1, 0]]),
    )
    found = table[numbers]
    assert found.format is format and np.array_equal(np.asarray(found), np.asarray(table)[numbers])
    for wrong in (np.array([7]), np.array([-1]), np.array([0.0])):
        with pytest.raises(IndexError, match="numbers of rows, 0 to 6"):
            table[wrong]


WRONG = {
    "add": lambda x: x + np.ones(3),
    "reshape": lambda x: x.reshape(7, 7),
    "step": lambda x: x[::2],
    "rows in a list": lambda x: x[[0]],
    "add axes that do not repeat": lambda x: x + np.ones((2, 2, 1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_views_cannot_do_is_refused(name):
    with pytest.raises(InputError):
        WRONG[name](on_device(np.ones((2, 4))))
