"""Panels with axes: lines, bars, histograms and tables."""

import numpy as np

from .style import FAINT, INK, LINES, QUANTITY, SIGNED, spread


def curves(x, lines, title="", xlabel="", ylabel="", beside=False):
    """Lines over the same x; `lines` is {label: y}; `beside`: their names stand to the right of the chart."""

    def draw(ax):
        for (name, y), colour in zip(lines.items(), LINES, strict=False):
            ax.plot(x, y, label=name, color=colour, linewidth=1.6, marker="o" if len(x) <= 40 else "", markersize=3)
        ax.xaxis.get_major_locator().set_params(integer=isinstance(x[0], (int, np.integer)))
        finish_chart(ax, title, xlabel, ylabel, len(lines) > 1, beside)

    return draw


def histogram(values, title="", xlabel="", bins=60):
    """How often values of any shape occur."""

    def draw(ax):
        ax.hist(values.ravel(), bins=bins, color=LINES[0])
        finish_chart(ax, title, xlabel, "how many")

    return draw


def bars(labels, values, title="", xlabel="", fmt="%.3g"):
    """Horizontal bars, the first on top, each with its value; those below 0 in the second colour."""

    def draw(ax):
        colours = [LINES[0] if value >= 0 else LINES[1] for value in values]
        drawn = ax.barh(range(len(values)), values, color=colours)
        ax.bar_label(drawn, fmt=fmt, fontsize=8, padding=2, color=INK)
        ax.margins(x=0.15)
        ax.set_yticks(range(len(values)), labels)
        ax.invert_yaxis()
        finish_chart(ax, title, xlabel, "")

    return draw


def matrix(values, title="", xlabel="", ylabel="", fmt="{:.2g}", rows=None):
    """A table (rows,columns) as colours, around 0 if some are negative, with its numbers, or else its range.

    rows: names of the rows, instead of numbers.
    """

    def draw(ax):
        highest = max(abs(values).max(), np.finfo(np.float32).tiny)
        colours = {"cmap": SIGNED, "vmin": -highest} if values.min() < 0 else {"cmap": QUANTITY, "vmin": 0}
        image = ax.imshow(values, vmax=highest, aspect="auto", interpolation="nearest", **colours)
        written = max(values.shape) <= 16
        for (r, c), value in np.ndenumerate(values) if written else ():
            pale = image.cmap(image.norm(value))[:3] @ np.array([0.3, 0.59, 0.11]) > 0.5
            ax.text(c, r, fmt.format(value), ha="center", va="center", fontsize=7, color=INK if pale else "white")
        finish_chart(ax, title, xlabel if written else "\n".join(filter(None, (xlabel, spread(values)))), ylabel)
        ax.set(xticks=every(values.shape[1]), yticks=every(values.shape[0]))
        if rows:
            ax.set_yticks(range(len(rows)), rows)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)

    return draw


def every(count, most=16):
    """Which of `count` places get a number on an axis."""
    return range(0, count, -(-count // most))


def finish_chart(ax, title, xlabel, ylabel, legend=False, beside=False):
    """Title, axes and legend of a chart."""
    ax.set_title(title, fontsize=9, color=INK)
    ax.set_xlabel(xlabel, fontsize=8, color=INK)
    ax.set_ylabel(ylabel, fontsize=8, color=INK)
    ax.tick_params(labelsize=8, color=FAINT, labelcolor=INK)
    ax.spines[:].set_color(FAINT)
    ax.spines[["top", "right"]].set_visible(False)
    if legend:
        where = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if beside else {}
        ax.legend(fontsize=8, frameon=False, **where)
