"""Hybrids in files: the official names, timm's, and minivit's own."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minivit import checkpoints, load, params
from minivit.check import recipe
from minivit.checkpoints import native, rules, vit_jax, vit_jax_hybrid
from minivit.config import DEIT, TIMM, HybridConfig, Stem, variant
from minivit.errors import InputError
from minivit.models import hybrid

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = {"hybrid__r_stem": (), "hybrid__r_1_1": (1, 1), "hybrid__r26_like": (2, 2, 2, 2), "hybrid__r50_like": (3, 4, 9)}
STEM = Stem((2, 1), width=8, groups=4)
SMALL = HybridConfig("small", 2, width=12, blocks=2, heads=3, mlp=20, classes=5, image=(32, 32), stem=STEM)
images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)


def official(name):
    """{official name: array} of a golden case, stored or drawn from its seed."""
    case = json.loads((GOLDEN / name / "case.json").read_text())
    if isinstance(case["weights"], dict):
        return recipe.parameters(case)
    return dict(np.load(GOLDEN / name / "weights.npz"))


@pytest.mark.parametrize("case", CASES)
def test_the_config_is_read_from_the_official_tensors(case):
    checkpoint = checkpoints.from_arrays(official(case), case)
    config = checkpoint.config
    assert (checkpoint.family, checkpoint.layout) == ("hybrid", "vit_jax npz")
    assert config.stem == Stem(CASES[case], width=32) and config.channels == 3
    assert config.image == np.load(GOLDEN / case / "inputs.npz")["images"].shape[1:3]
    flat = dict(checkpoint.stream())
    assert {name: array.shape for name, array in flat.items()} == params.shapes(config)


def test_official_stages_and_units_count_from_one():
    arrays = official("hybrid__r50_like")
    flat = dict(checkpoints.from_arrays(arrays, "r50").stream())
    same = np.testing.assert_array_equal
    same(flat["stem.stages.2.8.conv2.w"], arrays["block3/unit9/conv2/kernel"])
    same(flat["stem.stages.1.0.proj_norm.scale"], arrays["block2/unit1/gn_proj/scale"].ravel())
    same(flat["stem.norm.bias"], arrays["gn_root/bias"].ravel())


def test_a_published_hybrid_is_known_by_its_sizes():
    arrays = {name: np.zeros(shape, np.float32) for name, shape in official_shapes(variant("R26+S/32")).items()}
    checkpoint = checkpoints.from_arrays(arrays, "R26_S_32.npz")
    assert checkpoint.config == variant("R26+S/32") and "all zeros" in checkpoint.warnings[0]


def official_shapes(config):
    wanted = rules.expected(vit_jax.RULES | vit_jax_hybrid.RULES, config)
    return {name: shape for names, shape, _ in wanted.values() for name in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("block1/unit1/conv2/kernel"), "expected 'block1/unit1/conv2/kernel' of shape (3, 3, 32, 32)"),
        (lambda a: a.update({"block2/unit1/conv4/kernel": np.zeros(3)}), "'block2/unit1/conv4/kernel' of shape (3,)"),
        (lambda a: a.update({"gn_root/scale": np.zeros(31)}), "'gn_root/scale' has shape (31,), expected (32,)"),
        (lambda a: a.update({"conv_root/kernel": np.zeros((7, 7, 3))}), "'conv_root/kernel' has shape (7, 7, 3)"),
        (lambda a: a.update({"conv_root/kernel": np.zeros((7, 7, 3, 30))}), "width 30 does not split into 32 groups"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(change, message):
    arrays = official("hybrid__r_1_1")
    change(arrays)
    with pytest.raises(InputError) as error:
        checkpoints.from_arrays(arrays, "bad.npz")
    assert message in str(error.value)


def timm_arrays(config, tree):
    """{timm's name: array}: written out by hand from timm/models/resnetv2.py, not from the reader's table."""
    flat = params.flatten(tree)
    arrays = {"cls_token": flat["embed.prefix"], "pos_embed": flat["embed.position"]}
    arrays["patch_embed.proj.weight"] = flat["embed.w"].transpose(3, 2, 0, 1)
    arrays["patch_embed.proj.bias"] = flat["embed.b"]
    root = "patch_embed.backbone.stem." if config.stem.units else "patch_embed.backbone."
    for name, array in flat.items():
        *path, leaf = name.split(".")
        if path[0] == "stem":
            *place, layer = path[1:]
            layer = {"proj": "downsample.conv", "proj_norm": "downsample.norm"}.get(layer, layer)
            where = f"patch_embed.backbone.stages.{place[1]}.blocks.{place[2]}." if place else root
            part = "bias" if leaf == "bias" else "weight"
            arrays[f"{where}{layer}.{part}"] = array.transpose(3, 2, 0, 1) if leaf == "w" else array
    names = {"attn.out": "attn.proj", "ln1": "norm1", "ln2": "norm2"}
    for name, array in flat.items():
        if name.startswith(("blocks.", "norm.", "head.")):
            *path, leaf = name.split(".")
            layer = ".".join(path)
            for ours, theirs in names.items():
                layer = layer.replace(ours, theirs)
            arrays[f"{layer}.{'bias' if leaf in ('b', 'bias') else 'weight'}"] = array.T if leaf == "w" else array
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


@pytest.mark.parametrize("units", [(2, 1), ()])
def test_timm_hybrids_are_read_with_timm_s_arithmetic(units, tmp_path):
    stem = replace(STEM, units=units, groups=32, width=32)
    config = replace(SMALL, stem=stem, gelu="erf", position_resize="bicubic_antialias_float32", preprocess=TIMM)
    tree = params.seeded(config)
    save_file(timm_arrays(config, tree), tmp_path / "timm.safetensors")
    checkpoint = checkpoints.read(tmp_path / "timm.safetensors", heads=3)
    expected = replace(stem, norm_eps=1e-5, weight_eps=1e-8, weight_eps_on="variance")
    assert checkpoint.config == replace(config, stem=expected, name=checkpoint.config.name)
    assert "timm's way assumed" in checkpoint.warnings[0]
    found = params.flatten(checkpoint.params())
    for name, array in params.flatten(tree).items():
        np.testing.assert_array_equal(found[name], array, name)


def test_minivit_s_own_file_keeps_a_hybrid_with_all_its_settings(tmp_path):
    config = replace(SMALL, stem=replace(STEM, weight_eps_on="variance", norm_eps=1e-5), preprocess=DEIT)
    tree = params.seeded(config)
    native.write(tmp_path / "small.safetensors", config, tree)
    model = load(tmp_path / "small.safetensors")
    assert model.config == config
    np.testing.assert_array_equal(model.run(images), hybrid.forward(tree, images, config, model.ops))
