"""The published checkpoints as a chart: accuracy against what it costs."""

from .charts import finish_chart
from .style import INK, LINES, MARK, WIDTH, Plot, new_figure

DIM = "#888888"
COLOURS = dict(zip(("vit", "deit", "hybrid", "mixer", "lit"), LINES, strict=False))
TITLES = {"vit": "ViT", "deit": "DeiT", "hybrid": "hybrid", "mixer": "MLP-Mixer", "lit": "LiT (zero-shot)"}


def chart(rows, cost, xlabel, limit=None, title=""):
    """A Plot of the rows of fit.py: `cost` is the column along the x axis, `limit` where a line is drawn on it.

    Filled are those that fit; the area of a dot is the memory of its weights.  Named are the best ones for their cost.
    """
    figure = new_figure(0.62 * WIDTH)
    axes = figure.add_subplot()
    for family, colour in COLOURS.items():
        some = [row for row in rows if _family(row) == family]
        if some:
            filled = [f"{colour}c0" if row.get("fits", True) else "#ffffff00" for row in some]
            x, y, area = zip(*((row[cost], row["accuracy"], row["float32_mb"] / 6 + 12) for row in some), strict=True)
            axes.scatter(x, y, area, filled, edgecolors=colour, label=TITLES[family])
    for row in _front(rows, cost):
        axes.annotate(
            f"{row['model']} @{row['image']}",
            (row[cost], row["accuracy"]),
            xytext=(-5, 5),
            textcoords="offset points",
            ha="right",
            fontsize=7,
            color=INK if row.get("fits", True) else DIM,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    if limit is not None:
        axes.axvline(limit, color=MARK, linewidth=1, linestyle="--")
    axes.margins(x=0.2)
    finish_chart(axes, title, xlabel, "published accuracy, % of ImageNet")
    said = "area: memory of the weights" + ("; filled: fits" if any("fits" in row for row in rows) else "")
    legend = axes.legend(fontsize=8, frameon=False, loc="lower right", title=said, title_fontsize=8)
    for handle in legend.legend_handles:
        handle.set(sizes=[40], facecolor=handle.get_edgecolor())
    return Plot(figure)


def _family(row):
    return "deit" if row["model"].startswith("DeiT") else row["config"].family


def _front(rows, cost):
    """Those that are beaten by none of at most 1.1 times their cost, where the best gets better by 0.3 % or more."""
    best = float("-inf")
    for row in sorted(rows, key=lambda row: (row[cost], -row["accuracy"])):
        near = max(other["accuracy"] for other in rows if other[cost] <= 1.1 * row[cost])
        if row["accuracy"] == near >= best + 0.3:
            best = near
            yield row
