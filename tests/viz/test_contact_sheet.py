"""The contact sheet: what stands where."""

import numpy as np
import pytest
from lit_files import write_pictures
from matplotlib.text import Text

from minivit.errors import InputError
from minivit.viz.contact_sheet import SIDE, Tile, contact_sheet, thumbnail


def words(plot):
    plot.figure.draw_without_rendering()
    return [text.get_text() for text in plot.figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def test_queries_stand_left_of_what_was_found(tmp_path):
    paths = write_pictures(tmp_path, 3)
    found = [Tile(path, "image", f"{i}.") for i, path in enumerate(paths, 1)]
    plot = contact_sheet(
        [(Tile("a cat", "text", "query"), found), (Tile(paths[0], "image", "query"), found[:1])], "all"
    )
    said = words(plot)
    assert said.count("query") == 2 and "a cat" in said and "all" in said and said.count("0.png") == 3
    titles = [ax.get_title() for ax in plot.figure.axes]
    assert titles == ["query", "1.", "2.", "3.", "", "query", "1.", "", "", ""]


def test_many_neighbours_go_on_in_the_next_row():
    found = [Tile(f"text {i}", "text", f"{i}.") for i in range(12)]
    plot = contact_sheet([(Tile("a cat", "text", "query"), found)])
    titles = [ax.get_title() for ax in plot.figure.axes]
    assert titles[:11] == ["query", *(f"{i}." for i in range(10))] and titles[11:14] == ["", "10.", "11."]


def test_a_picture_that_is_gone_is_its_name():
    plot = contact_sheet([(Tile("gone.png", "image", "query"), [Tile("x", "text", "1.")])])
    assert "gone.png" in words(plot)


def test_a_thumbnail_is_a_square_with_the_whole_picture():
    wide = np.zeros((10, 40, 3), np.uint8)
    tile = thumbnail(wide)
    dark = (tile == 0).all(-1)
    assert tile.shape == (SIDE, SIDE, 3) and dark.sum() == SIDE * SIDE // 4
    assert dark[SIDE // 2].all() and not dark[0].any()


def test_too_many_rows_are_refused():
    query = Tile("a", "text", "query")
    with pytest.raises(InputError, match="41 rows do not fit"):
        contact_sheet([(query, [query])] * 41)
