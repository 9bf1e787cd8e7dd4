"""Models in the layout of google-research/vision_transformer, with the names that its published files carry."""

import re

from . import vit_jax, vit_jax_hybrid, vit_jax_lit, vit_jax_mixer
from .plan import Plan, refuse

#: Published files number the modules of a block over all classes, the table per class (vit_jax.py)
PUBLISHED = {
    "LayerNorm_1": "LayerNorm_2",
    "MultiHeadDotProductAttention_0": "MultiHeadDotProductAttention_1",
    "MlpBlock_0": "MlpBlock_3",
}
IN_BLOCK = re.compile(rf"(?<=^Transformer/encoderblock_)(\d+)/({'|'.join(PUBLISHED)})(?=/)")
GROUP_NORM = re.compile(r"(^|/)gn(\d|_root|_proj)/")

RULES = {"vit": vit_jax.RULES, "hybrid": vit_jax.RULES | vit_jax_hybrid.RULES, "mixer": vit_jax_mixer.RULES}


def plan(config, labels):
    """The Plan of a model.  The layout has no room for labels: they go into a file of their own.

    Raises InputError if vit_jax has no model like that.
    """
    rules = vit_jax_lit.RULES[config.txt.kind] if config.family == "lit" else RULES.get(config.family)
    if rules is None:
        raise refuse(config, "npz", f"vit_jax has no {config.family} family")
    tower = config.img if config.family == "lit" else config
    if tower.family != "mixer":
        _check(config, tower)
    if tower.grid[0] != tower.grid[1]:
        raise refuse(config, "npz", "its grid of {}×{} patches is not square, vit_jax's always is".format(*tower.grid))
    return Plan(rules, published, shaped, {"labels.json": list(labels)} if labels else {})


def _check(config, tower):
    if tower.prefix > 1 or tower.distilled_head:
        raise refuse(config, "npz", "vit_jax has one class token or none, and no distillation token")
    if not tower.qkv_bias:
        raise refuse(config, "npz", "vit_jax's queries, keys and values always have a bias")


def published(name):
    """The published name of an array: "…encoderblock_0/LayerNorm_1/bias" -> "…encoderblock_0/LayerNorm_2/bias"."""
    return IN_BLOCK.sub(lambda match: f"{match[1]}/{PUBLISHED[match[2]]}", name)


def shaped(name, array):
    """The parameters of a GroupNorm are stored as (1,1,1,C)."""
    return array.reshape(1, 1, 1, -1) if GROUP_NORM.search(name) else array
