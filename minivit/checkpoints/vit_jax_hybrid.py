"""google-research/vision_transformer: the ResNet in front of a hybrid, beside the tensors of vit_jax.py.

Their stages and units count from one: block1/unit1 is our stage 0, unit 0.
"""

import re

from ..config import Stem
from .rules import same

ROOT = "conv_root/kernel"
UNIT = "block+/unit+"

#   ours                                theirs                          their shape: ours
RULES = {
    "stem.conv.w": (ROOT, "=", same),
    "stem.norm.scale": ("gn_root/scale", "=", same),
    "stem.norm.bias": ("gn_root/bias", "=", same),
}
for _ours, _theirs in {"conv1": "conv1", "conv2": "conv2", "conv3": "conv3", "proj": "conv_proj"}.items():
    RULES[f"stem.stages.*.*.{_ours}.w"] = (f"{UNIT}/{_theirs}/kernel", "=", same)
for _ours, _theirs in {"norm1": "gn1", "norm2": "gn2", "norm3": "gn3", "proj_norm": "gn_proj"}.items():
    RULES[f"stem.stages.*.*.{_ours}.scale"] = (f"{UNIT}/{_theirs}/scale", "=", same)
    RULES[f"stem.stages.*.*.{_ours}.bias"] = (f"{UNIT}/{_theirs}/bias", "=", same)


def add_stem(found):
    """Complete what vit_jax.py has found out about a file: the channels of its patches are those of the ResNet."""
    _, _, channels, width = found.dims(ROOT, 4)
    units = {}
    for name in found.arrays:
        if match := re.match(r"block(\d+)/unit(\d+)/", name):
            units.setdefault(int(match[1]), set()).add(int(match[2]))
    stem = Stem(tuple(len(units[stage]) for stage in sorted(units)), width)
    found.family, found.rules = "hybrid", found.rules | RULES
    found.fields |= {"channels": channels, "stem": stem}
