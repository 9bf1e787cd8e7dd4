"""The tensors of a hybrid's ResNet in golden cases -> minivit's names.  Official stages and units count from one."""

import re

ROOT = {"conv_root": "stem.conv", "gn_root": "stem.norm"}
#: In a unit, where the names differ
IN_UNIT = {"conv_proj": "proj", "gn_proj": "proj_norm", "gn1": "norm1", "gn2": "norm2", "gn3": "norm3"}


def ours(stem, config):
    """minivit's name of a golden tensor, or None if it is none of the ResNet's."""
    if (inside := stem.removeprefix("resnet/")) in ROOT:
        return ROOT[inside]
    if match := re.fullmatch(r"block(\d+)/unit(\d+)(?:/(\w+))?", inside):
        stage, unit, tensor = int(match[1]) - 1, int(match[2]) - 1, match[3] or "out"
        return f"stem.stage{stage}.unit{unit}.{IN_UNIT.get(tensor, tensor)}"
    if match := re.fullmatch(r"resnet/block(\d+)/out", stem):  # of the stage: what its last unit gives
        stage = int(match[1]) - 1
        return f"stem.stage{stage}.unit{config.stem.units[stage] - 1}.out"
    return None
