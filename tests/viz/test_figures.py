"""Every figure of plots.py: that it says what it shows, shows what was computed, and cuts nothing off."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from matplotlib.text import Text

from minivit import InputError, Model, params
from minivit.config import ViTConfig
from minivit.viz import attribution, explain, faithful, flow, lens, maps, panels, plots, sheet, shown, similarity

SMALL = ViTConfig("small", patch=4, width=8, blocks=2, heads=2, mlp=16, classes=5, image=(12, 8))
KINDS = {
    "token": SMALL,
    "gap": replace(SMALL, pool="gap", prefix=0),
    "distilled": replace(SMALL, prefix=2, distilled_head=True),
}
LABELS = (
    "tabby, tabby cat",
    "$\\frac{1}{2}$",
    "<script>",
    "a very long name of a class, as ImageNet has",
    "chat à neuf queues",
)
FIGURES = {**plots.FIGURES, "compare": plots.compare}
FROM = ("attention", "heads", "merge", "rollout", "norm", "relevance", "deletion", "randomisation", "compare")
NO_LAYERS = ("filters", "positions")  # they show what comes before the first block


def model(kind="token"):
    return Model(KINDS[kind], params.seeded(KINDS[kind]), labels=LABELS)


def image(config=SMALL):
    return np.random.default_rng(1).standard_normal((1, *config.image, 3)).astype(np.float32)


@cache
def drawn(name, kind="token"):
    return FIGURES[name](model(kind), image())


def said(plot):
    return [text for text in plot.figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def in_words(plot):
    return " ".join(" ".join(text.get_text() for text in said(plot)).split())


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_method_source_scale_and_caution_and_which_layer(name):
    plot, text = drawn(name), in_words(drawn(name))
    for line in plot.shown.note.splitlines():
        assert line in text
    assert "olour" in plot.shown.scale or name in ("filters", "pca")
    assert "layer" in plot.shown.said or name in NO_LAYERS
    assert "arXiv" in plot.shown.source


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_of_a_figure_is_cut_off(name):
    figure = drawn(name).figure
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("filters", "pca")])
def test_the_range_of_every_map_is_printed(name):
    text = in_words(drawn(name))
    for title, values in drawn(name).shown.maps.items():
        if name != "heads" and values.shape == SMALL.grid:  # of heads there is one range for all
            assert panels.spread(values) in text, title


@pytest.mark.parametrize("kind", ["gap", "distilled"])
@pytest.mark.parametrize("name", FROM)
def test_a_figure_says_whose_attention_it_shows(name, kind):
    who = {"gap": "from the mean patch", "distilled": "from the class token"}[kind]
    assert who in drawn(name, kind).shown.said


def test_a_patch_that_is_asked_is_named_and_framed():
    plot = plots.attention(model(), image(), layer=0, head=1, patch="2,1")
    assert plot.shown.said == "Attention: from patch 5 (row 2, column 1), layer 0, head 1"
    assert "who looks at it: columns of block0.attn.probs" in in_words(plot)
    trace = model().trace(image(), "block0.attn.probs")["block0.attn.probs"]
    np.testing.assert_array_equal(plot.shown.maps["head 1"].ravel(), trace[0, 1, 6, 1:])
    np.testing.assert_array_equal(plot.shown.maps["to it, head 1"].ravel(), trace[0, 1, 1:, 6])
    assert "head 0" not in plot.shown.maps


@pytest.mark.parametrize(("kind", "patch"), [("token", None), ("gap", None), ("gap", 4)])
def test_relevance_leaves_out_what_every_token_is_to_itself(kind, patch):
    plot, config = plots.relevance(model(kind), image(), layer=1, target=3, patch=patch), KINDS[kind]
    _, trace, gradients = explain.class_gradients(model(kind), image(), 3)
    R = flow.relevance(maps.per_block(trace), maps.per_block(gradients))[0] - np.eye(6 + config.prefix)
    expected = R[0, 1:] if kind == "token" else R.mean(0) if patch is None else R[patch]
    np.testing.assert_allclose(plot.shown.maps["after block1"].ravel(), expected)
    assert plot.shown.settings["class"] == 3 and next(iter(plot.shown.maps)).startswith("a very long name of…")


def test_rollout_ends_with_the_whole_product():
    rows = flow.rollout(maps.per_block(model().trace(image(), "block*.attn.probs")))
    np.testing.assert_allclose(drawn("rollout").shown.maps["after block1"].ravel(), rows[0, 0, 1:])


def test_heads_and_layers_keep_their_places():
    trace = model().trace(image(), "block*.attn.probs")
    for i, h in np.ndindex(2, 2):
        found = drawn("heads").shown.maps[f"layer {i}, head {h}"].ravel()
        np.testing.assert_array_equal(found, trace[f"block{i}.attn.probs"][0, h, 0, 1:])
    change = faithful.knock_out(model(), image())[0]
    np.testing.assert_array_equal(drawn("knockout").shown.maps["change (head, layer)"], change.T)


def test_the_bars_of_an_attribution_add_up_to_the_logit_that_is_printed():
    plot = plots.attribution(model(), image(), target="<script>")
    logit = model().run(image())[0, 2]
    assert plot.shown.settings["class"] == 2
    assert sum(plot.shown.settings["parts"].values()) == pytest.approx(logit, rel=1e-4)
    assert f"the logit: {logit:.5g}" in in_words(plot)


def test_the_lens_ends_with_the_probability_of_the_model():
    plot, logits = plots.lens(model(), image(), target=0), model().run(image())[0].astype(float)
    assert plot.shown.maps["% tabby (0)"][-1] == pytest.approx(100 * np.exp(logits[0]) / np.exp(logits).sum())
    streams = lens.streams(model().trace(image(), lens.KEEP))
    last = next(values for title, values in plot.shown.maps.items() if title.startswith("block1"))
    np.testing.assert_array_equal(last, lens.patch_lens(model(), streams[-1], SMALL.grid)[0, ..., 0])


def test_the_comparison_begins_with_the_lowest_deletion_score():
    scores = drawn("compare").shown.settings["scores"]
    found = [score["deletion"] for score in scores.values()]
    assert found == sorted(found) and len(found) == 7 and list(drawn("compare").shown.maps) == list(scores)
    target = drawn("compare").shown.settings["class"]
    curve = faithful.deletion(model(), image(), drawn("compare").shown.maps["rollout"], target, steps=6)
    assert scores["rollout"]["deletion"] == curve.auc


def test_the_demo_model_is_compared_with_other_weights_than_its_own():
    mine = params.seeded(SMALL)
    other = faithful.untrained(model()).params
    assert not np.array_equal(mine["blocks"][0]["mlp"]["fc1"]["w"], other["blocks"][0]["mlp"]["fc1"]["w"])


def test_positions_are_shown_as_trained_and_as_used_where_these_differ():
    assert len(drawn("positions").shown.maps) == 2
    resized = plots.positions(model(), np.zeros((1, 16, 16, 3), np.float32), patch=3)
    trained = similarity.position_similarity(params.seeded(SMALL)["embed"]["position"], 1, SMALL.grid)
    np.testing.assert_allclose(resized.shown.maps["as trained"], trained)
    assert resized.shown.maps["as used for this image"].shape == (4, 4, 4, 4)


def test_positions_that_are_all_alike_keep_the_colours_that_the_scale_names():
    tree = params.seeded(SMALL)
    tree["embed"]["position"] = 1 + 0.1 * tree["embed"]["position"]
    plot = plots.positions(Model(SMALL, tree), image())
    [tiles] = [ax.images[0] for ax in plot.figure.axes if ax.get_title().startswith("as used")]
    assert plot.shown.maps["as used for this image"].min() > 0
    assert tiles.norm.vmin == -tiles.norm.vmax and tiles.get_cmap().name == panels.SIGNED


@pytest.mark.parametrize(("count", "columns"), [(2, 4), (6, 6), (7, 7), (8, 8), (9, 5), (12, 6), (13, 7), (24, 8)])
def test_rows_of_small_pictures_are_as_long_as_each_other(count, columns):
    assert sheet.columns_of(count) == columns


def test_large_tables_have_a_range_in_place_of_numbers():
    plot = panels.row(panels.matrix(np.linspace(-1, 2, 40).reshape(2, 20), xlabel="layer"))
    assert "layer -1 … 2" in in_words(plot)


def test_a_sheet_is_never_endless_however_narrow_the_picture():
    assert sheet.height_of(np.zeros((40, 2, 30, 2))) == 1.8


WRONG = {
    "layer 2 is out of range, expected 0 to 1": lambda m, x: plots.rollout(m, x, layer=2),
    "layer -1 is out of range, expected 0 to 1": lambda m, x: plots.merge(m, x, layer=-1),
    "head 2 is out of range, expected 0 to 1": lambda m, x: plots.attention(m, x, head=2),
    "class 5 is out of range, expected 0 to 4": lambda m, x: plots.relevance(m, x, target=5),
    "class -1 is out of range, expected 0 to 4": lambda m, x: plots.lens(m, x, target="-1"),
    "no class 'tabyb'; did you mean 'tabby'": lambda m, x: plots.attribution(m, x, target="tabyb"),
    "patch 6 is out of range, expected 0 to 5": lambda m, x: plots.norm(m, x, patch="6"),
    "patch row 3 is out of range, expected 0 to 2": lambda m, x: plots.similarity(m, x, patch="3,0"),
    "patch column -1 is out of range, expected 0 to 1": lambda m, x: plots.positions(m, x, patch=(0, -1)),
    "patch 'x': expected a number or row,column": lambda m, x: plots.heads(m, x, patch="1,x"),
    "expected one picture, got 2": lambda m, x: plots.cka(m, np.concatenate([x, x])),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_out_of_range_is_one_line_that_gives_the_range(message):
    with pytest.raises(InputError, match=message) as raised:
        WRONG[message](model(), image())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["relevance", "lens", "attribution", "knockout", "deletion", "compare"])
def test_a_figure_of_a_class_needs_a_model_with_classes(name):
    config = replace(SMALL, classes=None)
    with pytest.raises(InputError, match="gives no class for the image; choose a map that needs none"):
        FIGURES[name](Model(config, params.seeded(config)), image())


def test_a_trace_shows_a_thumbnail_of_every_tensor_in_order():
    trace = model("distilled").trace(image())
    plot = trace.show()
    texts = [text.get_text() for text in said(plot)]
    parts = [name.split(".", 1)[1] if name.startswith("block") else name for name in trace]
    assert [text for text in texts if text in set(parts)] == parts
    assert [text for text in texts if text in ("before", "block0", "block1", "after the blocks")] == [
        "before", "block0", "block1", "after the blocks",
    ]  # fmt: skip
    assert len(plot.figure.findobj(lambda artist: type(artist).__name__ == "AxesImage")) == len(trace)


def test_a_trace_without_a_model_can_be_shown_too():
    from minivit import Trace

    assert "trace: 2 tensors" in in_words(Trace({"mine": np.zeros((1, 3)), "block0.x": np.ones((1, 2, 3, 4))}).show())


def test_the_words_of_a_figure_for_programs():
    numbers = drawn("attention").shown.numbers()
    assert numbers["method"] == "Attention" and numbers["settings"]["layer"] == 1
    head = numbers["maps"]["head 0"]
    values = drawn("attention").shown.maps["head 0"]
    assert head["sum"] == pytest.approx(values.sum()) and head["max"] == values.max()
    assert head["top"][0] == {"patch": int(values.argmax()), "at": list(np.unravel_index(values.argmax(), (3, 2))),
                              "value": float(values.max())}  # fmt: skip
    assert shown.Shown("A", "B", "C", {}).said == "A"


def test_attribution_of_all_figures_is_that_of_the_library():
    found = attribution.attribute(model(), model().trace(image(), attribution.KEEP)).values[0]
    target = drawn("attribution").shown.settings["class"]
    np.testing.assert_array_equal(drawn("attribution").shown.maps["all parts"], found[:, target])
