"""The figure of a confusion matrix."""

import numpy as np
import pytest
from matplotlib.text import Text

from minivit.viz.confusion import confusion_figure, present


def texts(plot):
    plot.figure.draw_without_rendering()
    return [text for text in plot.figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def test_names_stand_in_the_order_of_rows_and_counts_where_they_were_counted():
    plot = confusion_figure(np.array([[7, 3], [0, 11]]), ("cat", "dog"), "a title")
    ax = plot.figure.axes[0]
    counts = {(t.get_text(), *map(int, t.get_position())) for t in ax.texts}
    assert counts == {("7", 0, 0), ("3", 1, 0), ("11", 1, 1)}  # (text, column, row)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["cat", "dog"] and ax.get_title() == "a title"


def test_colour_is_the_share_of_the_row():
    plot = confusion_figure(np.array([[1, 3], [0, 200]]), ("cat", "dog"))
    shown = plot.figure.axes[0].images[0].get_array()
    assert shown.filled(-1).tolist() == [[0.25, 0.75], [-1, 1]]


def test_classes_without_pictures_are_left_out_and_answers_among_them_are_others():
    confusion = np.zeros((5, 5), int)
    confusion[1], confusion[3] = [2, 4, 0, 1, 0], [0, 0, 5, 6, 7]
    counts, rows, columns = present(confusion, tuple("abcde"))
    assert counts.tolist() == [[4, 1, 2], [0, 6, 12]] and rows == ["b", "d"] and columns == ["b", "d", "others"]


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_every_class_is_named_and_nothing_is_cut_off(classes):
    labels = tuple(f"class {i}, also called {i}" for i in range(classes))
    plot = confusion_figure(np.eye(classes, dtype=int) * 50, labels)
    shown = texts(plot)
    assert sum(t.get_text() == f"class {classes - 1}" for t in shown) == 2
    width, height = plot.figure.bbox.size
    for text in shown:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()


def test_a_thousand_classes_are_drawn_without_counts():
    plot = confusion_figure(np.eye(1000, dtype=int), tuple(map(str, range(1000))))
    ax = plot.figure.axes[0]
    assert not ax.texts and 100 < len(ax.get_yticks()) < 140
