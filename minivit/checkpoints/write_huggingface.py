"""Models in the layout of Hugging Face transformers: version 4's names, which every version reads and writes."""

from . import huggingface
from .plan import Plan, before_crop, pillow_filter, refuse
from .preprocessors import FILTERS

LAYOUT = "hf"
ACTIVATIONS = {"erf": "gelu", "tanh": "gelu_pytorch_tanh"}
NUMBERS = {name: number for number, name in FILTERS.items()}


def plan(config, labels):
    """The Plan of a model.  Raises InputError if transformers has no class for it."""
    if config.family not in ("vit", "masked"):
        raise refuse(config, LAYOUT, f"transformers has no model of the {config.family} family")
    if not config.prefix:
        raise refuse(config, LAYOUT, "transformers' ViT always has a class token")
    if config.distilled_head and config.prefix != 2:
        raise refuse(config, LAYOUT, "transformers' second head reads a distillation token")
    if config.representation and config.classes:
        raise refuse(config, LAYOUT, "transformers' classifier reads the class token itself, not a layer on top of it")
    family = "deit" if config.prefix == 2 else "vit"
    kind = _kind(config)
    bare = kind == "Model"
    notes = ("transformers adds a random pooler: load it with add_pooling_layer=False",)
    return Plan(
        huggingface.rules_of(family, config.distilled_head, config.family == "masked"),
        published=lambda name: name if bare or name.startswith(huggingface.HEADS) else f"{family}.{name}",
        beside={
            "config.json": _config(config, family, kind, labels),
            "preprocessor_config.json": _preprocessor(config.preprocess, config.image, before_crop(config)),
        },
        notes=notes if bare and not config.representation else (),
    )


def _kind(config):
    if config.family == "masked":
        return "ForMaskedImageModeling"
    if config.distilled_head:
        return "ForImageClassificationWithTeacher"
    return "ForImageClassification" if config.classes else "Model"


def _config(config, family, kind, labels):
    known = {str(i): label for i, label in enumerate(labels or ())}
    classes = {"id2label": known, "label2id": {label: int(i) for i, label in known.items()}}
    return {
        "architectures": [{"vit": "ViT", "deit": "DeiT"}[family] + kind],
        "model_type": family,
        "hidden_size": config.width,
        "num_hidden_layers": config.blocks,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp,
        "hidden_act": ACTIVATIONS[config.gelu],
        "layer_norm_eps": config.eps,
        "image_size": config.image[0] if config.image[0] == config.image[1] else list(config.image),
        "patch_size": config.patch,
        "num_channels": config.channels,
        "qkv_bias": config.qkv_bias,
        "encoder_stride": config.patch,
        **({"pooler_output_size": config.representation, "pooler_act": "tanh"} if config.representation else {}),
        **(classes if labels else {"num_labels": config.classes} if config.classes else {}),
    }


def _preprocessor(policy, image, resized):
    """The settings and the image processor that resizes, crops and normalises like the policy."""
    height, width = image
    if policy.fit == "shorter":
        processor, size = "CLIPImageProcessor", {"shortest_edge": max(resized)}
    else:
        processor = "ViTImageProcessor" if resized == image else "DeiTImageProcessor"
        size = {"height": resized[0], "width": resized[1]}
    crop = {"crop_size": {"height": height, "width": width}} if processor != "ViTImageProcessor" else {}
    return {
        "image_processor_type": processor,
        "do_resize": True,
        "size": size,
        "resample": NUMBERS[pillow_filter(policy)],
        "do_center_crop": bool(crop),
        **crop,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(policy.mean),
        "image_std": list(policy.std),
    }
