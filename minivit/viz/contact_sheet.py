"""A contact sheet: queries on the left, beside each what was found for it; pictures as pictures, texts as texts."""

import textwrap
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..image import read_pixels
from . import panels

SIDE = 220  # pixels of a thumbnail's longer side
ACROSS = 10  # results of a query in one row
LARGEST = 40  # rows: what one picture can hold


@dataclass(frozen=True)
class Tile:
    """One place of a sheet: the path of a picture or a text, and a line above it."""

    name: str
    kind: str  # "image" | "text"
    title: str


def contact_sheet(rows, title=""):
    """A Plot of rows [(query, [found, …]), …] of Tiles.  Raises InputError if they do not fit on one picture.

    A picture that is not there any more is drawn as its name.
    """
    lines = []
    for query, found in rows:
        for start in range(0, max(len(found), 1), ACROSS):
            lines.append((query if start == 0 else None, found[start : start + ACROSS]))
    if len(lines) > LARGEST:
        raise InputError(
            f"{len(lines)} rows do not fit on one contact sheet, at most {LARGEST}; ask less, or use --json"
        )
    columns = max(5, 1 + max(len(found) for _, found in lines))
    figure = panels.new_figure(0.5 + len(lines) * (panels.WIDTH / columns + 0.3))
    grid = figure.subplots(len(lines), columns, squeeze=False)
    figure.suptitle(title, fontsize=12, color=panels.INK)
    for axes, (query, found) in zip(grid, lines, strict=True):
        for ax, tile in zip(axes, [query, *found, *[None] * len(axes)], strict=False):
            draw(ax, tile, panels.MARK if tile is query else panels.FAINT, length=150 // columns)
    return panels.Plot(figure)


def draw(ax, tile, colour, length):
    """One tile in its frame, with so many characters of a picture's name; None leaves the place empty."""
    if tile is None:
        ax.set_axis_off()
        return
    pixels = thumbnail(tile.name) if tile.kind == "image" else None
    below = ""
    if pixels is None:
        words = "\n".join(textwrap.wrap(panels.short(tile.name, 120), 18))
        ax.text(0.5, 0.5, words, ha="center", va="center", fontsize=7, color=panels.INK, transform=ax.transAxes)
        ax.set_box_aspect(1)
    else:
        ax.imshow(pixels, interpolation="antialiased")
        below = panels.short(tile.name.replace("\\", "/").rsplit("/", 1)[-1], length)
    panels.finish(ax, tile.title, below)
    ax.title.set_fontsize(8)
    ax.xaxis.label.set_fontsize(6)
    ax.spines[:].set_color(colour)
    ax.spines[:].set_linewidth(2 if colour == panels.MARK else 0.8)


def thumbnail(path):
    """The picture as a square of SIDE pixels, white around it: uint8 (SIDE,SIDE,3); None if it cannot be read."""
    from PIL import Image

    try:
        image = Image.fromarray(read_pixels(path))
    except InputError:
        return None
    scale = SIDE / max(image.size)
    small = tuple(max(1, round(side * scale)) for side in image.size)
    image = image.resize(small, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
    square = np.full((SIDE, SIDE, 3), 255, np.uint8)
    top, left = (SIDE - image.height) // 2, (SIDE - image.width) // 2
    square[top : top + image.height, left : left + image.width] = np.asarray(image)
    return square
