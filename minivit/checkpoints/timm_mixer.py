"""timm's MLP-Mixer, with the names of its state_dict; the hub's files have timm's config.json beside them."""

from dataclasses import replace

from ..config import TIMM
from . import timm
from .found import Found
from .json_table import Table
from .rules import convolution, linear, same

STEM = "stem.proj.weight"

#   ours                    theirs                                        their shape       turn
RULES = {
    "embed.w": (STEM, "D channels P P", convolution),
    "embed.b": ("stem.proj.bias", "D", same),
    "blocks.*.ln1.scale": ("blocks.*.norm1.weight", "D", same),
    "blocks.*.ln1.bias": ("blocks.*.norm1.bias", "D", same),
    "blocks.*.token_mlp.fc1.w": ("blocks.*.mlp_tokens.fc1.weight", "S N", linear),
    "blocks.*.token_mlp.fc1.b": ("blocks.*.mlp_tokens.fc1.bias", "S", same),
    "blocks.*.token_mlp.fc2.w": ("blocks.*.mlp_tokens.fc2.weight", "N S", linear),
    "blocks.*.token_mlp.fc2.b": ("blocks.*.mlp_tokens.fc2.bias", "N", same),
    "blocks.*.ln2.scale": ("blocks.*.norm2.weight", "D", same),
    "blocks.*.ln2.bias": ("blocks.*.norm2.bias", "D", same),
    "blocks.*.mlp.fc1.w": ("blocks.*.mlp_channels.fc1.weight", "M D", linear),
    "blocks.*.mlp.fc1.b": ("blocks.*.mlp_channels.fc1.bias", "M", same),
    "blocks.*.mlp.fc2.w": ("blocks.*.mlp_channels.fc2.weight", "D M", linear),
    "blocks.*.mlp.fc2.b": ("blocks.*.mlp_channels.fc2.bias", "D", same),
    "norm.scale": ("norm.weight", "D", same),
    "norm.bias": ("norm.bias", "D", same),
    "head.w": ("head.weight", "C D", linear),
    "head.b": ("head.bias", "C", same),
}

#: timm's default_cfg of its Mixers
USUAL = replace(TIMM, crop_fraction=0.875)


def recognise(source):
    """What the file (and a config.json beside it) holds, or None if it is no Mixer of timm's."""
    arrays = source.arrays
    if STEM not in arrays or "blocks.0.mlp_tokens.fc1.weight" not in arrays:
        return None
    found = Found("timm", "mixer", source.file, arrays, RULES)
    config = source.beside("config.json") or Table("config.json", {})
    pretrained = config.table("pretrained_cfg")
    width, channels, patch, _ = found.dims(STEM, 4)
    token_mlp, tokens = found.dims("blocks.0.mlp_tokens.fc1.weight", 2)
    found.fields = {
        "patch": patch,
        "channels": channels,
        "width": width,
        "blocks": found.count_blocks("blocks."),
        "token_mlp": token_mlp,
        "mlp": found.dims("blocks.0.mlp_channels.fc1.weight", 2)[0],
        "classes": found.dims("head.weight", 2)[0] if "head.weight" in arrays else None,
        "gelu": timm.gelu_of(config.table("model_args")),
    }
    found.image_of(tokens, "its MLP across tokens is for")
    timm.image_of(found, pretrained)
    timm.find_preprocess(found, pretrained, USUAL, "the way of timm's Mixers")
    found.labels = timm.labels_of(found, config if "label_names" in config.values else pretrained)
    return found
