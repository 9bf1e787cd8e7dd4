"""Models in the layout of timm: its state_dict names, and the config.json of its repositories on the hub.

Every size stands in `model_args`, which go before those of the architecture; so any sizes are welcome.  Only the stages
of a hybrid, and the patch, width and number of blocks of a Mixer, are part of the architecture.
"""

import math

from ..config import SIZES, Stem
from . import timm, timm_hybrid, timm_mixer
from .plan import Plan, before_crop, pillow_filter, refuse

LAYOUT = "timm"
TITLES = {"Ti": "tiny", "S": "small", "B": "base", "L": "large", "H": "huge"}
#: Patches of timm's architectures of 224 pixels, the usual one first
PATCHES = {"Ti": (16,), "S": (16, 32, 8), "B": (16, 32, 8), "L": (16, 32, 14), "H": (14,)}

#: units of the ResNet's stages -> timm's hybrid
ARCHITECTURES = {
    (): "vit_tiny_r_s16_p8_224",
    (2, 2, 2, 2): "vit_small_r26_s32_224",
    (3, 4, 9): "vit_base_r50_s16_224",
    (3, 4, 6, 3): "vit_large_r50_s32_224",
}
#: (patch, width, blocks) -> timm's Mixer, in which they are fixed
MIXERS = {
    (patch, width, blocks): f"mixer_{size}{patch}_224"
    for size, width, blocks in (("s", 512, 8), ("b", 768, 12), ("l", 1024, 24))
    for patch in (16, 32)
}


def plan(config, labels):
    """The Plan of a model.  Raises InputError if timm's models cannot be built like that."""
    if config.family == "mixer":
        return _mixer(config, labels)
    if config.family not in ("vit", "hybrid"):
        raise refuse(config, LAYOUT, f"timm has no model of the {config.family} family")
    if config.representation:
        raise refuse(config, LAYOUT, "timm dropped the layer before the head (pre_logits)")
    if config.distilled_head != (config.prefix == 2):
        raise refuse(config, LAYOUT, "timm reads the distillation token with a head of its own")
    rules = timm.rules_of(config.prefix == 2, config.norm_after_pool)
    pool = "avg" if config.pool == "gap" else "token"
    architecture, arguments, first = _architecture(config), _arguments(config, pool), "patch_embed.proj"
    if config.family == "hybrid":
        architecture, root = _hybrid(config)
        rules, first = rules | timm_hybrid.rules_of(root), f"{root}.conv"
    return Plan(rules, beside={"config.json": _config(config, labels, architecture, arguments, pool, first)})


def _hybrid(config):
    """(architecture, name of the ResNet's root): its stages are part of the architecture, and no argument."""
    architecture = ARCHITECTURES.get(config.stem.units)
    if architecture is None or config.stem.width != Stem().width:
        raise refuse(config, LAYOUT, f"timm has no hybrid with the stages {config.stem.units} of that width")
    return architecture, f"{timm_hybrid.BACKBONE}stem" if config.stem.units else timm_hybrid.BACKBONE.rstrip(".")


def _mixer(config, labels):
    if any(side % config.patch for side in config.image):
        raise refuse(config, LAYOUT, f"timm does not pad images of {config.image[0]}×{config.image[1]} pixels")
    architecture = MIXERS.get((config.patch, config.width, config.blocks))
    if architecture is None:
        raise refuse(config, LAYOUT, "timm's Mixers have the published patches, widths and numbers of blocks only")
    arguments = {
        "img_size": list(config.image),
        "in_chans": config.channels,
        "mlp_ratio": [_ratio(config.token_mlp, config.width), _ratio(config.mlp, config.width)],
    }  # and no act_layer: here timm does not take its name
    told = _config(config, labels, architecture, arguments, "avg", "stem.proj")
    return Plan(timm_mixer.RULES, beside={"config.json": told})


def _config(config, labels, architecture, arguments, pool, first):
    return {
        "architecture": architecture,
        "num_classes": config.classes or 0,
        "num_features": config.width,
        "global_pool": pool,
        **({"label_names": list(labels)} if labels else {}),
        "model_args": arguments,
        "pretrained_cfg": _pretrained(config, first),
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


def _pretrained(config, first):
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
        "first_conv": first,
        "classifier": ["head", "head_dist"] if getattr(config, "distilled_head", False) else "head",
    }


def _fraction(image, resized):
    """The shortest decimal fraction f for which timm's floor(side / f) gives the resized sides."""
    for digits in range(1, 16):
        fraction = round(image[0] / resized[0], digits)
        if fraction and all(math.floor(side / fraction) == goal for side, goal in zip(image, resized, strict=True)):
            return fraction
    return image[0] / resized[0]
