"""A figure as a sheet: a title, sections of panels, and a foot that says how to read the colours and what is shown."""

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import panels

#: name -> (value at the left end, words below the strip, whether a picture lies below the colours)
SCALES = {
    "quantity": (0, ("0", "largest"), True),
    "range": (0, ("smallest", "largest"), True),
    "signed": (-1, ("− largest", "0", "+ largest"), True),
    "plain": (0, ("0", "largest"), False),
    "plain signed": (-1, ("− largest", "0", "+ largest"), False),
}
LINE = 160  # characters of a line over the whole width, at 8 points
HEADING, LABELS = 0.36, 0.42  # inches: above a section; title and range of every panel


@dataclass(frozen=True)
class Section:
    """Panels (functions of axes, see panels.py) in rows of `columns`.

    aspect: height / width of a panel.  lead: a larger panel to their left, as high as all of them.  labels: inches for
    what stands above and below a panel.
    """

    panels: list
    columns: int
    heading: str = ""
    aspect: float = 1.0
    lead: Callable | None = None
    labels: float = LABELS

    @property
    def shape(self):
        """(rows, columns) of the cells, those of the lead included."""
        rows = math.ceil(len(self.panels) / self.columns)
        return rows, self.columns + (rows if self.lead else 0)

    @property
    def height(self):
        """In inches, beside the other sections."""
        rows, columns = self.shape
        return (HEADING if self.heading else 0.05) + rows * (panels.WIDTH / columns * self.aspect + self.labels)


def sheet(title, sections, shown, colours=""):
    """A Plot: title, sections, and a foot with what is `shown` and the scale of `colours`, one of SCALES or none."""
    lines = [line for text in shown.note.splitlines() for line in textwrap.wrap(text, LINE - 35 if colours else LINE)]
    foot = 0.3 + 0.17 * max(len(lines), 2)
    heights = [section.height for section in sections]
    figure = panels.new_figure(0.45 + sum(heights) + foot)
    figure.suptitle(title, fontsize=13, color=panels.INK)
    parts = figure.subfigures(len(sections) + 1, 1, height_ratios=[*heights, foot])
    for part, section in zip(parts, sections, strict=False):
        _fill(part, section)
    parts[-1].text(0.25 if colours else 0.02, 0.5, "\n".join(lines), fontsize=8, va="center", color=panels.INK)
    if colours:
        _scale(parts[-1], colours, foot)
    return panels.Plot(figure, shown)


def across(scene, maps, heading="", mark=None, lead=False, colours=""):
    """A Section of maps {title: (rows,columns)} over the picture; `lead`: the picture itself first, large."""
    count, columns, picture = len(maps), columns_of(len(maps)), None
    if lead:
        said = f"the image, {scene.grid[0]}×{scene.grid[1]} patches"
        picture = panels.picture(scene.rgb, said, scene.config.cell, mark)
        columns = math.ceil(count / (1 if count <= 3 else max(2, math.ceil(count / 4))))
    return Section(overlays(scene, maps, mark, colours), columns, heading, height(scene), picture)


def overlays(scene, maps, mark=None, colours=""):
    """A panel for each map {title: (rows,columns)}; what follows a line break in a title stands below the map."""
    found = []
    for title, values in maps.items():
        above, _, below = title.partition("\n")
        found.append(panels.overlay(scene.rgb, values, above, mark, colours, below))
    return found


def height(scene):
    """Of the picture, relative to its width, within what a sheet can hold."""
    return float(np.clip(scene.rgb.shape[0] / scene.rgb.shape[1], 0.4, 2.5))


def height_of(tiles):
    """Of a mosaic of tiles (R,C,h,w,…), relative to its width, within what a sheet can hold."""
    rows, columns, height, width = tiles.shape[:4]
    return float(np.clip(rows * height / (columns * width), 0.1, 1.8))


def columns_of(count):
    """How many small pictures stand side by side: at most 8, in rows that are as long as each other."""
    return max(4, math.ceil(count / math.ceil(count / 8)))


def _fill(part, section):
    # half a column is the unit, so that a single row of fewer panels can stand in the middle
    rows, columns = section.shape
    cells = part.add_gridspec(rows, 2 * columns)
    skip = 2 * (columns - section.columns)
    indent = skip + max(0, section.columns - len(section.panels))
    if section.heading:
        part.suptitle(section.heading, fontsize=10, color=panels.INK)
    if section.lead:
        section.lead(part.add_subplot(cells[:, :skip]))
    for i, panel in enumerate(section.panels):
        column = indent + 2 * (i % section.columns)
        panel(part.add_subplot(cells[i // section.columns, column : column + 2]))


def _scale(foot, colours, height):
    # the colours as the panels have them: over a grey picture, or by themselves
    low, ticks, over = SCALES[colours]
    strip = foot.add_axes((0.04, 0.5 - 0.02 / height, 0.16, 0.16 / height))
    values, where = np.linspace(low, 1, 256)[None], {"extent": (0, 1, 0, 1), "aspect": "auto"}
    if over:
        strip.imshow([[0.5]], cmap="gray", vmin=0, vmax=1, **where)
        panels.shade(strip, values, **where)
    else:
        strip.imshow(values, cmap=panels.SIGNED if low < 0 else panels.QUANTITY, **where)
    strip.set(xticks=np.linspace(0, 1, len(ticks)), xticklabels=ticks, yticks=[])
    strip.tick_params(labelsize=8, length=0)
    strip.spines[:].set_color(panels.FAINT)
