"""Figures: what they show, that nothing is cut off, and that the files are whole."""

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

import minivit
from minivit import InputError, params
from minivit.loading import DEMO
from minivit.viz import panels, picture, plots


def traced(keep="image,block*.attn.probs", pixels=None, **settings):
    config = dataclasses.replace(DEMO, **settings)
    model = minivit.Model(config, params.seeded(config))
    return model.trace(picture.draw() if pixels is None else pixels, keep)


def texts(plot):
    return [text for text in plot.figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def test_the_attention_figure_says_method_block_heads_and_range():
    trace = traced()
    said = " | ".join(text.get_text() for text in texts(plots.attention_figure(trace, block=1)))
    for expected in (
        "class token",
        "block1.attn.probs",
        "head 0",
        "head 3",
        "block3",
        "softmax(q kᵀ / √D_h)",
        "not rescaled",
    ):
        assert expected in said
    head0 = trace["block1.attn.probs"][0, 0, 0, 1:]
    assert panels.spread(head0) in said


@pytest.mark.parametrize(("heads", "blocks", "maps"), [(2, 1, 3), (4, 4, 8), (16, 13, 29)])
def test_every_head_and_every_block_has_its_map_and_nothing_is_cut_off(heads, blocks, maps):
    plot = plots.attention_figure(traced(heads=heads, blocks=blocks))
    plot.figure.draw_without_rendering()
    assert (
        sum(text.get_text().startswith(("head ", "block")) and ".attn" not in text.get_text() for text in texts(plot))
        == maps
    )
    width, height = plot.figure.bbox.size
    for text in texts(plot):
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()


def test_a_trace_without_attention_is_an_error_that_says_what_to_keep():
    with pytest.raises(InputError) as raised:
        plots.attention_figure(traced(keep="image, block0.attn.probs"))
    message = str(raised.value)
    assert message.startswith("block1.attn.probs was not recorded: trace again with keep='image, block*.attn.probs'")
    again = message.split("'")[1]  # what the message says to do works
    assert len(texts(plots.attention_figure(traced(keep=again)))) > 8


def test_a_trace_that_does_not_know_its_model_is_an_error_that_says_how_to_tell_it(tmp_path):
    traced().save(tmp_path / "x.npz")
    with pytest.raises(InputError, match=r"Trace\.load\(path, config=model\.config\)"):
        plots.attention_figure(minivit.Trace.load(tmp_path / "x.npz"))
    plots.attention_figure(minivit.Trace.load(tmp_path / "x.npz", DEMO))


def test_an_unknown_block_is_an_error():
    with pytest.raises(InputError, match="layer 9 is out of range, expected 0 to 3"):
        plots.attention_figure(traced(), block=9)


def test_the_visible_picture_has_the_colours_of_the_file():
    assert np.allclose(plots.visible(traced(keep="image")), picture.draw() / 255, atol=1e-6)


def test_the_visible_picture_ends_with_the_last_whole_patch():
    pixels = np.zeros((1, 70, 50, 3), np.float32)
    assert plots.visible(traced(keep="image", pixels=pixels)).shape == (64, 48, 3)


def test_a_map_of_zeros_can_be_drawn():
    plot = panels.row(panels.overlay(np.ones((4, 4, 3)), np.zeros((2, 2))))
    assert np.isfinite(np.asarray(Image.open(io.BytesIO(plot._repr_png_())))).all()


def test_a_saved_figure_is_a_png_of_readable_width(tmp_path):
    panels.row(panels.picture(picture.draw(32), patch=16, mark=(1, 0))).save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.format == "PNG" and image.size == (1500, 420)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_a_figure_that_cannot_be_written_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        panels.row(panels.picture(picture.draw(32))).save(tmp_path / "missing" / "x.png")


def test_figures_leave_pyplot_alone():
    code = """
import sys
from minivit.viz import panels
panels.row(panels.bars(["a"], [1]))._repr_png_()
sys.exit("matplotlib.pyplot" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
