"""Figures of one class: what speaks for it, when the model comes to it, and which part writes it."""

import numpy as np

from . import attribution as parts
from . import flow, maps, panels
from . import lens as lenses
from .explain import class_gradients
from .faithful import knock_out
from .plots_attention import OWN_SCALE
from .scene import Scene, silent
from .sheet import Section, across, sheet
from .shown import Shown

CLASSES = 3  # how many classes relevance is drawn for
LISTED = 12  # bars of an attribution


def relevance(model, image, layer=None, patch=None, target=None, size=None, progress=silent):
    """Attention weighted by the gradient of a class and added up through the blocks: what speaks for that class."""
    scene = Scene.of(model, image, size)
    layer, patch, target = scene.layer(layer), scene.patch(patch), scene.target(target)
    chosen = [target, *(int(i) for i in np.argsort(-scene.logits(), kind="stable") if i != target)][:CLASSES]
    found = []
    for index in chosen:
        found.append(_relevance_steps(scene, index, layer, patch))
        progress(len(found), len(chosen))
    said = [f"{scene.label(index)}, {100 * scene.probability(index):.0f} %" for index in chosen]
    by_class = {title: steps[-1] for title, steps in zip(said, found, strict=True)}
    by_block = {f"after block{i}": values for i, values in enumerate(found[0])}
    who, name = scene.describe(patch), scene.label(target)
    sections = [
        across(scene, by_class, "R ← R + Ā R with Ā = mean over heads of (∇A ⊙ A)⁺", patch, lead=True),
        across(scene, by_block, f"for {name}, block by block", patch),
    ]
    shown = Shown(
        "Gradient-weighted relevance",
        "Chefer et al., arXiv:2103.15679, eq. 5 and 6",
        f"R − I: what every token is to itself is left out. Gradients of the logit; not rescaled. {OWN_SCALE}",
        {**by_class, **by_block},
        {"from": who, "layer": layer, "head": "mean of the heads", "class": target, "label": model.label(target)},
        "It shows what raises the logit if looked at more; MLPs and what speaks against the class are left out.",
        scene.grid,
    )
    return sheet(f"{scene.name}: relevance for {name}, from {who}", sections, shown, "quantity")


def _relevance_steps(scene, target, layer, patch):
    # -> L × (rows,columns)
    _, trace, gradients = class_gradients(scene.model, scene.pixels, target)
    steps = flow.relevance_steps(maps.per_block(trace)[: layer + 1], maps.per_block(gradients)[: layer + 1])
    return [scene.row(R - np.eye(R.shape[-1]), patch) for R in steps]


def lens(model, image, target=None, size=None):
    """The head applied after every block: which class the model leans to at each depth, and at which patches."""
    scene = Scene.of(model, image, size)
    target = scene.target(target)
    streams = lenses.streams(scene.trace(lenses.KEEP))
    logits = np.stack([lenses.logit_lens(model, x)[0] for x in streams]).astype(np.float64)  # (L+1,C)
    lines = _followed(scene, logits, target)
    says = [scene.label(int(row.argmax())).split(" (")[0] for row in logits]
    at_patches = [lenses.patch_lens(model, x, scene.grid)[0, ..., target] for x in streams]
    names = ["embedding", *(f"block{i}" for i in range(len(streams) - 1))]
    by_block = {f"{name}\n“{panels.short(said, 18)}”": m for name, said, m in zip(names, says, at_patches, strict=True)}
    blocks, ylabel = list(range(len(streams))), "probability in %"
    chart = panels.curves(blocks, lines, f"what the {scene.asker} says", "blocks passed", ylabel, beside=True)
    sections = [
        Section([panels.picture(scene.rgb, "the image"), chart], 2, "", 0.5),
        across(scene, by_block, f"what each patch says: its logit of {scene.label(target)}", colours="signed"),
    ]
    shown = Shown(
        "Logit lens and patch lens",
        "nostalgebraist 2020; Vilas et al., arXiv:2310.18969",
        "Final LayerNorm and head applied to the stream of each block; logits as they are. Colour runs from minus the"
        f" largest to plus the largest |value| of each map. In quotes: the class that the {scene.asker} says there.",
        {**by_block, **{f"% {label}": values for label, values in lines.items()}},
        {"layer": "every layer", "class": target, "label": model.label(target)},
        "The head was trained on the last block alone: an early answer is a reading, not what the model thinks.",
        scene.grid,
    )
    return sheet(f"{scene.name}: logit lens for {scene.label(target)}", sections, shown, "signed")


def _followed(scene, logits, target):
    # logits (L+1,C) -> {label: probability in % (L+1,)} of the class and of the most probable ones
    chances = np.exp(logits - logits.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    followed = list(dict.fromkeys([target, *(int(i) for i in np.argsort(-logits[-1])[:5])]))[:5]
    return {scene.label(i): 100 * chances[:, i] for i in followed}


def attribution(model, image, target=None, size=None):
    """The logit of a class as an exact sum over embedding, heads, MLPs and biases."""
    scene = Scene.of(model, image, size)
    target, config = scene.target(target), scene.config
    found = parts.attribute(model, scene.trace(parts.KEEP))
    values = found.values[0, :, target]
    by_name = dict(zip(found.names, values.tolist(), strict=True))
    heads = found.heads(config)[0, ..., target].T  # (H,L)
    mlps = np.array([by_name[f"block{i}.mlp"] for i in range(config.blocks)])
    kinds, total, logit = _kinds(by_name), float(values.sum()), float(scene.logits()[target])
    largest = sorted(by_name, key=lambda name: -abs(by_name[name]))[:LISTED]
    said = f"the sum of all {len(values)} parts: {total:.5g}; the logit: {logit:.5g}"
    charts = [
        panels.bars(list(kinds), list(kinds.values()), said, "contribution to the logit"),
        panels.bars(largest, [by_name[name] for name in largest], "the largest parts", "contribution to the logit"),
    ]
    names = [*(f"head {h}" for h in range(config.heads)), "MLP"]
    table = panels.matrix(np.vstack([heads, mlps]), "heads and MLPs", "layer", rows=names)
    sections = [Section(charts, 2, "", 0.62), Section([table], 1, "", 0.08 + 0.035 * config.heads)]
    settings = {"layer": "every layer", "head": "each head", "class": target, "label": model.label(target)}
    shown = Shown(
        "Direct logit attribution",
        "Elhage et al. 2021; Gandelsman et al., arXiv:2310.05916",
        "In units of the logit; the final LayerNorm's divisor is frozen at the value it had. Colour runs from minus the"
        " largest to plus the largest |value| of the table.",
        {"heads (head, layer)": heads, "MLPs (layer)": mlps, "all parts": values},
        {**settings, "logit": logit, "sum": total, "parts": by_name},
        "Direct: what a part does by way of later blocks counts as theirs; what it gives all classes changes nothing.",
    )
    return sheet(f"{scene.name}: where the logit of {scene.label(target)} comes from", sections, shown, "plain signed")


def knockout(model, image, target=None, size=None, progress=silent):
    """How the logit of a class changes when one head is silenced, for every head."""
    scene = Scene.of(model, image, size)
    target = scene.target(target)
    change = knock_out(model, scene.pixels, target, progress=progress)[0].T  # (H,L)
    order = np.argsort(-abs(change), axis=None, kind="stable")[:LISTED]
    places = [np.unravel_index(i, change.shape) for i in order]
    named = [f"block{i}.head{h}" for h, i in places]
    largest = panels.bars(named, [change[at] for at in places], "the largest changes", "Δ logit")
    table = panels.matrix(change, "every head", "layer", "head")
    sections = [
        Section([table], 1, "", 0.06 + 0.05 * scene.config.heads),
        Section([panels.picture(scene.rgb, "the image"), largest], 2, "", 0.5),
    ]
    logit = float(scene.logits()[target])
    shown = Shown(
        "Head knock-out",
        "Michel et al., arXiv:1905.10650",
        f"Logit with the head's output set to zero, minus the logit of the whole model ({logit:.4g}). Colour runs from"
        " minus the largest to plus the largest |value|; below 0: the head helped the class.",
        {"change (head, layer)": change},
        {"layer": "every layer", "head": "each head", "class": target, "label": model.label(target), "logit": logit},
        "One head at a time: heads that stand in for one another look idle, each by itself.",
    )
    title = f"{scene.name}: the logit of {scene.label(target)} without one head"
    return sheet(title, sections, shown, "plain signed")


def _kinds(by_name):
    # {part: value} -> {kind of part: sum}
    sums = {"embedding": 0.0, "heads": 0.0, "attention biases": 0.0, "MLPs": 0.0, "LayerNorm and head biases": 0.0}
    for name, value in by_name.items():
        kind = (
            "embedding" if name == "embed" else "heads" if ".head" in name
            else "attention biases" if name.endswith("attn.bias") else "MLPs" if name.endswith(".mlp")
            else "LayerNorm and head biases"
        )  # fmt: skip
        sums[kind] += value
    return sums
