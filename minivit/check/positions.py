"""Golden position-table resizes."""

import numpy as np

from .. import tiers
from ..errors import InputError, nearest
from ..files import read_arrays
from .verdict import Verdict, judge

#: how the case's `function` begins -> our modes (minivit/ops/positions): the program's, and the mathematics behind it
MODES = {
    "ViTEmbeddings.interpolate_pos_encoding": ("bicubic", "bicubic"),
    "timm.layers.resample_abs_pos_embed": ("bicubic_antialias_float32", "bicubic_antialias"),
    "vit_jax.checkpoint.interpolate_posembed": ("corner_bilinear", "corner_bilinear"),
}


def check(case, tier, dtype, against):
    expected = read_arrays(case["folder"] / "tensors.npz")
    noise = case["float32_vs_float64_error_of_the_reference"]
    function = case["function"].split("(")[0]
    if function not in MODES:
        raise InputError(f"{case['folder']}: no position resize like {function!r}{nearest(function, MODES)}")
    ops = tiers.load(tier, dtype)
    verdicts = []
    for step in case["cases"]:
        table = expected[f"{step['name']}/in"].astype(ops.activations)
        prefix = int(step.get("num_prefix_tokens", step.get("has_class_token", 0)))
        verdicts.append(Verdict(f"{step['name']}/in", True, 0.0, None, 0.0, "the input itself"))
        for suffix, mode in zip(("", "__f64"), MODES[function], strict=True):
            resized = ops.resize_positions(table, _pair(step["old_grid"]), _pair(step["new_grid"]), prefix, mode)
            name = f"{step['name']}/out"
            floor = noise[name]["max_abs"]
            verdicts.append(judge(name + suffix, resized, expected[name + suffix], floor, tier, ops.activations))
    return verdicts


def _pair(grid):
    return tuple(np.broadcast_to(grid, 2).tolist())
