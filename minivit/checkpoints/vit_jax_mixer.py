"""google-research/vision_transformer: the MLP-Mixer.  Published and later files have the same names."""

from ..config import GOOGLE
from .found import Found
from .rules import same

BLOCK = "MixerBlock_*"
STEM = "stem/kernel"

#   ours                    theirs                                        their shape       turn
RULES = {
    "embed.w": (STEM, "P P channels D", same),
    "embed.b": ("stem/bias", "D", same),
    "blocks.*.ln1.scale": (f"{BLOCK}/LayerNorm_0/scale", "D", same),
    "blocks.*.ln1.bias": (f"{BLOCK}/LayerNorm_0/bias", "D", same),
    "blocks.*.token_mlp.fc1.w": (f"{BLOCK}/token_mixing/Dense_0/kernel", "N S", same),
    "blocks.*.token_mlp.fc1.b": (f"{BLOCK}/token_mixing/Dense_0/bias", "S", same),
    "blocks.*.token_mlp.fc2.w": (f"{BLOCK}/token_mixing/Dense_1/kernel", "S N", same),
    "blocks.*.token_mlp.fc2.b": (f"{BLOCK}/token_mixing/Dense_1/bias", "N", same),
    "blocks.*.ln2.scale": (f"{BLOCK}/LayerNorm_1/scale", "D", same),
    "blocks.*.ln2.bias": (f"{BLOCK}/LayerNorm_1/bias", "D", same),
    "blocks.*.mlp.fc1.w": (f"{BLOCK}/channel_mixing/Dense_0/kernel", "D M", same),
    "blocks.*.mlp.fc1.b": (f"{BLOCK}/channel_mixing/Dense_0/bias", "M", same),
    "blocks.*.mlp.fc2.w": (f"{BLOCK}/channel_mixing/Dense_1/kernel", "M D", same),
    "blocks.*.mlp.fc2.b": (f"{BLOCK}/channel_mixing/Dense_1/bias", "D", same),
    "norm.scale": ("pre_head_layer_norm/scale", "D", same),
    "norm.bias": ("pre_head_layer_norm/bias", "D", same),
    "head.w": ("head/kernel", "D C", same),
    "head.b": ("head/bias", "C", same),
}


def recognise(file, arrays):
    """What a file with the tensors of a Mixer holds."""
    found = Found("vit_jax npz", "mixer", file, arrays, RULES)
    patch, _, channels, width = found.dims(STEM, 4)
    tokens, token_mlp = found.dims(RULES["blocks.*.token_mlp.fc1.w"][0].replace("*", "0"), 2)
    found.fields = {
        "patch": patch,
        "channels": channels,
        "width": width,
        "blocks": found.count_blocks("MixerBlock_"),
        "token_mlp": token_mlp,
        "mlp": found.dims(RULES["blocks.*.mlp.fc1.w"][0].replace("*", "0"), 2)[1],
        "classes": found.dims("head/kernel", 2)[1] if "head/kernel" in arrays else None,
        "preprocess": GOOGLE,
    }
    found.image_of(tokens, "its MLP across tokens is for")
    return found
