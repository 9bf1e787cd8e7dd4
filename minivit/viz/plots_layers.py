"""Figures of how layers differ: how far and how broadly heads look, where attention drains to, which layers agree."""

import numpy as np

from . import panels, statistics
from .scene import Scene
from .sheet import Section, across, sheet
from .shown import Shown
from .similarity import cka_table


def distance(model, image, size=None):
    """How far each head looks, in pixels, by depth."""
    scene = Scene.of(model, image, size)
    config, probs = scene.config, scene.per_block()
    found = np.stack([statistics.distance(A, config.prefix, scene.grid, config.cell)[0] for A in probs], 1)  # (H,L)
    everywhere = np.full_like(probs[0][:, :1], 1 / probs[0].shape[-1])
    alike = float(statistics.distance(everywhere, config.prefix, scene.grid, config.cell)[0, 0])
    table = panels.matrix(found, "the same in numbers", "layer", "head", "{:.0f}")
    sections = [Section([_dots(found, alike)], 1, "", 0.45), Section([table], 1, "", 0.05 + 0.03 * config.heads)]
    height, width = scene.pixels.shape[1:3]
    shown = Shown(
        "Mean attention distance",
        "ViT, arXiv:2010.11929, fig. 7 right",
        "Mean over all patches of the distance to what they look at, weighted by attention; what goes to tokens before"
        f" the patches has none. The picture has {width}×{height} pixels. Colour runs from 0 to the largest value.",
        {"pixels (head, layer)": found},
        {"layer": "every layer", "head": "each head", "looking everywhere alike": alike},
        "One picture: the paper averages over many.",
    )
    return sheet(f"{scene.name}: how far heads look", sections, shown, "plain")


def _dots(found, alike):
    # found (H,L): a panel
    def draw(ax):
        blocks, dashed = range(found.shape[1]), {"color": panels.FAINT, "linestyle": "--", "linewidth": 1.2}
        for by_head in found:
            ax.scatter(blocks, by_head, color=panels.LINES[0], s=26, alpha=0.75, linewidths=0)
        ax.plot(blocks, found.mean(0), color=panels.LINES[1], linewidth=1.6, label="mean of the heads")
        ax.axhline(alike, label=f"looking everywhere alike: {alike:.0f}", **dashed)
        panels.finish_chart(ax, "a dot per head", "layer", "mean attention distance in pixels", legend=True)
        ax.set(ylim=(0, None), xticks=panels.every(len(blocks)))

    return draw


def entropy(model, image, layer=None, size=None):
    """How broadly heads look, how much attention drains to the tokens before the patches, and which tokens are long."""
    scene = Scene.of(model, image, size)
    config, layer, probs = scene.config, scene.layer(layer), scene.per_block()
    broad = np.stack([statistics.entropy(A)[0].mean(-1) for A in probs], 1)  # (H,L)
    tokens = probs[0].shape[-1]
    tables = {"entropy of attention in nats, mean of the tokens (head, layer)": broad}
    if config.prefix:
        drains = np.stack([statistics.sink_mass(A, np.arange(tokens) < config.prefix)[0] for A in probs], 1)
        tables["share of all attention that goes to the tokens before the patches (head, layer)"] = drains
    places, long = _places(scene, layer)
    share = 0.05 + 0.03 * config.heads
    sections = [Section([panels.matrix(m, title, "layer", "head")], 1, "", share) for title, m in tables.items()]
    sections.append(across(scene, places, f"the patches after block{layer}", lead=True))
    shown = Shown(
        "Entropy, sinks and long tokens",
        "entropy −Σ A log A; sinks arXiv:2309.17453; long tokens Darcet et al., arXiv:2309.16588",
        f"Entropy runs from 0 (looks at one token) to log N = {np.log(tokens):.3g} (at all {tokens} alike)."
        " Colour runs from 0 to the largest value of each table or map.",
        {**tables, **places},
        {"layer": layer, "head": "each head", "long tokens": long},
        "Long tokens tend to hold facts about the whole image instead of their place: maps that point there mislead.",
        scene.grid,
    )
    return sheet(f"{scene.name}: how broadly heads look, and where attention drains to", sections, shown, "plain")


def _places(scene, layer):
    # {title: (rows,columns)} of the patches after a block, and how many of them are long
    prefix, stream = scene.config.prefix, scene.per_block("resid_post")[layer]
    high = statistics.high_norm(stream, prefix)[0]
    found = {
        "length of the tokens": statistics.norms(stream)[0],
        "attention received, mean of the heads": statistics.received(scene.per_block()[layer])[0].mean(0),
        f"over 3 × the median length: {high.sum()}": high.astype(float),
    }
    return {title: values[prefix:].reshape(scene.grid) for title, values in found.items()}, int(high.sum())


def cka(model, image, size=None):
    """How alike the layers' tokens are, every layer with every other."""
    scene = Scene.of(model, image, size)
    streams = [scene.trace("embed.out")["embed.out"], *scene.per_block("resid_post")]
    table = cka_table([x[0] for x in streams])
    chart = panels.matrix(table, "0: embedding; l: after l blocks", "blocks passed", "blocks passed", "{:.2f}")
    sections = [Section([chart], 1, "", 0.72)]
    shown = Shown(
        "Linear CKA",
        "Kornblith et al., arXiv:1905.00414; Raghu et al., arXiv:2108.08810, fig. 1",
        f"Examples are the {len(streams[0][0])} tokens of this picture; 1: the same up to rotation and scale."
        " Colour runs from 0 to 1.",
        {"CKA (layer, layer)": table},
        {"layer": "every layer"},
        "One picture has few and similar tokens, which makes layers look more alike than many pictures would.",
    )
    return sheet(f"{scene.name}: which layers hold the same", sections, shown, "plain")
