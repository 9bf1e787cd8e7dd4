"""The hybrid: names and shapes of every tensor, padding on odd sizes, both tiers, learning, looking inside."""

from dataclasses import replace

import numpy as np
import pytest

from minivit import models, names, params, tiers
from minivit.config import HybridConfig, Stem, variant
from minivit.errors import InputError
from minivit.gradients import loss_and_gradients
from minivit.model import Model
from minivit.models import hybrid
from minivit.ops.cross_entropy.ref import one_hot
from minivit.trace import make_tap

STEM = Stem((2, 1), width=8, groups=4)
SMALL = HybridConfig("small", 1, width=12, blocks=2, heads=3, mlp=20, classes=5, image=(48, 32), stem=STEM)
KINDS = {
    "two stages": SMALL,
    "root only, patches of 2": replace(SMALL, patch=2, stem=replace(STEM, units=())),
    "four stages": replace(SMALL, stem=replace(STEM, units=(1, 1, 2, 1))),
    "representation, gap": replace(SMALL, pool="gap", prefix=0, representation=6),
    "timm": replace(SMALL, stem=replace(STEM, norm_eps=1e-5, weight_eps=1e-8, weight_eps_on="variance"), gelu="erf"),
}
TIERS = ("ref", "cpu")
images = np.random.default_rng(1).standard_normal((3, 48, 32, 3)).astype(np.float32)


def ops_of(tier, dtype="float32", **more):
    if tier == "cpu":
        pytest.importorskip("numba", reason="tier cpu needs Numba")
    return tiers.load(tier, dtype, **more)


@pytest.mark.parametrize("size", [(48, 32), (70, 41)])
@pytest.mark.parametrize("kind", KINDS)
def test_trace_has_exactly_the_tensors_of_the_table_in_order_with_their_shapes(kind, size):
    config, x = KINDS[kind], np.zeros((2, *size, 3), np.float32)
    trace = Model(config, params.seeded(config)).trace(x)
    assert list(trace) == list(names.of(config))
    for name, tensor in names.of(config).items():
        assert trace[name].shape == names.shape(tensor, config, batch=2, image=size), name


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("kind", KINDS)
def test_output_is_bit_identical_with_and_without_taps(kind, tier):
    config = KINDS[kind]
    model = Model(config, params.seeded(config), ops_of(tier))
    np.testing.assert_array_equal(model.run(images), model.run(images, tap=make_tap(config, "*")))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 5e-5), ("float16", 3e-3), ("bfloat16", 2e-2), ("int8", 4e-2)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_both_tiers_agree_in_every_dtype(kind, dtype, tolerance):
    config, tree = KINDS[kind], params.seeded(KINDS[kind])
    exact = Model(config, tree, tiers.load("ref", "float64")).run(images)
    found = Model(config, tree, ops_of("cpu", dtype)).run(images)
    assert np.abs(found - exact).max() < tolerance * np.abs(exact).max()


def test_several_images_through_the_compiled_stem_are_those_one_by_one(monkeypatch):
    ops = ops_of("cpu")
    from minivit.ops.stem import cpu as stem

    p, many = ops.prepare(params.seeded(SMALL)), np.concatenate([images] * 3)
    whole = ops.fused["stem"](p["stem"], many, SMALL)
    for pixels in (48 * 32, 4 * 48 * 32):  # one at a time; four, four, one
        monkeypatch.setattr(stem, "PIXELS", pixels)
        np.testing.assert_allclose(ops.fused["stem"](p["stem"], many, SMALL), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "cell", "tokens", "larger"),
    [("R+Ti/16", 32, 50, 145), ("R26+S/32", 32, 50, 145), ("R50+B/16", 16, 197, 577), ("R50+L/32", 32, 50, 145)],
)
def test_a_token_stands_for_so_many_pixels(name, cell, tokens, larger):
    config = variant(name)
    assert (config.cell, config.tokens) == (cell, tokens)
    assert config.prefix + np.prod(config.grid_of(384, 384)) == larger


def test_what_is_smaller_than_a_patch_is_an_error_and_one_pixel_is_enough_for_patches_of_one_cell():
    with pytest.raises(InputError, match="16×4 pixels are less than one patch"):
        Model(KINDS["root only, patches of 2"], params.seeded(KINDS["root only, patches of 2"])).run(images[:, :16, :4])
    assert Model(SMALL, params.seeded(SMALL)).run(images[:, :1, :1]).shape == (3, 5)


@pytest.mark.parametrize(
    ("stem", "message"),
    [
        ({"width": 10}, "a stem of width 10 does not split into 4 groups"),
        ({"units": (2, 0)}, "does not split"),
        ({"weight_eps_on": "root"}, "unknown weight_eps_on 'root'"),
    ],
)
def test_impossible_stems_are_errors(stem, message):
    with pytest.raises(InputError, match=message):
        replace(SMALL, stem=replace(STEM, **stem))


@pytest.mark.parametrize("op", ["standardise", "conv", "groupnorm", "relu", "max_pool"])
def test_a_replaced_op_is_the_one_that_runs(op):
    calls, own = [], getattr(tiers.load(), op)
    ops = tiers.load().replace(**{op: lambda *arguments: calls.append(op) or own(*arguments)})
    Model(SMALL, params.seeded(SMALL), ops).run(images)
    assert calls


def test_a_tensor_inside_the_stem_can_be_replaced():
    model = Model(SMALL, params.seeded(SMALL), ops_of("cpu"))
    trace = model.trace(images, patch={"stem.stage0.unit1.out": lambda x: x * 0})
    assert (trace["stem.stage0.unit1.out"] == 0).all() and (trace["stem.stage1.unit0.conv1"] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_both_tiers_agree_and_have_the_shape_of_the_parameters(kind):
    config, tree = KINDS[kind], params.seeded(KINDS[kind])
    targets = one_hot(np.array([0, 2, 4]), config.classes)
    exact = gradients(config, tree, targets, tiers.load("ref", "float64"))
    assert {name: g.shape for name, g in exact.items()} == params.shapes(config)
    for training in (False, True):
        found = gradients(config, tree, targets, ops_of("cpu", training=training))
        assert list(found) == list(exact)
        for name, gradient in exact.items():
            assert np.abs(found[name] - gradient).max() < 2e-4 * np.abs(gradient).max() + 1e-6, name


def gradients(config, tree, targets, ops):
    _, _, grads = loss_and_gradients(ops.prepare(tree), images.astype(ops.activations), targets, config, ops)
    return params.flatten(grads)


def test_a_step_down_the_gradient_makes_the_loss_smaller_by_what_it_promises():
    ops, flat = tiers.load("ref", "float64"), params.flatten(params.seeded(SMALL, dtype=np.float64))
    targets, x = one_hot(np.array([0, 2, 4]), 5, dtype=float), images.astype(float)
    loss, _, grads = loss_and_gradients(params.nest(flat), x, targets, SMALL, ops)
    stem = {name: g for name, g in params.flatten(grads).items() if name.startswith("stem.")}
    step = {name: value - 1e-7 * stem.get(name, 0) for name, value in flat.items()}
    after = ops.cross_entropy(models.of(SMALL).forward(params.nest(step), x, SMALL, ops), targets)
    promised = 1e-7 * sum(np.square(g).sum() for g in stem.values())
    assert loss - after == pytest.approx(promised, rel=1e-3)


def test_units_know_their_place_and_stride():
    tree = params.seeded(KINDS["four stages"])
    assert [unit[:2] + unit[3:] for unit in hybrid.units(tree["stem"])] == [
        *((0, 0, 1), (1, 0, 2), (2, 0, 2), (2, 1, 1), (3, 0, 2))
    ]
