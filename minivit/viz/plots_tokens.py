"""Figures of vectors compared with vectors: patch filters, positions, tokens."""

import numpy as np

from . import mosaic, panels
from . import similarity as similar
from .attribution import dense
from .scene import Scene
from .sheet import Section, across, columns_of, height, height_of, overlays, sheet
from .shown import Shown

FILTERS = 28


def filters(model, image=None, size=None):
    """The main directions of the filters that turn patches into tokens, as small pictures; needs no image.

    Of a hybrid they are those of its first convolution, which read the pixels.
    """
    first = model.params["stem"]["conv"] if "stem" in model.params else model.params["embed"]
    w = dense(first["w"])
    found, shares = similar.patch_filters(w, FILTERS)
    columns = min(14, len(found))
    tiles = np.full((-(-len(found) // columns) * columns, *found.shape[1:]), np.nan)
    tiles[: len(found)] = _visible(found)
    tiles = tiles.reshape(-1, columns, *tiles.shape[1:])
    picture = mosaic.grid(tiles, f"the first {len(found)} components, row by row", gap=2)
    bars = panels.curves(
        list(range(1, len(shares) + 1)), {"": 100 * shares}, "their share of the variance", "component", "%"
    )
    shown = Shown(
        "Principal components of the patch filters",
        "ViT, arXiv:2010.11929, fig. 7 left",
        "{3} filters of {0}×{1}×{2} weights, their mean taken away.".format(*w.shape)
        + " Each component is scaled by its own largest weight; grey is 0; its sign is arbitrary.",
        {"share of the variance": shares},
        {"components": len(found), "explained": float(shares.sum())},
    )
    sections = [Section([picture], 1, "", height_of(tiles)), Section([bars], 1, "", 0.25)]
    return sheet(f"{model.config.name}: patch filters", sections, shown)


def _visible(found):
    # components (n,P,P,c) around 0 -> colours (n,P,P,3) around grey
    found = found if found.shape[-1] == 3 else found.mean(-1, keepdims=True).repeat(3, -1)
    return 0.5 + 0.5 * found / np.maximum(abs(found).max((1, 2, 3), keepdims=True), np.finfo(np.float32).tiny)


def positions(model, image, patch=None, size=None):
    """How alike the position vectors are: each patch's with every other's."""
    scene = Scene.of(model, image, size)
    row, column = scene.patch(patch) or (scene.grid[0] // 2, scene.grid[1] // 2)
    used = similar.position_similarity(scene.trace("embed.position")["embed.position"], scene.config.prefix, scene.grid)
    tables = {"as used for this image": used}
    if scene.grid != scene.config.grid:
        trained = model.params["embed"]["position"]
        tables = {"as trained": similar.position_similarity(trained, scene.config.prefix, scene.config.grid), **tables}
    one = {scene.describe((row, column)): used[row, column]}
    title = "the position vector of the framed patch with all others"
    sections = [
        Section([_whole(scene, (row, column)), *overlays(scene, one, (row, column), "signed")], 3, title, height(scene))
    ]
    for title, table in tables.items():
        title = f"{title}, {table.shape[0]}×{table.shape[1]} patches"
        panel = mosaic.grid(table, title, panels.spread(table), "row of the patch", "column", signed=True)
        sections.append(Section([panel], 1, "", height_of(table)))
    shown = Shown(
        "Similarity of position vectors",
        "ViT, arXiv:2010.11929, fig. 7 middle",
        "Cosine of E_pos of one patch (which tile) with that of every patch (place in the tile), from −1 to 1."
        " Colour runs from minus the largest to plus the largest |value|.",
        {**one, **tables},
        {"from": scene.describe((row, column)), "resized": scene.grid != scene.config.grid},
        "",
        scene.grid,
    )
    return sheet(f"{scene.name}: how alike positions are", sections, shown, "plain signed")


def pca(model, image, layer=None, size=None):
    """The three main directions of the patch tokens as red, green and blue: equal colours, similar tokens."""
    scene = Scene.of(model, image, size)
    layer = scene.layer(layer)
    found = {
        i: similar.token_pca(x, scene.config.prefix, scene.grid)[0] for i, x in enumerate(scene.per_block("resid_post"))
    }
    large = [_whole(scene), panels.picture(found[layer], f"after block{layer}")]
    small = [panels.picture(m, f"block{i}") for i, m in found.items()]
    title = "every block, each with directions of its own"
    sections = [Section(large, 3, "", height(scene)), Section(small, columns_of(len(small)), title, height(scene))]
    shown = Shown(
        "Main directions of the tokens",
        "Amir et al., arXiv:2112.05814; DINOv2, arXiv:2304.07193, fig. 1",
        "block*.resid_post: first, second and third principal component of the patches as red, green and blue, each"
        " from its smallest to its largest value.",
        {f"block{i}": m for i, m in found.items()},
        {"layer": layer},
        "Colours of different blocks are unrelated: signs and order of the directions are arbitrary.",
    )
    return sheet(f"{scene.name}: tokens as colours", sections, shown)


def similarity(model, image, layer=None, patch=None, size=None):
    """The cosine of one patch's token with every other's, block by block."""
    scene = Scene.of(model, image, size)
    layer, (row, column) = scene.layer(layer), scene.patch(patch) or (scene.grid[0] // 2, scene.grid[1] // 2)
    streams = [scene.trace("embed.out")["embed.out"], *scene.per_block("resid_post")]
    query = scene.token((row, column))
    found = [similar.cosine_map(x, query, scene.config.prefix, scene.grid)[0] for x in streams]
    by_block = dict(zip(["embedding", *(f"block{i}" for i in range(len(found) - 1))], found, strict=True))
    large = overlays(scene, {f"after block{layer}": found[layer + 1]}, (row, column), "signed")
    sections = [
        Section([_whole(scene, (row, column)), *large], 3, "", height(scene)),
        across(scene, by_block, "block by block", (row, column), colours="signed"),
    ]
    who = scene.describe((row, column))
    shown = Shown(
        "Cosine of tokens",
        "Amir et al., arXiv:2112.05814",
        "Cosine of block*.resid_post of the framed patch with every patch, from −1 to 1; the framed one has 1."
        " Colour runs from minus the largest to plus the largest |value| of each map.",
        by_block,
        {"layer": layer, "from": who},
        "Tokens of one block can share a large common part: then all cosines are high.",
        scene.grid,
    )
    return sheet(f"{scene.name}: tokens like that of {who}", sections, shown, "signed")


def _whole(scene, mark=None):
    return panels.picture(scene.rgb, "the image", scene.config.cell if mark else None, mark)
