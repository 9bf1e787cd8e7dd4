"""Hugging Face transformers, ViT and DeiT: model.safetensors with config.json beside it.

Files carry the names of version 4 (`encoder.layer.0.attention.attention.query`) or, since version 5, those of the
modules (`layers.0.attention.q_proj`); models with a head put `vit.` or `deit.` in front.  The table has the bare names
of version 4.
"""

import re

from ..errors import InputError
from . import preprocessors
from .found import Found
from .json_table import Table
from .rules import convolution, linear, pointwise, same, tokens

LAYER = "encoder.layer.*"
PATCHES = "embeddings.patch_embeddings.projection.weight"

#   ours                    theirs                                        their shape       turn
RULES = {
    "embed.w": (PATCHES, "D channels P P", convolution),
    "embed.b": ("embeddings.patch_embeddings.projection.bias", "D", same),
    "embed.prefix": ("embeddings.cls_token", "1 1 D", same),
    "embed.position": ("embeddings.position_embeddings", "1 N D", same),
    "blocks.*.ln1.scale": (f"{LAYER}.layernorm_before.weight", "D", same),
    "blocks.*.ln1.bias": (f"{LAYER}.layernorm_before.bias", "D", same),
    "blocks.*.attn.qkv.w": (f"{LAYER}.attention.attention.query|key|value.weight", "D D", linear),
    "blocks.*.attn.qkv.b": (f"{LAYER}.attention.attention.query|key|value.bias", "D", linear),
    "blocks.*.attn.out.w": (f"{LAYER}.attention.output.dense.weight", "D D", linear),
    "blocks.*.attn.out.b": (f"{LAYER}.attention.output.dense.bias", "D", same),
    "blocks.*.ln2.scale": (f"{LAYER}.layernorm_after.weight", "D", same),
    "blocks.*.ln2.bias": (f"{LAYER}.layernorm_after.bias", "D", same),
    "blocks.*.mlp.fc1.w": (f"{LAYER}.intermediate.dense.weight", "M D", linear),
    "blocks.*.mlp.fc1.b": (f"{LAYER}.intermediate.dense.bias", "M", same),
    "blocks.*.mlp.fc2.w": (f"{LAYER}.output.dense.weight", "D M", linear),
    "blocks.*.mlp.fc2.b": (f"{LAYER}.output.dense.bias", "D", same),
    "norm.scale": ("layernorm.weight", "D", same),
    "norm.bias": ("layernorm.bias", "D", same),
    "representation.w": ("pooler.dense.weight", "R D", linear),
    "representation.b": ("pooler.dense.bias", "R", same),
    "head.w": ("classifier.weight", "C D", linear),
    "head.b": ("classifier.bias", "C", same),
}
DEIT = {**RULES, "embed.prefix": ("embeddings.cls_token|distillation_token", "1 1 D", tokens)}
WITH_TEACHER = {
    **DEIT,
    "head.w": ("cls_classifier.weight", "C D", linear),
    "head.b": ("cls_classifier.bias", "C", same),
    "head_distill.w": ("distillation_classifier.weight", "C D", linear),
    "head_distill.b": ("distillation_classifier.bias", "C", same),
}

MASKED = {
    "embed.mask": ("embeddings.mask_token", "1 1 D", same),
    "decoder.w": ("decoder.0.weight", "O D 1 1", pointwise),
    "decoder.b": ("decoder.0.bias", "O", same),
}
#: How names begin that have no `vit.` or `deit.` in front
HEADS = ("classifier.", "cls_classifier.", "distillation_classifier.", "decoder.")

#: Version 5 -> version 4, inside a layer.
RENAMED = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
GELU = {"gelu": "erf", "gelu_pytorch_tanh": "tanh", "gelu_new": "tanh"}


def recognise(source):
    """What the file and its config.json hold, or None if it is not of this layout.

    Raises InputError for other model types, and a config.json that is missing or broken.
    """
    arrays = _version_4(source)
    if PATCHES not in arrays:
        return None
    config = source.beside("config.json")
    if config is None:
        raise InputError(f"{source.file}: a Hugging Face checkpoint needs its config.json, put it into the same folder")
    family = _family(config, arrays)
    masked = "decoder.0.weight" in arrays
    rules = rules_of(family, "cls_classifier.weight" in arrays, masked)
    found = Found("huggingface", "masked" if masked else family, source.file, arrays, rules)
    found.fields = {**_sizes(config), **_output(found, config), "prefix": 2 if family == "deit" else 1}
    if masked:
        _check_stride(config, found.fields["patch"])
    _preprocess(found, family, source.beside("preprocessor_config.json") or Table("preprocessor_config.json", {}))
    return found


def _version_4(source):
    """{bare name of version 4: array}."""
    arrays = {}
    for name, array in source.arrays.items():
        bare = re.sub(r"^(vit|deit)\.", "", name)
        layer = re.match(r"layers\.(\d+)\.(\w+\.\w+|\w+)", bare)
        if layer:
            bare = f"encoder.layer.{layer[1]}.{RENAMED.get(layer[2], layer[2])}{bare[layer.end() :]}"
        if bare in arrays:
            raise InputError(f"{source.file.name}: {name!r} and {arrays[bare].name!r} mean the same, expected one")
        arrays[bare] = array
    return arrays


def _family(config, arrays):
    family = config.get("model_type", "deit" if "embeddings.distillation_token" in arrays else "vit")
    if family not in ("vit", "deit"):
        raise config.wrong(f"model_type {family!r}; this version reads plain ViT and DeiT")
    return family


def rules_of(family, distilled, masked=False):
    """The table of a model: "vit" or "deit", with a head for the distillation token or for hidden patches, or none."""
    if distilled:
        return WITH_TEACHER
    return (DEIT if family == "deit" else RULES) | (MASKED if masked else {})


def _check_stride(config, patch):
    """transformers itself wants the two to be equal when patches are hidden."""
    stride = config.whole("encoder_stride", 16)
    if stride != patch:
        raise config.wrong(f"encoder_stride is {stride}, expected {patch}, the size of a patch")


def _sizes(config):
    """The fields that config.json states; what it leaves out has the default of transformers' ViTConfig."""
    patch, other = config.pair("patch_size", 16)
    if patch != other:
        raise config.wrong(f"patch_size {patch}×{other}, expected square patches")
    activation = config.get("hidden_act", "gelu")
    if not isinstance(activation, str) or activation not in GELU:
        raise config.wrong(f"hidden_act {activation!r}, expected one of {', '.join(GELU)}")
    return {
        "patch": patch,
        "width": config.whole("hidden_size", 768),
        "blocks": config.whole("num_hidden_layers", 12),
        "heads": config.whole("num_attention_heads", 12),
        "mlp": config.whole("intermediate_size", 3072),
        "image": config.pair("image_size", 224),
        "channels": config.whole("num_channels", 3),
        "gelu": GELU[activation],
        "eps": config.fraction("layer_norm_eps", 1e-12),
        "qkv_bias": bool(config.get("qkv_bias", True)),
        "position_resize": "bicubic",
    }


def _output(found, config):
    """The fields of pooling and heads; sets the labels and drops a pooler that the classifier does not read."""
    arrays = found.arrays
    head = next((name for name in ("classifier.weight", "cls_classifier.weight") if name in arrays), None)
    fields = {"distilled_head": "cls_classifier.weight" in arrays}
    if head is None:
        return fields | {"classes": None, "representation": _pooler(found, config)}
    if [arrays.pop(name) for name in ("pooler.dense.weight", "pooler.dense.bias") if name in arrays]:
        found.warnings.append("the pooler is ignored: the classifier of Hugging Face reads the class token itself")
    found.labels = _labels(config)
    stated = len(found.labels) if found.labels else found.dims(head, 2)[0]
    return fields | {"classes": config.whole("num_labels", stated)}


def _pooler(found, config):
    if "pooler.dense.weight" not in found.arrays:
        return None
    if config.get("pooler_act", "tanh") != "tanh":
        raise config.wrong(f"pooler_act {config.get('pooler_act')!r}, expected 'tanh'")
    return found.dims("pooler.dense.weight", 2)[0]


def _labels(config):
    """id2label in the order of its ids."""
    names = config.table("id2label").values
    ids = [str(i) for i in range(len(names))]
    if set(ids) != set(names) or not all(isinstance(label, str) for label in names.values()):
        raise config.wrong(f"id2label does not name the classes 0 … {len(names) - 1}, expected {{id: name}}")
    return tuple(names[i] for i in ids) or None


def _preprocess(found, family, settings):
    try:
        found.fields["preprocess"] = preprocessors.huggingface(settings, family, found.fields["image"])
    except InputError as error:
        found.needed["preprocess"] = str(error)
