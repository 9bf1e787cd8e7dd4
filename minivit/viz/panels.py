"""Figures from panels: a panel is a function that draws on one pair of axes, and `row` puts panels side by side.

    row(picture(rgb, patch=16), heat(tokens, "tokens"))      # shows itself in a notebook; .save("x.png") writes a file

Figures are made without pyplot, so that neither its backend nor its global state matters.  One style for all:
viridis from 0 for quantities, purple to orange around 0 for signed numbers, both safe for colour-blind readers.
"""

import io

import numpy as np

from ..files import replacing

WIDTH = 10  # inches
QUANTITY, SIGNED = "viridis", "PuOr_r"
INK, FAINT, MARK = "#222222", "#bbbbbb", "#d62728"
LINES = ("#31688e", "#e66101", "#5e3c99")


class Plot:
    """A finished figure: `figure` is matplotlib's; notebooks show it, `save(path)` writes it as PNG."""

    def __init__(self, figure):
        self.figure = figure

    def save(self, path):
        """Write a PNG file.  Raises InputError if the place cannot be written."""
        with replacing(path) as temporary:
            temporary.write_bytes(self._repr_png_())

    def _repr_png_(self):
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
        return file.getvalue()


def new_figure(height):
    """An empty matplotlib figure, `height` inches high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return figure


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
        _finish(ax, title, mark=mark, patch=patch)

    return draw


def overlay(rgb, values, title="", mark=None):
    """A map (rows,columns) over its picture (h,w,3) of 0 to 1: clear grey at 0, opaque yellow at the map's maximum."""

    def draw(ax):
        height, width, _ = rgb.shape
        ax.imshow(rgb.mean(-1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        shade(ax, values, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        _finish(ax, title, spread(values), mark, height // len(values))

    return draw


def shade(ax, values, **where):
    """Colours from 0 to the maximum of `values` (rows,columns), the more opaque the larger."""
    top = max(values.max(), np.finfo(np.float32).tiny)
    alpha = 0.1 + 0.85 * values / top
    ax.imshow(values, cmap=QUANTITY, vmin=0, vmax=top, alpha=alpha, interpolation="nearest", **where)


def heat(values, title="", xlabel="", ylabel="", square=False):
    """A matrix as colours: around 0 if it has negative numbers, otherwise from 0.  `square`: its cells are squares."""

    def draw(ax):
        top = abs(values).max()
        colours = {"cmap": SIGNED, "vmin": -top} if values.min() < 0 else {"cmap": QUANTITY, "vmin": 0}
        ax.imshow(values, vmax=top, aspect="equal" if square else "auto", interpolation="nearest", **colours)
        _finish(ax, title, "\n".join(filter(None, (xlabel, spread(values)))))
        ax.set_ylabel(ylabel, fontsize=8, color=INK)

    return draw


def curves(x, lines, title="", xlabel="", ylabel=""):
    """Lines over the same x; `lines` is {label: y}."""

    def draw(ax):
        for (name, y), colour in zip(lines.items(), LINES, strict=False):
            ax.plot(x, y, label=name, color=colour, linewidth=1.6, marker="o" if len(x) <= 40 else "", markersize=3)
        ax.xaxis.get_major_locator().set_params(integer=isinstance(x[0], (int, np.integer)))
        _finish_chart(ax, title, xlabel, ylabel, legend=len(lines) > 1)

    return draw


def histogram(values, title="", xlabel="", bins=60):
    """How often values of any shape occur."""

    def draw(ax):
        ax.hist(values.ravel(), bins=bins, color=LINES[0])
        _finish_chart(ax, title, xlabel, "how many")

    return draw


def bars(labels, values, title="", xlabel=""):
    """Horizontal bars, the first on top, each with its value."""

    def draw(ax):
        drawn = ax.barh(range(len(values)), values, color=LINES[0])
        ax.bar_label(drawn, fmt="%.3g", fontsize=8, padding=2, color=INK)
        ax.set_yticks(range(len(values)), labels)
        ax.invert_yaxis()
        _finish_chart(ax, title, xlabel, "")

    return draw


def spread(values):
    """The range of values, for a label: "-2.1 … 3.4"."""
    return f"{values.min():.2g} … {values.max():.2g}"


def _finish(ax, title, below="", mark=None, patch=None):
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


def _finish_chart(ax, title, xlabel, ylabel, legend=False):
    ax.set_title(title, fontsize=9, color=INK)
    ax.set_xlabel(xlabel, fontsize=8, color=INK)
    ax.set_ylabel(ylabel, fontsize=8, color=INK)
    ax.tick_params(labelsize=8, color=FAINT)
    ax.spines[:].set_color(FAINT)
    ax.spines[["top", "right"]].set_visible(False)
    if legend:
        ax.legend(fontsize=8, frameon=False)
