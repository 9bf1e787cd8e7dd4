"""Figures of the heads: all at a glance, and merged into one map."""

import numpy as np

from . import maps, mosaic, panels
from .plots_attention import CAUTION, NOT_RESCALED, OWN_SCALE, PAPER
from .scene import Scene
from .sheet import Section, across, height_of, sheet
from .shown import Shown

MERGED = (
    "Max and min are taken patch by patch and do not sum to what attention gave; entropy is the mean with less weight"
    " for heads that look everywhere."
)


def heads(model, image, patch=None, size=None):
    """Every head of every layer at a glance, as a table of small maps."""
    scene = Scene.of(model, image, size)
    patch = scene.patch(patch)
    who = scene.describe(patch)
    tiles = np.stack([scene.row(A, patch) for A in scene.per_block()], 1)  # (H,L,rows,columns)
    tops = tiles.max((-2, -1), keepdims=True)
    panel = mosaic.grid(tiles / tops, "", f"largest weight of a map: {panels.spread(tops)}", "head", "layer")
    maps_ = {f"layer {i}, head {h}": tiles[h, i] for i in range(tiles.shape[1]) for h in range(tiles.shape[0])}
    scale = f"{NOT_RESCALED} Each map has its own colours, from 0 to its largest weight."
    settings = {"from": who, "layer": "every layer", "head": "each head"}
    shown = Shown("Attention", PAPER, scale, maps_, settings, CAUTION, scene.grid)
    title = f"{scene.name}: attention from {who} to the patches, every head of every layer"
    return sheet(title, [Section([panel], 1, "", height_of(tiles))], shown, "plain")


def merge(model, image, layer=None, patch=None, size=None):
    """The heads of one layer merged in four ways, and the fewest patches that hold 60 % of each."""
    scene = Scene.of(model, image, size)
    layer, patch = scene.layer(layer), scene.patch(patch)
    rows = scene.row(scene.per_block()[layer], patch)
    merged = {how: maps.merge_heads(rows, how) for how in maps.MERGES}
    masks = {how: maps.mass_mask(values) for how, values in merged.items()}
    masks = {f"{how}: {mask.sum()} patches": mask.astype(float) for how, mask in masks.items()}
    sections = [
        across(scene, merged, f"block{layer}.attn.probs, heads merged", patch),
        across(scene, masks, "the fewest patches that hold 60 % of the map above", patch),
    ]
    scale = f"{NOT_RESCALED} {MERGED} {OWN_SCALE}"
    who = scene.describe(patch)
    shown = Shown(
        "Merged heads",
        "masks: DINO, arXiv:2104.14294, fig. 4",
        scale,
        {**merged, **masks},
        {"from": who, "layer": layer, "head": "heads merged"},
        CAUTION,
        scene.grid,
    )
    return sheet(f"{scene.name}: heads of layer {layer} merged, from {who}", sections, shown, "quantity")
