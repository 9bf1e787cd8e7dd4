"""Figures of attention: layer by layer and head by head, weighted by what is said, and through all blocks."""

from .. import names
from ..errors import InputError
from . import flow, maps, statistics
from .attribution import dense
from .scene import Scene
from .sheet import across, sheet
from .shown import Shown

OWN_SCALE = "Colour runs from 0 to the largest value of each map; the range of its values stands below it."
NOT_RESCALED = (
    "Rows of softmax(q kᵀ / √D_h), not rescaled: what a map lacks to a sum of 1 went to tokens before the patches."
)
CAUTION = "A large weight does not mean that the patch mattered for the answer: see `minivit compare-maps`."
PAPER = "arXiv:2010.11929, eq. 6"
KEEP = "image, block*.attn.probs"


def attention(model, image, layer=None, head=None, patch=None, size=None):
    """Where the image's feature (or a patch) looks: each head of one layer, then block by block."""
    scene = Scene.of(model, image, size)
    return _attention(scene, scene.layer(layer), scene.head(head), scene.patch(patch))


def attention_figure(trace, block=None, name=None):
    """`attention` from a trace of one image with "image" and "block*.attn.probs".

    block: the one shown head by head (default: the last); name: what to call the model.  Raises InputError if the trace
    lacks one of these tensors, or does not know its model.
    """
    if trace.config is None:
        raise InputError("the trace does not say of which model it is: Trace.load(path, config=model.config)")
    for tensor in names.expand(KEEP, trace.config):
        if tensor not in trace:
            raise InputError(f"{tensor} was not recorded: trace again with keep={KEEP!r}, or keep='*' for every tensor")
    scene = Scene(trace.config, trace["image"], kept=trace, name=name)
    return _attention(scene, scene.layer(block))


def _attention(scene, layer, head=None, patch=None):
    probs, who = scene.per_block(), scene.describe(patch)
    rows = scene.row(probs[layer], patch)
    by_head = {f"head {h}": rows[h] for h in (range(len(rows)) if head is None else [head])}
    if head is not None:
        by_head["the fewest patches that hold 60 %"] = maps.mass_mask(rows[head]).astype(float)
    merged = "mean of the heads" if head is None else f"head {head}"
    by_block = [scene.row(A, patch).mean(0) if head is None else scene.row(A, patch)[head] for A in probs]
    by_block = {f"block{i}": values for i, values in enumerate(by_block)}
    parts = [(by_head, f"block{layer}.attn.probs, " + ("head by head" if head is None else merged))]
    if patch:
        columns = maps.key_map(probs[layer][0], scene.token(patch), scene.config.prefix, scene.grid)
        to_it = {f"to it, head {h}": columns[h] for h in range(len(columns)) if head in (None, h)}
        parts.append((to_it, f"who looks at it: columns of block{layer}.attn.probs"))
    parts.append((by_block, f"block*.attn.probs, {merged}"))
    sections = [across(scene, values, text, patch, lead=i == 0) for i, (values, text) in enumerate(parts)]
    settings = {"from": who, "layer": layer, "head": "each head" if head is None else head}
    drawn = {title: values for values, _ in parts for title, values in values.items()}
    shown = Shown("Attention", PAPER, f"{NOT_RESCALED} {OWN_SCALE}", drawn, settings, CAUTION, scene.grid)
    return sheet(f"{scene.name}: attention from {who} to the patches", sections, shown, "quantity")


def norm(model, image, layer=None, patch=None, size=None):
    """Attention weighted by the length of the vector that it brings, head by head, beside plain attention."""
    scene = Scene.of(model, image, size)
    layer, patch = scene.layer(layer), scene.patch(patch)
    probs, v = scene.per_block()[layer], scene.per_block("attn.v")[layer]
    w_out = dense(model.params["blocks"][layer]["attn"]["out"]["w"])
    weighted = scene.row(statistics.norm_weighted(probs, v, w_out), patch)
    plain = scene.row(probs, patch)
    by_norm = {"‖A v W‖, mean": weighted.mean(0), **{f"‖A v W‖, head {h}": m for h, m in enumerate(weighted)}}
    by_weight = {"A, mean": plain.mean(0), **{f"A, head {h}": m for h, m in enumerate(plain)}}
    sections = [
        across(scene, by_norm, f"block{layer}: length of the vector that each patch adds", patch),
        across(scene, by_weight, f"for comparison: block{layer}.attn.probs", patch),
    ]
    shown = Shown(
        "Norm-weighted attention",
        "Kobayashi et al., arXiv:2004.10102",
        f"‖A_ij v_j W_O‖, not rescaled: the weight times the length of what the patch says. {OWN_SCALE}",
        {**by_norm, **by_weight},
        {"from": scene.describe(patch), "layer": layer, "head": "mean of the heads and each head"},
        "Long is not yet relevant: vectors of several patches may cancel.",
        scene.grid,
    )
    return sheet(f"{scene.name}: norm-weighted attention from {scene.describe(patch)}", sections, shown, "quantity")


def rollout(model, image, layer=None, patch=None, size=None):
    """Attention multiplied through the blocks, residual stream included: where a token's content came from."""
    scene = Scene.of(model, image, size)
    layer, patch = scene.layer(layer), scene.patch(patch)
    steps = [scene.row(R, patch) for R in flow.rollout_steps(scene.per_block()[: layer + 1])]
    by_block = {f"after block{i}": values for i, values in enumerate(steps)}
    who, last = scene.describe(patch), f"after block{layer}"
    alone = scene.row(scene.per_block()[layer], patch).mean(0)
    first = {last: by_block[last], f"for comparison: attention of block{layer} alone": alone}
    equation = f"R = Â_{layer} ⋯ Â_0 with Â = (mean over heads of A + I) / row sums"
    sections = [
        across(scene, first, equation, patch, True, "range"),
        across(scene, by_block, "the product block by block", patch, colours="range"),
    ]
    shown = Shown(
        "Attention rollout",
        "Abnar & Zuidema, arXiv:2005.00928, eq. 1",
        "Rows of R sum to 1, tokens before the patches included. Colour runs from the smallest to the largest value of"
        " each map; they stand below it.",
        {**by_block, **first},
        {"from": who, "layer": layer, "head": "mean of the heads"},
        "It knows no class, and leaves out values and MLPs.",
        scene.grid,
    )
    return sheet(f"{scene.name}: attention rollout from {who}", sections, shown, "range")
