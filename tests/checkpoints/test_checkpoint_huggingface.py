"""Hugging Face: version 4 and 5 names, with and without prefix, sharded, and what config.json decides."""

import json
import re
import shutil

import numpy as np
import pytest
from checkpoint_files import (
    GOLDEN,
    TINY_HF_CONFIG,
    assert_same_tree,
    flat,
    golden_arrays,
    golden_config,
    save_huggingface,
    save_safetensors,
    tiny_huggingface,
)

from minivit import checkpoints, params
from minivit.config import HUGGING_FACE, Preprocess
from minivit.errors import InputError

CLASSIFIER, POOLER, DISTILLED = "hf__vit_classification", "hf__vit_model_pooler", "hf__deit_distilled"


def tiny(folder, **changes):
    """A tiny classifier with some settings of config.json changed; None removes one."""
    config = {name: value for name, value in {**TINY_HF_CONFIG, **changes}.items() if value is not None}
    return save_huggingface(folder, tiny_huggingface(), config)


@pytest.mark.parametrize(
    ("case", "family", "classes", "prefix", "representation", "distilled", "parameters"),
    [
        (CLASSIFIER, "vit", 5, 1, None, False, 68_309),
        (POOLER, "vit", None, 1, 64, False, 155_072),
        (DISTILLED, "deit", 4, 2, None, True, 75_944),
    ],
)
def test_config_json_becomes_the_config(case, family, classes, prefix, representation, distilled, parameters):
    checkpoint, stated = checkpoints.read(GOLDEN / case), golden_config(case)
    config = checkpoint.config
    assert (checkpoint.family, checkpoint.layout, checkpoint.dtypes) == (family, "huggingface", ("float32",))
    assert (config.width, config.blocks, config.heads, config.mlp) == (
        *(stated["hidden_size"], stated["num_hidden_layers"]),
        *(stated["num_attention_heads"], stated["intermediate_size"]),
    )
    assert (config.patch, config.image) == (stated["patch_size"], (stated["image_size"],) * 2)
    assert (config.classes, config.prefix, config.pool) == (classes, prefix, "token")
    assert (config.representation, config.distilled_head) == (representation, distilled)
    assert (config.gelu, config.eps, config.position_resize) == ("erf", 1e-12, "bicubic")
    assert (checkpoint.parameters, checkpoint.warnings) == (parameters, [])
    assert {name: array.shape for name, array in flat(GOLDEN / case).items()} == params.shapes(config)


def test_labels_are_in_the_order_of_their_ids():
    labels = ("tench", "goldfish", "tabby, tabby cat", "loudspeaker", "volcano")
    assert checkpoints.read(GOLDEN / CLASSIFIER).labels == labels


def test_a_model_without_head_has_no_labels():
    assert checkpoints.read(GOLDEN / POOLER).labels is None


def test_qkv_columns_are_the_transposed_weights_of_query_key_and_value():
    stored, read = golden_arrays(CLASSIFIER), flat(GOLDEN / CLASSIFIER)
    for i, part in enumerate(("query", "key", "value")):
        name, columns = f"vit.encoder.layer.1.attention.attention.{part}", slice(48 * i, 48 * (i + 1))
        np.testing.assert_array_equal(read["blocks.1.attn.qkv.w"][:, columns], stored[f"{name}.weight"].T)
        np.testing.assert_array_equal(read["blocks.1.attn.qkv.b"][columns], stored[f"{name}.bias"])


@pytest.mark.parametrize(
    ("case", "ours", "theirs"),
    [
        (CLASSIFIER, "blocks.0.attn.out.w", "vit.encoder.layer.0.attention.output.dense.weight"),
        (CLASSIFIER, "blocks.0.ln1.scale", "vit.encoder.layer.0.layernorm_before.weight"),
        (CLASSIFIER, "blocks.2.ln2.bias", "vit.encoder.layer.2.layernorm_after.bias"),
        (CLASSIFIER, "blocks.2.mlp.fc1.w", "vit.encoder.layer.2.intermediate.dense.weight"),
        (CLASSIFIER, "blocks.2.mlp.fc2.w", "vit.encoder.layer.2.output.dense.weight"),
        (CLASSIFIER, "norm.bias", "vit.layernorm.bias"),
        (CLASSIFIER, "head.w", "classifier.weight"),
        (POOLER, "representation.w", "pooler.dense.weight"),
        (DISTILLED, "head.w", "cls_classifier.weight"),
        (DISTILLED, "head_distill.w", "distillation_classifier.weight"),
    ],
)
def test_a_matrix_is_the_transpose_of_its_official_one(case, ours, theirs):
    np.testing.assert_array_equal(flat(GOLDEN / case)[ours], golden_arrays(case)[theirs].T)


def test_a_patch_kernel_has_row_column_channel_order():
    stored = golden_arrays(CLASSIFIER)["vit.embeddings.patch_embeddings.projection.weight"]
    read = flat(GOLDEN / CLASSIFIER)["embed.w"]
    assert read[5, 3, 2, 40] == stored[40, 2, 5, 3]


def test_the_distillation_token_follows_the_class_token():
    stored = golden_arrays(DISTILLED)
    tokens = [stored["deit.embeddings.cls_token"][0, 0], stored["deit.embeddings.distillation_token"][0, 0]]
    np.testing.assert_array_equal(flat(GOLDEN / DISTILLED)["embed.prefix"], [tokens])


def test_transposed_weights_are_views_of_the_file():
    weight = flat(GOLDEN / CLASSIFIER)["blocks.0.mlp.fc1.w"]
    assert weight.flags.f_contiguous
    assert not weight.flags.owndata


VERSION_5 = {
    r"encoder\.layer\.": "layers.",
    r"attention\.attention\.(q|k|v)\w+": r"attention.\1_proj",
    r"attention\.output\.dense": "attention.o_proj",
    r"intermediate\.dense": "mlp.fc1",
    r"output\.dense": "mlp.fc2",
}


def version_5(name):
    for old, new in VERSION_5.items():
        name = re.sub(old, new, name)
    return name


@pytest.mark.parametrize("case", [CLASSIFIER, POOLER, DISTILLED])
def test_names_of_version_5_give_the_same_tree(case, tmp_path):
    arrays = {version_5(name): array for name, array in golden_arrays(case).items()}
    assert any("layers.0.attention.q_proj" in name for name in arrays)
    folder = save_huggingface(tmp_path / "v5", arrays, golden_config(case))
    assert_same_tree(flat(folder), flat(GOLDEN / case))


@pytest.mark.parametrize("case", [CLASSIFIER, DISTILLED])
def test_the_prefix_does_not_matter(case, tmp_path):
    arrays = {re.sub(r"^(vit|deit)\.", "", name): array for name, array in golden_arrays(case).items()}
    assert_same_tree(flat(save_huggingface(tmp_path / "bare", arrays, golden_config(case))), flat(GOLDEN / case))


def test_the_file_itself_may_be_given():
    assert_same_tree(flat(GOLDEN / CLASSIFIER / "model.safetensors"), flat(GOLDEN / CLASSIFIER))


def save_sharded(folder, arrays, config):
    """Two shards and their index."""
    names = sorted(arrays)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_huggingface(folder, {name: arrays[name] for name in held}, config, shard)
    weight_map = {name: shard for shard, held in shards.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def test_a_sharded_checkpoint_gives_the_same_tree(tmp_path):
    folder = save_sharded(tmp_path / "sharded", golden_arrays(CLASSIFIER), golden_config(CLASSIFIER))
    assert_same_tree(flat(folder), flat(GOLDEN / CLASSIFIER))


def test_deit_without_teacher_classifies_the_class_token(tmp_path):
    arrays = {n: a for n, a in golden_arrays(DISTILLED).items() if not n.startswith("distillation_classifier")}
    arrays = {name.replace("cls_classifier", "classifier"): array for name, array in arrays.items()}
    config = checkpoints.read(save_huggingface(tmp_path / "deit", arrays, golden_config(DISTILLED))).config
    assert (config.prefix, config.pool, config.distilled_head, config.classes) == (2, "token", False, 4)


def test_a_model_without_pooler_returns_the_class_token(tmp_path):
    arrays = {name: array for name, array in golden_arrays(POOLER).items() if "pooler" not in name}
    config = checkpoints.read(save_huggingface(tmp_path / "vit", arrays, golden_config(POOLER))).config
    assert (config.representation, config.classes) == (None, None)


def test_a_pooler_beside_a_classifier_is_ignored_aloud(tmp_path):
    arrays = golden_arrays(CLASSIFIER)
    arrays |= {
        "vit.pooler.dense.weight": np.ones((48, 48), np.float32),
        "vit.pooler.dense.bias": np.ones(48, np.float32),
    }
    folder = save_huggingface(tmp_path / "both", arrays, golden_config(CLASSIFIER))
    assert "pooler is ignored" in checkpoints.read(folder).warnings[0]
    assert_same_tree(flat(folder), flat(GOLDEN / CLASSIFIER))


def test_a_model_without_qkv_bias_has_none(tmp_path):
    arrays = {n: a for n, a in golden_arrays(CLASSIFIER).items() if not re.search(r"(query|key|value)\.bias", n)}
    folder = save_huggingface(tmp_path / "vit", arrays, golden_config(CLASSIFIER) | {"qkv_bias": False})
    assert "blocks.0.attn.qkv.b" not in flat(folder)


@pytest.mark.parametrize(("activation", "gelu"), [("gelu", "erf"), ("gelu_pytorch_tanh", "tanh"), ("gelu_new", "tanh")])
def test_hidden_act_chooses_the_gelu(activation, gelu, tmp_path):
    assert checkpoints.read(tiny(tmp_path / "vit", hidden_act=activation)).config.gelu == gelu


def test_layer_norm_eps_is_read(tmp_path):
    assert checkpoints.read(tiny(tmp_path / "vit", layer_norm_eps=1e-5)).config.eps == 1e-5


def test_sizes_may_be_pairs(tmp_path):
    config = checkpoints.read(tiny(tmp_path / "vit", image_size=[2, 8], patch_size=[2, 2])).config
    assert (config.image, config.grid) == ((2, 8), (1, 4))


def test_classes_without_labels_are_counted(tmp_path):
    checkpoint = checkpoints.read(tiny(tmp_path / "vit", id2label=None))
    assert (checkpoint.labels, checkpoint.config.classes) == (None, 2)


def test_unknown_settings_are_tolerated(tmp_path):
    assert checkpoints.read(tiny(tmp_path / "vit", encoder_stride="anything", new={"a": [1]})).config.width == 4


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("model_type", "dinov2", "model_type 'dinov2'; this version reads plain ViT and DeiT"),
        ("hidden_act", "relu", "hidden_act 'relu', expected one of gelu"),
        ("hidden_act", ["gelu"], r"hidden_act \['gelu'\], expected one of gelu"),
        ("patch_size", [2, 4], "patch_size 2×4, expected square patches"),
        ("num_hidden_layers", 10**9, "num_hidden_layers is 1000000000, expected a whole number from 1 to 1000000"),
        ("num_hidden_layers", 10**6, "expected 1000000 blocks, but there are only 24 tensors"),
        ("num_hidden_layers", 2, "expected 'encoder.layer.1.layernorm_before.weight' of shape"),
        ("hidden_size", 0, "hidden_size is 0"),
        ("hidden_size", "4", "hidden_size is '4'"),
        ("hidden_size", True, "hidden_size is True"),
        ("hidden_size", 8, r"has shape \(4, 3, 2, 2\), expected \(8, 3, 2, 2\)"),
        ("intermediate_size", -4, "intermediate_size is -4"),
        ("intermediate_size", 4.0, "intermediate_size is 4.0"),
        ("num_attention_heads", 3, "width 4 is not a multiple of 3 heads"),
        ("layer_norm_eps", -1, "layer_norm_eps is -1"),
        ("layer_norm_eps", float("nan"), "layer_norm_eps is nan"),
        ("image_size", {"height": 4}, "image_size is None"),
        ("image_size", 1, r"image \(1, 1\) is smaller than one patch"),
        ("image_size", 8, r"has shape \(1, 5, 4\), expected \(1, 17, 4\) .* at 8×8 pixels"),
        ("id2label", ["cat", "dog"], "id2label is .*, expected an object"),
        ("id2label", {"0": "cat", "2": "dog"}, "id2label does not name the classes 0 … 1"),
        ("id2label", {"0": "cat", "1": 7}, "id2label does not name the classes 0 … 1"),
        ("id2label", {"0": "cat"}, r"'classifier.weight' has shape \(2, 4\), expected \(1, 4\)"),
    ],
)
def test_an_impossible_setting_is_named(setting, value, message, tmp_path):
    with pytest.raises(InputError, match=message):
        checkpoints.read(tiny(tmp_path / "vit", **{setting: value}))


def test_an_unknown_pooler_activation_is_named(tmp_path):
    folder = save_huggingface(tmp_path / "vit", golden_arrays(POOLER), golden_config(POOLER) | {"pooler_act": "relu"})
    with pytest.raises(InputError, match="pooler_act 'relu', expected 'tanh'"):
        checkpoints.read(folder)


@pytest.mark.parametrize("extra", ["vit.embeddings.mask_token", "decoder.0.weight"])
def test_half_of_masked_image_modelling_is_not_a_model(extra, tmp_path):
    arrays = tiny_huggingface() | {extra: np.ones((1, 1, 4), np.float32)}
    with pytest.raises(InputError, match=r"mask_token' of shape .* is not part of|encoder_stride is 16"):
        checkpoints.read(save_huggingface(tmp_path / "vit", arrays, TINY_HF_CONFIG))


def test_a_missing_config_json_is_asked_for(tmp_path):
    path = save_safetensors(tmp_path / "model.safetensors", tiny_huggingface())
    with pytest.raises(InputError, match=r"needs its config\.json, put it into the same folder"):
        checkpoints.read(path)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"hidden_size": ' + b"9" * 9000 + b"}"])
def test_a_broken_config_json_is_an_input_error(text, tmp_path):
    folder = tiny(tmp_path / "vit")
    (folder / "config.json").write_bytes(text)
    with pytest.raises(InputError, match=r"config\.json"):
        checkpoints.read(folder)


def test_one_tensor_under_two_names_is_refused(tmp_path):
    arrays = tiny_huggingface()
    arrays["layernorm.weight"] = arrays["vit.layernorm.weight"]
    with pytest.raises(InputError, match=r"'(vit\.)?layernorm\.weight' mean the same"):
        checkpoints.read(save_huggingface(tmp_path / "vit", arrays, TINY_HF_CONFIG))


# ---- preprocessing --------------------------------------------------------------------------------------------------


def preprocess(folder, settings, family="vit"):
    """The Preprocess of a golden checkpoint with such a preprocessor_config.json."""
    shutil.copytree(GOLDEN / (CLASSIFIER if family == "vit" else DISTILLED), folder)
    if settings is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return checkpoints.read(folder).config.preprocess


def test_without_preprocessor_config_vit_is_stretched(tmp_path):
    assert preprocess(tmp_path / "vit", None) == HUGGING_FACE


def test_without_preprocessor_config_deit_is_stretched_to_256_and_cropped_to_224(tmp_path):
    wanted = Preprocess("huggingface deit", "bicubic", "stretch", crop_fraction=224 / 256)
    assert preprocess(tmp_path / "deit", None, "deit") == wanted


@pytest.mark.parametrize("size", [48, {"height": 48, "width": 48}])
def test_the_size_may_be_a_number_or_a_table(size, tmp_path):
    settings = {"size": size, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    assert preprocess(tmp_path / "vit", settings) == HUGGING_FACE


def test_filter_mean_and_std_are_read(tmp_path):
    read = preprocess(
        tmp_path / "vit", {"size": 48, "resample": 3, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3]}
    )
    assert (read.resample, read.mean, read.std) == ("bicubic", (0.1, 0.2, 0.3), (1, 2, 3))


def test_a_shortest_edge_keeps_the_aspect_ratio(tmp_path):
    settings = {"size": {"shortest_edge": 56}, "do_center_crop": True, "crop_size": {"height": 48, "width": 48}}
    read = preprocess(tmp_path / "vit", settings)
    assert (read.fit, read.resize) == ("shorter", 56)


def test_a_crop_out_of_a_stretched_image_is_read(tmp_path):
    read = preprocess(tmp_path / "deit", {"size": 60, "crop_size": 48, "do_center_crop": True}, "deit")
    assert (read.fit, read.resize) == ("stretch", (60, 60))


def test_without_normalisation_pixels_stay_between_0_and_1(tmp_path):
    read = preprocess(tmp_path / "vit", {"size": 48, "do_normalize": False})
    assert (read.mean, read.std) == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_resize": False}, "do_resize is off"),
        ({"do_rescale": False}, "do_rescale is off"),
        ({"rescale_factor": 1 / 127.5}, "expected 1/255"),
        ({"resample": 0}, "resample is 0, expected one of"),
        ({"resample": "bilinear"}, "resample is 'bilinear'"),
        ({"size": 56}, r"it makes images of \(56, 56\) pixels, but the model reads \(48, 48\)"),
        ({"size": {"shortest_edge": 48}}, "but the model reads"),
        ({"size": 40, "do_center_crop": True}, "but the model reads"),
        ({"size": 64, "crop_size": 56, "do_center_crop": True}, r"images of \(56, 56\) pixels"),
        ({"size": "48"}, "size is '48'"),
        ({"image_mean": 0.5}, "image_mean is 0.5, expected three numbers"),
        ({"image_std": [0.5, 0.5, 0]}, "image_std is .* expected positive numbers"),
        ({"image_std": [0.5, 0.5, float("inf")]}, "image_std is .* expected three numbers"),
    ],
)
def test_preprocessing_that_minivit_does_not_have_must_be_given_by_hand(settings, message, tmp_path):
    with pytest.raises(InputError, match=rf"preprocessor_config\.json: .*{message}.*; give preprocess=…"):
        preprocess(tmp_path / "vit", settings)
    assert checkpoints.read(tmp_path / "vit", preprocess=HUGGING_FACE).config.preprocess == HUGGING_FACE


#: hidden_size, num_hidden_layers, num_attention_heads, intermediate_size of the hub's configurations
HUB_SIZES = {
    "tiny": (192, 12, 3, 768),
    "small": (384, 12, 6, 1536),
    "base": (768, 12, 12, 3072),
    "large": (1024, 24, 16, 4096),
    "huge": (1280, 32, 16, 5120),
}


@pytest.mark.parametrize(
    ("size", "patch", "image", "classes", "name", "parameters"),
    [
        ("tiny", 16, 224, 1000, "ViT-Ti/16", 5_717_416),
        ("small", 16, 224, 1000, "ViT-S/16", 22_050_664),
        ("small", 32, 384, 1000, "ViT-S/32", 22_915_432),
        ("small", 8, 224, None, "ViT (width 384, 12 blocks, patch 8)", 21_670_272),  # facebook/dino-vits8
        ("base", 16, 384, 1000, "ViT-B/16", 86_859_496),
        ("base", 32, 224, 21843, "ViT-B/32", 104_252_499),
        ("base", 8, 224, None, "ViT-B/8", 85_807_872),
        ("large", 16, 224, 1000, "ViT-L/16", 304_326_632),
        ("large", 32, 384, 1000, "ViT-L/32", 306_632_680),
        ("huge", 14, 224, None, "ViT-H/14", 630_764_800),
    ],
)
def test_every_size_of_the_hub_is_read_from_its_config_json(size, patch, image, classes, name, parameters):
    width, layers, heads, mlp = HUB_SIZES[size]
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": mlp}
    stated = {"model_type": "vit", **sizes, "patch_size": patch, "image_size": image, "num_labels": classes or 2}
    shapes = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.position_embeddings": (1, 1 + (image // patch) ** 2, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, patch, patch),
        "embeddings.patch_embeddings.projection.bias": (width,),
        "layernorm.weight": (width,),
        "layernorm.bias": (width,),
    }
    for i in range(layers):
        linears = {
            **{f"attention.attention.{part}": (width, width) for part in ("query", "key", "value")},
            **{
                "attention.output.dense": (width, width),
                "intermediate.dense": (mlp, width),
                "output.dense": (width, mlp),
            },
        }
        for layer, shape in {**linears, "layernorm_before": (width,), "layernorm_after": (width,)}.items():
            shapes |= {f"encoder.layer.{i}.{layer}.weight": shape, f"encoder.layer.{i}.{layer}.bias": shape[:1]}
    if classes:
        shapes = {f"vit.{key}": shape for key, shape in shapes.items()}
        shapes |= {"classifier.weight": (classes, width), "classifier.bias": (classes,)}
    arrays = {key: np.broadcast_to(np.float32(1), shape) for key, shape in shapes.items()}  # one number in memory
    found = checkpoints.from_arrays(arrays, "model.safetensors", {"config.json": stated})
    assert (found.config.name, found.parameters, found.config.classes) == (name, parameters, classes)
    assert (found.config.heads, found.config.image, found.warnings) == (heads, (image, image), [])
