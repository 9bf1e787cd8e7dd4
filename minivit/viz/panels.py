"""Figures from panels: a panel is a function that draws on one pair of axes, and `row` puts panels side by side.

    row(picture(rgb, patch=16), heat(tokens, "tokens"))      # shows itself in a notebook; .save("x.png") writes a file

Pictures and maps are here, charts in charts.py, colours and the Plot itself in style.py; all are names of this module.
"""

import numpy as np

from .charts import bars, curves, every, finish_chart, histogram, matrix  # noqa: F401
from .style import FAINT, INK, LINES, MARK, QUANTITY, SIGNED, WIDTH, Plot, new_figure, short, spread  # noqa: F401


def row(*panels, height=2.8, widths=None):
    """A Plot with panels side by side; `widths` are relative."""
    figure = new_figure(height)
    axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0]
    for ax, panel in zip(axes, panels, strict=True):
        panel(ax)
    return Plot(figure)


def picture(rgb, title="", patch=None, mark=None):
    """A picture (h,w,3), with its grid of patches of `patch` pixels; `mark` (row, column) frames one of them."""

    def draw(ax):
        ax.imshow(rgb, interpolation="nearest")
        if patch:
            height, width, _ = rgb.shape
            ax.vlines(np.arange(patch, width, patch) - 0.5, -0.5, height - 0.5, color="white", linewidth=0.6)
            ax.hlines(np.arange(patch, height, patch) - 0.5, -0.5, width - 0.5, color="white", linewidth=0.6)
        finish(ax, title, mark=mark, patch=patch)

    return draw


def overlay(rgb, values, title="", mark=None, colours="", below=""):
    """A map (rows,columns) over its picture (h,w,3) of 0 to 1, the more opaque the further along its `colours`.

    below: a line under it, after the range of its values.  Other arguments: see `picture` and `shade`.
    """

    def draw(ax):
        height, width, _ = rgb.shape
        ax.imshow(rgb.mean(-1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        shade(ax, values, colours, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        finish(ax, title, "\n".join(filter(None, (spread(values), below))), mark, height // len(values))

    return draw


def shade(ax, values, colours="", **where):
    """Colours of `values` (rows,columns): from 0 to the largest, or around 0 if some are negative.

    colours: "range" to begin at the smallest value instead of 0, "signed" to have 0 in the middle in any case.
    """
    top = max(abs(values).max(), np.finfo(np.float32).tiny)
    low = values.min() if colours == "range" else 0
    share = abs(values - low) / max((values - low).max(), top * 1e-6)
    if colours == "signed" or (not colours and values.min() < 0):
        share, style = abs(values) / top, {"cmap": SIGNED, "vmin": -top, "vmax": top}
    else:
        style = {"cmap": QUANTITY, "vmin": low, "vmax": low + max((values - low).max(), top * 1e-6)}
    ax.imshow(values, alpha=0.1 + 0.85 * share, interpolation="nearest", **style, **where)


def heat(values, title="", xlabel="", ylabel="", square=False):
    """A matrix as colours: around 0 if it has negative numbers, otherwise from 0.  `square`: its cells are squares."""

    def draw(ax):
        top = abs(values).max()
        colours = {"cmap": SIGNED, "vmin": -top} if values.min() < 0 else {"cmap": QUANTITY, "vmin": 0}
        ax.imshow(values, vmax=top, aspect="equal" if square else "auto", interpolation="nearest", **colours)
        finish(ax, title, "\n".join(filter(None, (xlabel, spread(values)))))
        ax.set_ylabel(ylabel, fontsize=8, color=INK)

    return draw


def finish(ax, title, below="", mark=None, patch=None):
    """Title and a line below of a picture, without ticks; `mark` (row, column) frames a patch."""
    if mark:
        _frame(ax, mark, patch)
    ax.set_title(title, fontsize=9, color=INK)
    ax.set_xlabel(below, fontsize=8, color=INK)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color(FAINT)


def _frame(ax, mark, patch):
    from matplotlib.patches import Rectangle

    corner = mark[1] * patch - 0.5, mark[0] * patch - 0.5
    for colour, width in (("white", 4), (MARK, 2)):
        ax.add_patch(Rectangle(corner, patch, patch, fill=False, edgecolor=colour, linewidth=width))
