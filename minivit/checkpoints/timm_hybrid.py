"""timm: the ResNet of its hybrids (vit_small_r26_s32_224 …), beside the tensors of timm.py; timm/models/resnetv2.py.

A hybrid without stages, vit_tiny_r_s16_p8_224, has its root right in the backbone, all others in `backbone.stem`.
"""

import re

from ..config import Stem
from .rules import convolution, same

BACKBONE = "patch_embed.backbone."
UNIT = f"{BACKBONE}stages.*.blocks.*"
#: Where timm differs from vit_jax in the arithmetic (StdConv2dSame, GroupNormAct)
DIFFERENT = {"norm_eps": 1e-5, "weight_eps": 1e-8, "weight_eps_on": "variance"}

#: our convolution and norm -> theirs, in a unit
IN_UNIT = {
    **{f"conv{i}": f"conv{i}" for i in (1, 2, 3)},
    **{f"norm{i}": f"norm{i}" for i in (1, 2, 3)},
    **{"proj": "downsample.conv", "proj_norm": "downsample.norm"},
}


def add_stem(found):
    """Complete what timm.py has found out about a file, if it is of a hybrid."""
    if not any(name.startswith(BACKBONE) for name in found.arrays):
        return
    root = f"{BACKBONE}stem" if f"{BACKBONE}stem.conv.weight" in found.arrays else BACKBONE.rstrip(".")
    width, channels, _, _ = found.dims(f"{root}.conv.weight", 4)
    units = {}
    for name in found.arrays:
        if match := re.match(re.escape(BACKBONE) + r"stages\.(\d+)\.blocks\.(\d+)\.", name):
            units.setdefault(int(match[1]), set()).add(int(match[2]))
    found.family, found.rules = "hybrid", found.rules | rules_of(root)
    stem = Stem(tuple(len(units[stage]) for stage in sorted(units)), width, **DIFFERENT)
    found.fields |= {"channels": channels, "stem": stem}


def rules_of(root):
    """The table of the ResNet whose first convolution is `<root>.conv`."""
    places = {"stem.conv": f"{root}.conv", "stem.norm": f"{root}.norm"}
    places |= {f"stem.stages.*.*.{ours}": f"{UNIT}.{theirs}" for ours, theirs in IN_UNIT.items()}
    rules = {}
    for ours, theirs in places.items():
        if "norm" in ours:
            rules |= {f"{ours}.scale": (f"{theirs}.weight", "=", same), f"{ours}.bias": (f"{theirs}.bias", "=", same)}
        else:
            rules[f"{ours}.w"] = (f"{theirs}.weight", "=T", convolution)
    return rules
