"""timm: fused qkv, and a file that does not say how many heads it has or how to prepare images."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import (
    GOLDEN,
    assert_same_tree,
    flat,
    golden_arrays,
    golden_config,
    save_huggingface,
    save_safetensors,
)

from minivit import checkpoints, params
from minivit.config import DEIT, TIMM, VARIANTS, Preprocess, variant
from minivit.errors import InputError

TOKEN, AVERAGE = "timm__vit_token", "timm__vit_avg"


@pytest.mark.parametrize(
    ("case", "heads", "pool", "norm_after_pool", "parameters"),
    [(TOKEN, 4, "token", False, 151_562), (AVERAGE, 3, "gap", True, 49_447)],
)
def test_the_config_is_read_from_the_shapes(case, heads, pool, norm_after_pool, parameters):
    checkpoint = checkpoints.read(GOLDEN / case, heads=heads)
    config = checkpoint.config
    assert (config.heads, config.pool, config.norm_after_pool, config.prefix) == (heads, pool, norm_after_pool, 1)
    assert (config.gelu, config.eps, config.position_resize) == ("erf", 1e-6, "bicubic_antialias_float32")
    assert (checkpoint.family, checkpoint.layout, checkpoint.parameters) == ("vit", "timm", parameters)
    assert {n: a.shape for n, a in flat(GOLDEN / case, heads=heads).items()} == params.shapes(config)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    {
        "blocks.1.attn.qkv.w": "blocks.1.attn.qkv.weight",
        "blocks.1.attn.qkv.b": "blocks.1.attn.qkv.bias",
        "blocks.0.attn.out.w": "blocks.0.attn.proj.weight",
        "blocks.2.ln1.scale": "blocks.2.norm1.weight",
        "blocks.2.ln2.bias": "blocks.2.norm2.bias",
        "blocks.2.mlp.fc1.w": "blocks.2.mlp.fc1.weight",
        "blocks.2.mlp.fc2.w": "blocks.2.mlp.fc2.weight",
        "norm.scale": "norm.weight",
        "head.w": "head.weight",
        "head.b": "head.bias",
    }.items(),
)
def test_a_matrix_is_the_transpose_of_its_official_one(ours, theirs):
    np.testing.assert_array_equal(flat(GOLDEN / TOKEN, heads=4)[ours], golden_arrays(TOKEN)[theirs].T)


def test_with_average_pooling_the_final_norm_is_fc_norm():
    read = flat(GOLDEN / AVERAGE, heads=3)
    np.testing.assert_array_equal(read["norm.scale"], golden_arrays(AVERAGE)["fc_norm.weight"])


def test_fused_qkv_is_a_view_of_the_file():
    weight = flat(GOLDEN / TOKEN, heads=4)["blocks.0.attn.qkv.w"]
    assert weight.flags.f_contiguous
    assert not weight.flags.owndata


TO_HUGGING_FACE = {
    r"patch_embed\.proj": "embeddings.patch_embeddings.projection",
    r"cls_token": "embeddings.cls_token",
    r"pos_embed": "embeddings.position_embeddings",
    r"^norm\.": "layernorm.",
    r"^head\.": "classifier.",
    r"blocks\.(\d+)\.norm1": r"encoder.layer.\1.layernorm_before",
    r"blocks\.(\d+)\.norm2": r"encoder.layer.\1.layernorm_after",
    r"blocks\.(\d+)\.attn\.proj": r"encoder.layer.\1.attention.output.dense",
    r"blocks\.(\d+)\.mlp\.fc1": r"encoder.layer.\1.intermediate.dense",
    r"blocks\.(\d+)\.mlp\.fc2": r"encoder.layer.\1.output.dense",
}


def to_hugging_face(arrays):
    """The conversion of transformers (spec 2.6): other names, and qkv split in three."""
    converted = {}
    for name, array in arrays.items():
        if "qkv" in name:
            start, leaf = name.split("attn.qkv.")
            start = start.replace("blocks", "encoder.layer") + "attention.attention."
            converted |= dict(
                zip([f"{start}{p}.{leaf}" for p in ("query", "key", "value")], np.split(array, 3), strict=True)
            )
        else:
            for old, new in TO_HUGGING_FACE.items():
                name = re.sub(old, new, name)
            converted[name] = array
    return converted


def test_a_file_converted_to_hugging_face_gives_the_same_tree(tmp_path):
    config = {
        **golden_config("hf__vit_classification"),
        **{"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128},
        **{"image_size": 64, "patch_size": 16, "id2label": {str(i): str(i) for i in range(10)}},
    }
    folder = save_huggingface(tmp_path / "hf", to_hugging_face(golden_arrays(TOKEN)), config)
    assert_same_tree(flat(folder), flat(GOLDEN / TOKEN, heads=4))


# ---- what the tensors do not tell -----------------------------------------------------------------------------------


def bare(tmp_path, case=TOKEN, config=None, **changes):
    """A golden file, some of its tensors changed (None removes one), with or without a config.json."""
    arrays = {name: array for name, array in {**golden_arrays(case), **changes}.items() if array is not None}
    if config is not None:
        return save_huggingface(tmp_path / "timm", arrays, config)
    return save_safetensors(tmp_path / "model.safetensors", arrays)


def test_heads_of_64_numbers_are_assumed_aloud(tmp_path):
    checkpoint = checkpoints.read(bare(tmp_path))
    assert checkpoint.config.heads == 1
    assert "1 of 64 numbers each assumed (choose with heads=" in checkpoint.warnings[0]


def test_given_heads_silence_the_warning(tmp_path):
    assert not any("heads" in warning for warning in checkpoints.read(bare(tmp_path), heads=4).warnings)


def test_heads_are_asked_for_when_the_width_does_not_tell(tmp_path):
    with pytest.raises(InputError, match="how many heads its width of 48 has; give heads=…"):
        checkpoints.read(bare(tmp_path, AVERAGE))


def test_heads_may_stand_in_config_json(tmp_path):
    checkpoint = checkpoints.read(bare(tmp_path, config={"architecture": "vit", "model_args": {"num_heads": 2}}))
    assert checkpoint.config.heads == 2


def test_the_preprocessing_is_assumed_aloud(tmp_path):
    checkpoint = checkpoints.read(bare(tmp_path), heads=4)
    assert checkpoint.config.preprocess == DEIT
    assert "DeiT's way assumed (choose with preprocess=" in checkpoint.warnings[0]


def test_a_given_preprocessing_silences_the_warning(tmp_path):
    checkpoint = checkpoints.read(bare(tmp_path), heads=4, preprocess=TIMM)
    assert (checkpoint.config.preprocess, checkpoint.warnings) == (TIMM, [])


HUB = {
    "architecture": "vit_base_patch16_224",
    "global_pool": "token",
    "label_names": [f"n{i}" for i in range(10)],
    "model_args": {"num_heads": 4},
    "pretrained_cfg": {
        **{"input_size": [3, 64, 64], "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center"},
        **{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    },
}


def hub(tmp_path, **changes):
    """A golden file with a config.json of the hub, some settings of its pretrained_cfg changed."""
    return bare(tmp_path, config={**HUB, "pretrained_cfg": {**HUB["pretrained_cfg"], **changes}})


def test_a_config_json_of_the_hub_tells_everything(tmp_path):
    checkpoint = checkpoints.read(hub(tmp_path))
    assert (checkpoint.config.heads, checkpoint.config.preprocess) == (4, TIMM)
    assert (checkpoint.family, checkpoint.labels, checkpoint.warnings) == ("vit", tuple(HUB["label_names"]), [])


def test_other_mean_filter_and_crop_are_read(tmp_path):
    read = checkpoints.read(
        hub(tmp_path, mean=[0.1, 0.2, 0.3], interpolation="bilinear", crop_pct=1.0)
    ).config.preprocess
    assert (read.mean, read.resample, read.fit, read.crop_fraction) == ((0.1, 0.2, 0.3), "bilinear", "shorter", 1.0)


def test_squash_is_a_stretch(tmp_path):
    read = checkpoints.read(hub(tmp_path, crop_mode="squash")).config.preprocess
    assert read == Preprocess("timm config", "bicubic", "stretch", crop_fraction=0.9)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("interpolation", "random"), ("crop_mode", "border"), ("crop_pct", 0), ("mean", "x"), ("std", [0, 1, 1])],
)
def test_preprocessing_that_minivit_does_not_have_must_be_given_by_hand(setting, value, tmp_path):
    folder = hub(tmp_path, **{setting: value})
    with pytest.raises(InputError, match=rf"config\.json: {setting} is .*; give preprocess=…"):
        checkpoints.read(folder)
    assert checkpoints.read(folder, preprocess=TIMM).config.preprocess == TIMM


def test_an_unknown_pooling_must_be_given_by_hand(tmp_path):
    folder = bare(tmp_path, config=HUB | {"global_pool": "map"})
    with pytest.raises(InputError, match=r"global_pool 'map' in config\.json is not known here; give pool=…"):
        checkpoints.read(folder)


def test_average_pooling_without_fc_norm_normalises_first(tmp_path):
    config = checkpoints.read(bare(tmp_path, config=HUB | {"global_pool": "avg"})).config
    assert (config.pool, config.norm_after_pool) == ("gap", False)


def test_a_grid_that_is_not_square_is_read_from_config_json(tmp_path):
    position = {"pos_embed": np.ones((1, 9, 64), np.float32)}
    config = {**HUB, "pretrained_cfg": {**HUB["pretrained_cfg"], "input_size": [3, 32, 64]}}
    assert checkpoints.read(bare(tmp_path, config=config, **position)).config.grid == (2, 4)


@pytest.mark.parametrize("names", [["a"], "abcdefghij", [1] * 10])
def test_label_names_that_do_not_fit_are_refused(names, tmp_path):
    with pytest.raises(InputError, match="label_names"):
        checkpoints.read(bare(tmp_path, config=HUB | {"label_names": names}))


def test_a_pretrained_cfg_that_is_no_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"pretrained_cfg is \[\], expected an object"):
        checkpoints.read(bare(tmp_path, config=HUB | {"pretrained_cfg": []}))


def test_a_model_without_qkv_bias_has_none(tmp_path):
    without = {f"blocks.{i}.attn.qkv.bias": None for i in range(3)}
    assert checkpoints.read(bare(tmp_path, **without), heads=4).config.qkv_bias is False


def test_a_model_without_head_returns_its_feature(tmp_path):
    path = bare(tmp_path, **{"head.weight": None, "head.bias": None})
    assert checkpoints.read(path, heads=4).config.classes is None


def test_a_distilled_model_has_two_tokens_and_two_heads(tmp_path):
    arrays = golden_arrays(TOKEN)
    extra = {
        "dist_token": np.full((1, 1, 64), 2, np.float32),
        "pos_embed": np.ones((1, 18, 64), np.float32),
        "head_dist.weight": 2 * arrays["head.weight"],
        "head_dist.bias": 2 * arrays["head.bias"],
    }
    path = bare(tmp_path, **extra)
    config, read = checkpoints.read(path, heads=4).config, flat(path, heads=4)
    assert (checkpoints.read(path).family, config.prefix, config.distilled_head) == ("deit", 2, True)
    np.testing.assert_array_equal(read["embed.prefix"][0], [arrays["cls_token"][0, 0], np.full(64, 2)])
    np.testing.assert_array_equal(read["head_distill.w"], 2 * arrays["head.weight"].T)


def test_the_old_representation_layer_is_read(tmp_path):
    layer = {"pre_logits.fc.weight": np.ones((64, 64), np.float32), "pre_logits.fc.bias": np.ones(64, np.float32)}
    assert checkpoints.read(bare(tmp_path, **layer), heads=4).config.representation == 64


@pytest.mark.parametrize(
    "extra", ["reg_token", "blocks.0.ls1.gamma", "blocks.0.attn.q_norm.weight", "attn_pool.q.weight"]
)
def test_what_a_plain_vit_does_not_have_is_named(extra, tmp_path):
    with pytest.raises(InputError, match=f"'{extra}' of shape .* is not part of ViT"):
        checkpoints.read(bare(tmp_path, **{extra: np.ones((1, 4, 64), np.float32)}), heads=4)


# ---- real weights ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deit_tiny():
    if "MINIVIT_DATA" not in os.environ:
        pytest.skip("MINIVIT_DATA is not set")
    path = Path(os.environ["MINIVIT_DATA"]) / "deit_tiny" / "deit_tiny_patch16_224.timm.safetensors"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def test_real_deit_tiny_weights_are_the_published_variant(deit_tiny):
    checkpoint = checkpoints.read(deit_tiny)
    assert checkpoint.config == variant("DeiT-Ti/16") == VARIANTS["DeiT-Ti/16"]
    assert (checkpoint.parameters, checkpoint.dtypes, checkpoint.family) == (5_717_416, ("float32",), "deit")


def test_real_deit_tiny_weights_are_read_completely(deit_tiny):
    read = params.flatten(checkpoints.read(deit_tiny).params())
    assert sum(array.size for array in read.values()) == 5_717_416


def test_a_description_of_real_weights_is_json(deit_tiny):
    report = json.loads(json.dumps(checkpoints.describe(deit_tiny)))
    assert (report["name"], report["parameters"], report["problem"]) == ("DeiT-Ti/16", 5_717_416, None)
