"""Figures that ask whether maps are true: patches are taken away as they say, and the model is made to forget."""

import numpy as np

from . import panels
from .explain import explain
from .faithful import deletion as delete
from .faithful import insertion as insert
from .faithful import randomisation as randomise
from .faithful import rank_correlation, untrained
from .plots_attention import OWN_SCALE
from .scene import Scene, silent
from .sheet import Section, across, height, overlays, sheet
from .shown import Shown

TITLES = {
    "attention": "attention, one layer",
    "rollout": "rollout",
    "norm-weighted": "norm-weighted attention",
    "gradient": "gradient × attention",
    "relevance": "relevance",
    "lens": "patch lens",
    "random": "random numbers",
}
BELOW = "deletion {deletion:.3f}, untrained {untrained:+.2f}"
CURVES, STEPS = ("attention", "relevance", "random"), 8  # maps and steps of `deletion`
COMPARED = 14  # steps of `compare`, which has all maps
CHECKED = ("attention", "relevance")  # maps whose randomisation is drawn


def compare(model, image, target=None, layer=None, size=None, progress=silent):
    """Seven maps of one picture side by side, each with its deletion score and what is left of it in a random model."""
    scene = Scene.of(model, image, size)
    target, layer = scene.target(target), scene.layer(layer)
    found, scores, lines = _scored(model, scene.pixels, target, layer, progress)
    drawn = {f"{name}\n{BELOW.format(**scores[name])}": found[name] for name in scores}
    said = f"{scene.label(target)}, {100 * scene.probability(target):.0f} %"
    tiles = [panels.picture(scene.rgb, said, scene.config.cell), *overlays(scene, drawn)]
    percent = np.linspace(0, 100, len(next(iter(lines.values())))).tolist()
    chart = panels.curves(percent, lines, "deletion", "patches replaced in %", "probability of the class", beside=True)
    heading = f"from the {scene.asker}, block{layer}; the lowest deletion score first"
    sections = [Section(tiles, 4, heading, height(scene), labels=0.72), Section([chart], 1, "", 0.36)]
    shown = Shown(
        "Seven maps compared",
        "deletion: RISE, arXiv:1806.07421; untrained: Adebayo et al., arXiv:1810.03292",
        "Deletion: area under the class's probability while patches are replaced by the mean colour, the map's largest"
        " first; the lower, the better. Untrained: rank correlation with the same map of a model with weights drawn"
        f" anew; what is near 1 does not show this model. {OWN_SCALE}{_signed(found)}",
        found,
        {**_settings(scene, layer, target), "scores": scores},
        "One picture proves nothing: the order differs from picture to picture.",
        scene.grid,
    )
    return sheet(f"{scene.name}: seven maps for {scene.label(target)}", sections, shown, "quantity")


def _settings(scene, layer, target):
    settings = {"from": f"the {scene.asker}", "layer": layer, "head": "mean of the heads"}
    return {**settings, "class": target, "label": scene.model.label(target)}


def _signed(found):
    signed = [name for name, values in found.items() if values.min() < 0]
    return f" Of the {signed[0]}, from minus the largest |value| (purple) to plus it (orange)." if signed else ""


def _scored(model, pixels, target, layer, progress):
    # {title: map (rows,columns)}, {title: scores}, {title: deletion curve}, the best first
    _, found = explain(model, pixels, target=target, layer=layer)
    _, forgot = explain(untrained(model), pixels, target=target, layer=layer)
    curves = {}
    for done, (name, values) in enumerate(found.items(), 1):
        curves[name] = delete(model, pixels, values[0], target, min(COMPARED, values[0].size))
        progress(done, len(found))
    order = sorted(curves, key=lambda name: curves[name].auc)
    same = {name: rank_correlation(found[name], forgot[name]) for name in order}
    scores = {TITLES[name]: {"deletion": curves[name].auc, "untrained": same[name]} for name in order}
    return (
        {TITLES[name]: found[name][0] for name in order},
        scores,
        {TITLES[name]: curves[name].scores for name in order},
    )


def deletion(model, image, layer=None, target=None, size=None, progress=silent):
    """How fast the class disappears when what a map points at is taken away, and returns when it is put back."""
    scene = Scene.of(model, image, size)
    target, layer = scene.target(target), scene.layer(layer)
    _, found = explain(model, scene.pixels, CURVES, target, layer)
    charts, areas, steps = [], {}, min(STEPS, scene.grid[0] * scene.grid[1])
    for what, run in (("deletion", delete), ("insertion", insert)):
        curves = {}
        for name, values in found.items():
            curves[name] = run(model, scene.pixels, values[0], target, steps)
            progress(len(areas) * len(found) + len(curves), 2 * len(found))
        areas[what] = {TITLES[name]: curve.auc for name, curve in curves.items()}
        lines = {f"{TITLES[name]}: area {curve.auc:.3f}": curve.scores for name, curve in curves.items()}
        percent = np.linspace(0, 100, steps + 1).tolist()
        charts.append(_chart(percent, lines, what))
    maps = {TITLES[name]: values[0] for name, values in found.items()}
    shown = Shown(
        "Deletion and insertion",
        "RISE, arXiv:1806.07421",
        "Deletion: patches are replaced by the mean colour, the map's largest first; a small area is good. Insertion:"
        f" they come back into a blurred picture; a large area is good. {OWN_SCALE}",
        maps,
        {**_settings(scene, layer, target), **areas},
        "A picture without patches is unlike those of the training, and one picture proves nothing.",
        scene.grid,
    )
    sections = [Section(charts, 2, "", 0.6), across(scene, maps, "the maps", lead=True)]
    return sheet(f"{scene.name}: are the maps true for {scene.label(target)}?", sections, shown, "quantity")


def _chart(percent, lines, what):
    def draw(ax):
        panels.curves(percent, lines, what, "patches in %", "probability of the class")(ax)
        ax.set_ylim(0, 1.4 * max(map(max, lines.values())))  # room for the names of the lines

    return draw


def randomisation(model, image, layer=None, target=None, size=None, progress=silent):
    """How much of a map stays when the weights are drawn anew, from the head down to the first block."""
    scene = Scene.of(model, image, size)
    target, layer = scene.target(target), scene.layer(layer)
    lines, before, after = {}, {}, {}
    for done, name in enumerate(CHECKED):
        title, blocks = TITLES[name], model.config.blocks

        def view(changed, name=name):
            return explain(changed, scene.pixels, (name,), target, layer)[1][name][0]

        steps = randomise(model, view, progress=lambda i, n, done=done: progress(done * n + i, len(CHECKED) * n))
        lines[title] = [1.0, *(rho for _, rho in steps)]
        before[title], after[f"{title}, all drawn anew"] = view(model), view(untrained(model))
    parts = ["none", "head", *(f"block{i}" for i in reversed(range(blocks)))]
    shown = Shown(
        "Weight randomisation",
        "Adebayo et al., arXiv:1810.03292",
        "Spearman's rank correlation with the map of the model as it is: 1 is the same order of patches, 0 none of it."
        f" {OWN_SCALE}",
        {**before, **after},
        {**_settings(scene, layer, target), "steps": parts, "correlation": lines},
        "A map that stays although the model knows nothing any more shows the picture, not the model.",
        scene.grid,
    )
    charts = Section([_staircase(parts, lines)], 1, "", 0.36)
    sections = [charts, across(scene, {**before, **after}, "the maps before and after")]
    return sheet(f"{scene.name}: does the map depend on the weights?", sections, shown, "quantity")


def _staircase(parts, lines):
    def draw(ax):
        said = "weights drawn anew from the head down to here"
        panels.curves(list(range(len(parts))), lines, "", said, "rank correlation")(ax)
        ax.set_xticks(range(len(parts)), parts, rotation=45)
        ax.axhline(0, color=panels.FAINT, linewidth=1)

    return draw
