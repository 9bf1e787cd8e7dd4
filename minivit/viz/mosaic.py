"""Many small maps as one picture, for grids that are too large for a panel each."""

import numpy as np

from . import panels


def mosaic(tiles, gap=1):
    """Tiles (R,C,h,w) or (R,C,h,w,3) side by side: (R·(h+gap)−gap, C·(w+gap)−gap, …), NaN between them."""
    R, C, h, w = tiles.shape[:4]
    out = np.full((R, h + gap, C, w + gap, *tiles.shape[4:]), np.nan)
    out[:, :h, :, :w] = tiles.transpose(0, 2, 1, 3, *range(4, tiles.ndim))
    return out.reshape(R * (h + gap), C * (w + gap), *tiles.shape[4:])[:-gap, :-gap]


def grid(tiles, title="", below="", rows="", columns="", gap=1, signed=False):
    """A panel of tiles.  Scalars: colours as in `panels.matrix`; colours (…,3) as they are.

    rows, columns: what a row and a column of tiles is called, such as "head"; they are numbered then.
    signed: colours from minus the largest to plus the largest, even if no number is negative.
    """

    def draw(ax):
        whole = mosaic(tiles, gap)
        scalar = tiles.ndim == 4
        top = max(abs(tiles).max(), np.finfo(np.float32).tiny)
        both = signed or tiles.min() < 0
        colours = {"cmap": panels.SIGNED, "vmin": -top} if both else {"cmap": panels.QUANTITY, "vmin": 0}
        picture = whole if scalar else np.nan_to_num(whole, nan=1.0)
        ax.imshow(picture, interpolation="nearest", **({**colours, "vmax": top} if scalar else {}))
        panels.finish(ax, title, below)
        for axis, name, count, side in (
            (ax.yaxis, rows, *tiles.shape[0:3:2]),
            (ax.xaxis, columns, *tiles.shape[1:4:2]),
        ):
            if name:
                shown = panels.every(count)
                axis.set_ticks([i * (side + gap) + (side - 1) / 2 for i in shown], list(shown), fontsize=8)
                axis.set_label_text("\n".join(filter(None, (name, below if axis is ax.xaxis else ""))), fontsize=8)
        ax.tick_params(length=0, labelcolor=panels.INK)
        ax.spines[:].set_visible(False)

    return draw
