"""Every tensor of a trace as a small picture, in the order in which they are computed."""

import math
import re

import numpy as np

from . import panels
from .scene import colours
from .sheet import Section, sheet
from .shown import Shown

SIDE, GAP, ROW = 96, 12, 154  # pixels: a thumbnail, the space beside it, the height of a row with its words
COLUMNS = 14  # as many as a block has tensors


def trace_figure(trace):
    """A Plot: a row per block, and rows for what comes before and after; of a batch, the first image."""
    rows = arrange(list(trace))
    width, height = COLUMNS * (SIDE + GAP), len(rows) * ROW

    def draw(ax):
        ax.set(xlim=(0, width), ylim=(height, 0))
        for r, (head, names) in enumerate(rows):
            ax.text(0, r * ROW + 18, head, fontsize=8, weight="bold", color=panels.INK, va="bottom")
            for c, name in enumerate(names):
                left, top = c * (SIDE + GAP), r * ROW + 34
                tile = thumbnail(trace[name], trace.config if name == "image" else None)
                ax.imshow(tile, extent=(left, left + SIDE, top + SIDE, top), interpolation="nearest")
                short = re.sub(r"^block\d+\.", "", name)
                ax.text(left, top - 2, short, fontsize=5.5, va="bottom", color=panels.INK)
                shape = "×".join(map(str, trace[name].shape))
                ax.text(left, top + SIDE + 2, shape, fontsize=5, va="top", color=panels.INK)
        ax.set_axis_off()

    shown = Shown(
        "Every recorded tensor",
        "names: minivit/names",
        "A row of a tile is a token, a column a number; heads stand side by side, vectors are wrapped, large tensors"
        " are sampled. Each tile has its own colours: from 0, or around 0 if it has negative numbers, to the 99th"
        " percentile of |value|.",
        dict(trace),
    )
    name = trace.config.name if trace.config else "trace"
    return sheet(f"{name}: {len(trace)} tensors", [Section([draw], 1, "", height / width, labels=0.1)], shown)


def arrange(names):
    """[(heading, names)]: one row per block, what is before and after in rows of its own, at most COLUMNS in a row."""
    rows = []
    for name in names:
        head = re.match(r"block\d+|[^.]*", name)[0]
        head = head if head.startswith("block") else "after the blocks" if rows and "block" in rows[-1][0] else "before"
        if not rows or rows[-1][0].strip() != head or len(rows[-1][1]) == COLUMNS:
            rows.append((head, []))
        rows[-1][1].append(name)
    return rows


def thumbnail(x, config=None):
    """A tensor with a first axis of images -> the first one as colours, (at most SIDE, at most SIDE, 3).

    config: for preprocessed pixels, which are shown as the picture that they were.
    """
    x = x[0] if x.ndim > 1 else x
    if config:
        return _sample(colours(x, config))
    x = _sample(_flat(x.astype(np.float32)))
    from matplotlib import colormaps

    top = max(float(np.percentile(abs(x), 99)), np.finfo(np.float32).tiny)
    signed = x.min() < 0
    place = np.clip(x / top, -1, 1)
    return colormaps[panels.SIGNED](place / 2 + 0.5)[..., :3] if signed else colormaps[panels.QUANTITY](place)[..., :3]


def _flat(x):
    # any rank -> 2: vectors are wrapped, leading axes go side by side
    if x.ndim == 1:
        columns = math.ceil(math.sqrt(x.size))
        return np.pad(x, (0, -x.size % columns)).reshape(-1, columns)
    while x.ndim > 2:
        x = np.concatenate(list(x), axis=-1)
    return x


def _sample(x):
    # (h,w,...) -> at most SIDE × SIDE of its places, evenly spread
    rows, columns = (np.linspace(0, n - 1, min(n, SIDE)).round().astype(int) for n in x.shape[:2])
    return x[rows][:, columns]
