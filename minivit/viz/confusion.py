"""The confusion matrix as a figure."""

import math

import numpy as np

from . import panels

CELL = 0.22  # inches that a class needs so that its name and its counts can be read
SMALLEST, LARGEST = 5, 30  # inches; beyond, only every so many-th class is named and counts are left out


def confusion_figure(confusion, labels, title=""):
    """Which class (row) got which answer (column), in counts; colour is the share of the row.

    confusion: counts (C,C); labels: (C,) names.  Only classes that have pictures are drawn; answers outside of them
    share a last column, "others".  Where nothing was counted the figure is white.
    """
    from matplotlib.colors import PowerNorm

    counts, rows, columns = present(confusion, labels)
    side = float(np.clip(CELL * len(columns), SMALLEST, LARGEST))
    figure = panels.new_figure(side + 1.5)
    figure.set_figwidth(side + 3)
    ax = figure.subplots()
    shares = counts / counts.sum(1, keepdims=True)
    # the square root of the share, so that a confusion of 2 % can be seen beside an accuracy of 90 %
    style = {"cmap": panels.QUANTITY + "_r", "norm": PowerNorm(0.5, 0, 1), "interpolation": "nearest"}
    drawn = ax.imshow(np.ma.masked_equal(shares, 0), aspect="auto", **style)
    every = math.ceil(len(columns) * CELL / LARGEST)
    _name(ax, rows, columns, every)
    if every == 1:
        _write_counts(ax, counts, shares)
    ax.set_title(title, fontsize=8 + side / 2, color=panels.INK)
    bar = figure.colorbar(drawn, fraction=0.03, shrink=0.5, ticks=(0.01, 0.05, 0.2, 0.5, 1))
    bar.ax.set_yticklabels(("1 %", "5 %", "20 %", "50 %", "100 %"), fontsize=8, color=panels.INK)
    bar.set_label("share of the pictures of the class", fontsize=8, color=panels.INK)
    return panels.Plot(figure)


def present(confusion, labels):
    """The part of a confusion matrix (C,C) that has pictures: counts (R,R) or (R,R+1), names of rows and columns."""
    there = np.flatnonzero(confusion.sum(1))
    counts, names = confusion[np.ix_(there, there)], [labels[i] for i in there]
    others = confusion[there].sum(1) - counts.sum(1)
    if not others.any():
        return counts, names, names
    return np.column_stack((counts, others)), names, [*names, "others"]


def _name(ax, rows, columns, every):
    size = 9 if len(columns) <= 20 else 7
    for axis, names in ((ax.yaxis, rows), (ax.xaxis, columns)):
        ticks = range(0, len(names), every)
        axis.set_ticks(ticks, [_short(names[i]) for i in ticks], fontsize=size)
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(length=0, labelcolor=panels.INK)
    ax.spines[:].set_color(panels.FAINT)
    ax.set_xlabel("the model's answer", fontsize=10, color=panels.INK)
    ax.set_ylabel("the picture's class", fontsize=10, color=panels.INK)


def _write_counts(ax, counts, shares):
    size = 9 if counts.shape[1] <= 20 else 6
    for row, column in zip(*counts.nonzero(), strict=True):
        text, dark = str(counts[row, column]), shares[row, column] > 0.2  # the dark end of the colours is the large one
        fits = min(1, 3 / len(text))
        colour = "white" if dark else panels.INK
        ax.text(column, row, text, ha="center", va="center", fontsize=size * fits, color=colour)


def _short(name, length=24):
    first = name.split(",")[0]
    return first if len(first) <= length else first[: length - 1] + "…"
