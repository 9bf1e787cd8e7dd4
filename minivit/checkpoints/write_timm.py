"""Models in the layout of timm: its state_dict names, and the config.json of its repositories on the hub.

Every size stands in `model_args`, which go before those of the architecture; so any sizes are welcome.
"""

import math

from ..config import SIZES
from . import timm
from .plan import Plan, before_crop, pillow_filter, refuse

LAYOUT = "timm"
TITLES = {"Ti": "tiny", "S": "small", "B": "base", "L": "large", "H": "huge"}
#: Patches of timm's architectures of 224 pixels, the usual one first
PATCHES = {"Ti": (16,), "S": (16, 32, 8), "B": (16, 32, 8), "L": (16, 32, 14), "H": (14,)}


def plan(config, labels):
    """The Plan of a model.  Raises InputError if timm's VisionTransformer cannot be built like that."""
    if config.family != "vit":
        raise refuse(config, LAYOUT, f"this version writes plain ViT and DeiT, not the {config.family} family")
    if config.representation:
        raise refuse(config, LAYOUT, "timm dropped the layer before the head (pre_logits)")
    if config.distilled_head != (config.prefix == 2):
        raise refuse(config, LAYOUT, "timm reads the distillation token with a head of its own")
    rules = timm.rules_of(config.prefix == 2, config.norm_after_pool)
    return Plan(rules, beside={"config.json": _config(config, labels)})


def _config(config, labels):
    pool = "avg" if config.pool == "gap" else "token"
    return {
        "architecture": _architecture(config),
        "num_classes": config.classes or 0,
        "num_features": config.width,
        "global_pool": pool,
        **({"label_names": list(labels)} if labels else {}),
        "model_args": _arguments(config, pool),
        "pretrained_cfg": _pretrained(config),
    }


def _architecture(config):
    """The published model of nearest sizes; its name tells timm which class to build."""
    size = next((title for title, (width, *_) in SIZES.items() if width >= config.width), "H")
    if config.prefix == 2 or config.name.startswith("DeiT"):
        title = TITLES[size if size in ("Ti", "S") else "B"]
        return f"deit_{title}_{'distilled_' if config.prefix == 2 else ''}patch16_224"
    patch = config.patch if config.patch in PATCHES[size] else PATCHES[size][0]
    return f"vit_{TITLES[size]}_patch{patch}_224"


def _arguments(config, pool):
    return {
        "img_size": list(config.image),
        "patch_size": config.patch,
        "in_chans": config.channels,
        "embed_dim": config.width,
        "depth": config.blocks,
        "num_heads": config.heads,
        "mlp_ratio": _ratio(config.mlp, config.width),
        "qkv_bias": config.qkv_bias,
        "act_layer": {gelu: name for name, gelu in timm.ACTIVATIONS.items()}[config.gelu],
        **({"class_token": config.prefix > 0, "global_pool": pool} if config.prefix < 2 else {}),
        **({"fc_norm": config.norm_after_pool} if config.norm_after_pool != (pool == "avg") else {}),
    }


def _ratio(mlp, width):
    ratio = mlp / width
    return ratio if int(width * ratio) == mlp else (mlp + 0.5) / width  # timm rounds down


def _pretrained(config):
    policy = config.preprocess
    return {
        "num_classes": config.classes or 0,
        "input_size": [config.channels, *config.image],
        "fixed_input_size": True,
        "interpolation": pillow_filter(policy),
        "crop_pct": policy.crop_fraction or _fraction(config.image, before_crop(config)),
        "crop_mode": "center" if policy.fit == "shorter" else "squash",
        "mean": list(policy.mean),
        "std": list(policy.std),
        "first_conv": "patch_embed.proj",
        "classifier": ["head", "head_dist"] if config.distilled_head else "head",
    }


def _fraction(image, resized):
    """The shortest decimal fraction f for which timm's floor(side / f) gives the resized sides."""
    for digits in range(1, 16):
        fraction = round(image[0] / resized[0], digits)
        if fraction and all(math.floor(side / fraction) == goal for side, goal in zip(image, resized, strict=True)):
            return fraction
    return image[0] / resized[0]
