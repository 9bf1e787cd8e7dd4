"""The table of variants, against the numbers of the official tests."""

import tracemalloc

import numpy as np
import pytest

from minivit import cost, params
from minivit.config import VARIANTS, ViTConfig, variant
from minivit.errors import InputError
from minivit.model import Model

#: vit_jax/models_test.py; DeiT: timm 1.0 (distilled models have a second token and a second head)
PARAMETERS = {
    "ViT-Ti/16": 5_717_416,
    "ViT-S/16": 22_050_664,
    "ViT-S/32": 22_878_952,
    "ViT-B/8": 86_576_872,
    "ViT-B/16": 86_567_656,
    "ViT-B/32": 88_224_232,
    "ViT-L/16": 304_326_632,
    "ViT-L/32": 306_535_400,
    "ViT-H/14": 632_045_800,
    "ViT-S/16-gap-norep": 22_049_896,
    "ViT-S/32-gap-norep": 22_878_184,
    "ViT-B/16-gap-norep": 86_566_120,
    "ViT-B/32-gap-norep": 88_222_696,
    "DeiT-Ti/16": 5_717_416,
    "DeiT-S/16": 22_050_664,
    "DeiT-B/16": 86_567_656,
    "DeiT-Ti/16-distilled": 5_910_800,
    "DeiT-S/16-distilled": 22_436_432,
    "DeiT-B/16-distilled": 87_338_192,
    "R+ViT-Ti/16": 6_337_704,
    "R26+ViT-S/32": 36_431_912,
    "R26+ViT-B/32": 101_383_976,
    "R50+ViT-B/16": 98_659_112,
    "R50+ViT-L/32": 328_994_856,
    "Mixer-S/8": 20_646_504,
    "Mixer-S/16": 18_528_264,
    "Mixer-S/32": 19_104_624,
    "Mixer-B/16": 59_880_472,
    "Mixer-B/32": 60_293_428,
    "Mixer-L/16": 208_196_168,
    "LiT-B16B": 195_871_489,
    "LiT-B16B_2": 195_280_897,
    "LiT-L16L": 638_443_521,
    "LiT-L16S": 331_140_353,
    "LiT-L16Ti": 311_913_089,
}


def test_every_variant_has_the_published_number_of_parameters():
    assert {name: params.count(config) for name, config in VARIANTS.items()} == PARAMETERS


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ViT-B/16", "ViT-B/16"),
        ("vit_b16", "ViT-B/16"),
        ("B/16", "ViT-B/16"),
        ("ViT-L_32", "ViT-L/32"),
        ("deit-ti/16", "DeiT-Ti/16"),
        ("S_16-gap-norep", "ViT-S/16-gap-norep"),
        ("R50+B/16", "R50+ViT-B/16"),
        ("r26_s_32", "R26+ViT-S/32"),
        ("mixer-b16", "Mixer-B/16"),
        ("lit-l16ti", "LiT-L16Ti"),
    ],
)
def test_names_resolve_the_way_people_write_them(written, meant):
    assert variant(written).name == meant


def test_an_unknown_name_is_an_error_with_the_nearest():
    with pytest.raises(InputError, match="ViT-B/16"):
        variant("ViT-B/17")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patch", 0),
        ("heads", 5),
        ("blocks", -1),
        ("eps", 0),
        ("pool", "tokens"),
        ("gelu", "relu"),
        ("position_resize", "x"),
    ],
)
def test_impossible_configurations_are_errors(field, value):
    good = {"name": "t", "patch": 16, "width": 192, "blocks": 2, "heads": 3, "mlp": 768}
    with pytest.raises(InputError):
        ViTConfig(**{**good, field: value})


def test_flops_are_those_of_the_papers():
    gflops = {name: round(cost.flops(config) / 1e9, 1) for name, config in VARIANTS.items()}
    assert gflops["ViT-B/16"] == 35.1  # 17.6 G multiply-adds
    assert gflops["DeiT-Ti/16"] == 2.5 and gflops["DeiT-S/16"] == 9.2  # arXiv:2012.12877: 1.3 and 4.6 G


def test_trace_memory_is_that_of_a_trace():
    config = ViTConfig("t", patch=4, width=8, blocks=2, heads=2, mlp=16, classes=5, image=(8, 12))
    trace = Model(config, params.seeded(config)).trace(np.zeros((3, 8, 12, 3), np.float32))
    assert cost.trace_bytes(config, batch=3) == sum(x.nbytes for x in trace.values())


@pytest.mark.parametrize(("patch", "gelu"), [(16, "tanh"), (16, "erf"), (8, "tanh")])
def test_activation_memory_is_what_a_forward_pass_takes(patch, gelu):
    config = ViTConfig("t", patch=patch, width=768, blocks=2, heads=12, mlp=3072, gelu=gelu)
    model, image = Model(config, params.seeded(config)), np.zeros((1, 224, 224, 3), np.float32)
    tracemalloc.start()
    model.run(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak == pytest.approx(cost.activation_bytes(config), rel=0.05)


def test_the_tree_flattens_and_nests_back():
    config = ViTConfig("t", patch=4, width=8, blocks=11, heads=2, mlp=16, image=(8, 8))
    tree = params.seeded(config)
    flat = params.flatten(tree)
    assert {name: array.shape for name, array in flat.items()} == params.shapes(config)
    assert params.flatten(params.nest(flat)).keys() == flat.keys()


def test_seeded_parameters_are_the_same_for_the_same_seed():
    config = ViTConfig("t", patch=4, width=8, blocks=1, heads=2, mlp=16, image=(8, 8))
    first, again, other = (params.seeded(config, seed)["head"]["w"] for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()
