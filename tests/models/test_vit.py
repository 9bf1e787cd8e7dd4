"""The model: names and shapes of every tensor, taps, fused steps, other image sizes."""

from dataclasses import replace

import numpy as np
import pytest

from minivit import names, params, tiers
from minivit.config import ViTConfig
from minivit.errors import InputError
from minivit.model import Model
from minivit.models import vit
from minivit.trace import make_tap

SMALL = ViTConfig("small", patch=4, width=8, blocks=2, heads=2, mlp=16, classes=5, image=(12, 8))
KINDS = {
    "token": SMALL,
    "gap": replace(SMALL, pool="gap", prefix=0),
    "unpooled": replace(SMALL, pool="unpooled", prefix=0),
    "token_unpooled": replace(SMALL, pool="token_unpooled"),
    "representation": replace(SMALL, representation=6),
    "headless": replace(SMALL, classes=None),
    "pooler": replace(SMALL, classes=None, representation=8),
    "distilled": replace(SMALL, prefix=2, distilled_head=True),
    "norm after pool": replace(SMALL, pool="gap", norm_after_pool=True),
    "no qkv bias": replace(SMALL, qkv_bias=False),
}
images = np.random.default_rng(1).standard_normal((2, 12, 8, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_trace_has_exactly_the_tensors_of_the_table_in_order_with_their_shapes(kind):
    config = KINDS[kind]
    trace = Model(config, params.seeded(config)).trace(images)
    assert list(trace) == list(names.of(config))
    for name, tensor in names.of(config).items():
        assert trace[name].shape == names.shape(tensor, config, batch=2), name


@pytest.mark.parametrize("kind", KINDS)
def test_output_is_bit_identical_with_and_without_taps(kind):
    model = Model(KINDS[kind], params.seeded(KINDS[kind]))
    tap = make_tap(model.config, "*")
    np.testing.assert_array_equal(model.run(images), model.run(images, tap=tap))


@pytest.mark.parametrize("size", [(4, 4), (8, 20), (15, 11), (24, 16)])
def test_any_image_size_of_at_least_one_patch_runs(size):
    x = np.random.default_rng(2).standard_normal((1, *size, 3))
    trace = Model(SMALL, params.seeded(SMALL)).trace(x)
    assert trace["embed.patches"].shape[1] == (size[0] // 4) * (size[1] // 4)


def test_an_image_smaller_than_a_patch_is_an_error():
    with pytest.raises(InputError, match="less than one patch"):
        Model(SMALL, params.seeded(SMALL)).run(np.zeros((1, 3, 8, 3), np.float32))


def test_images_of_a_batch_do_not_influence_each_other():
    model = Model(SMALL, params.seeded(SMALL), tiers.load("ref", "float64"))
    np.testing.assert_allclose(model.run(images)[1], model.run(images[1])[0], rtol=1e-12)


def test_distilled_logits_are_the_mean_of_both_heads():
    trace = Model(KINDS["distilled"], params.seeded(KINDS["distilled"])).trace(images)
    mean = (trace["head.class_logits"] + trace["head.distill_logits"]) / 2
    np.testing.assert_array_equal(trace["logits"], mean)


def test_a_replaced_op_is_the_one_that_runs():
    uniform = tiers.load().replace(softmax=lambda x: np.full_like(x, 1 / x.shape[-1]))
    trace = Model(SMALL, params.seeded(SMALL), uniform).trace(images)
    assert np.all(trace["block1.attn.probs"] == np.float32(1 / 7))


class FusedOps:
    """`ref` ops with a fused step that counts how often it ran."""

    def __init__(self, step, kernel):
        self.runs = 0

        def counted(*inputs):
            self.runs += 1
            return kernel(*inputs)

        self.ops = replace(tiers.load(), fused={step: counted})


def _mlp(p, x, config):
    ops = tiers.load()
    return ops.linear(ops.gelu(ops.linear(x, **p["fc1"]), config.gelu), **p["fc2"])


def test_a_fused_step_runs_when_nobody_looks_inside():
    fused = FusedOps("mlp", _mlp)
    model = Model(SMALL, params.seeded(SMALL), fused.ops)
    expected = Model(SMALL, params.seeded(SMALL)).run(images)
    np.testing.assert_array_equal(model.run(images), expected)
    assert fused.runs == 2


def test_a_fused_step_gives_way_only_where_a_tensor_inside_is_wanted():
    fused = FusedOps("mlp", _mlp)
    model = Model(SMALL, params.seeded(SMALL), fused.ops)
    trace = model.trace(images, keep="block1.mlp.act")
    assert trace["block1.mlp.act"].shape == (2, 7, 16)
    assert fused.runs == 1


def test_replacing_an_op_switches_fused_steps_off():
    fused = FusedOps("mlp", _mlp)
    model = Model(SMALL, params.seeded(SMALL), fused.ops.replace(gelu=lambda x, kind: x * 0))
    bias_only = np.broadcast_to(model.params["blocks"][0]["mlp"]["fc2"]["b"], (2, 7, 8))
    np.testing.assert_array_equal(model.trace(images, keep="block0.mlp.out")["block0.mlp.out"], bias_only)
    assert fused.runs == 0


def test_forward_is_a_plain_function_of_arrays():
    ops = tiers.load()
    tree = ops.prepare(params.seeded(SMALL))
    np.testing.assert_array_equal(vit.forward(tree, images, SMALL, ops), Model(SMALL, tree).run(images))
