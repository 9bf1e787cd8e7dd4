"""The explorer in a real browser: what it draws against the trace, every control, and what it must not do.

Mouse, keys and fingers are real ones, sent over the DevTools protocol; see chromium.py.
"""

import html
import os
import warnings

import numpy as np
import pytest
from chromium import COMMAND, Chromium
from explorer_pages import SIZE, balloon, kept, model

import minivit
from minivit.viz import explorer, explorer_data, flow, panels

pytestmark = pytest.mark.skipif(not COMMAND, reason="Chromium is not installed (apt-get install chromium)")

ROWS, COLUMNS, PREFIX = 4, 6, 1
LABELS = ("cat, tabby", "dog", "<b>bold</b>", "\"'&", "é☃", *map(str, range(5)))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Chromium(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(autouse=True)
def nothing_asked_and_nothing_complained(request, browser):
    """Every test ends with no request but those of its own files, and with an empty console."""
    browser.window(1280, 900)
    browser.prefer("light")
    yield
    assert browser.complaints() == []
    assert all(url.startswith(("file:", "about:")) for url in browser.requests())


@pytest.fixture(scope="module")
def subject():
    return model(labels=LABELS)


@pytest.fixture(scope="module")
def trace(subject):
    return subject.trace(balloon(), size=SIZE)


@pytest.fixture(scope="module")
def written(subject, tmp_path_factory):
    """(address, text) of the page of one picture."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    page = explorer.explore(subject, balloon(), SIZE)
    page.save(path)
    return path.as_uri(), page.html


@pytest.fixture
def page(browser, written):
    browser.open(written[0])
    return browser


def saved(tmp_path, *arguments):
    """The address of another page, without the figure for readers without scripts, which takes longer than the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explorer, "still", lambda trace, name: b"no figure")
        explorer.explore(*arguments).save(tmp_path / "other.html")
    return (tmp_path / "other.html").as_uri()


def shown(page):
    """The numbers that are drawn, prefix first."""
    return np.array(page.js("Array.from(look().values)"))


def state(page, *names):
    return [page.js(f"state.{name}") for name in names]


def text(page, selector):
    return page.js(f"document.querySelector({selector!r}).textContent")


# ---- what is drawn


def reference(trace, method, layer, head, query):
    # the map that a method names, from the trace: (N,)
    A = trace[f"block{layer}.attn.probs"][0].astype(np.float64)
    if method in ("attention", "received"):
        A = A[head] if isinstance(head, int) else getattr(A, head)(0)
        return A[query] if method == "attention" else A[:, query]
    if method == "rollout":
        return flow.rollout([trace[f"block{i}.attn.probs"] for i in range(layer + 1)])[0, query]
    z = trace[f"block{layer}.resid_post"][0].astype(np.float64)
    length = np.linalg.norm(z, axis=-1)
    return length if method == "length" else z @ z[query] / (length * length[query])


def allowed(page_text, method, layer, head, query):
    # how far each number may be off (N,): half the step of the row that it stands in; tokens in front are not rounded
    name = {"received": "attention"}.get(method, method)
    _, half = kept(page_text, name)
    half = half[layer, ..., 0]
    if name == "attention":
        half = half[head] if isinstance(head, int) else half.max(0)
    if method == "received":
        return half * (query >= PREFIX)
    return np.repeat([0, half if method == "length" else half[query]], [PREFIX, ROWS * COLUMNS])


VIEWS = [
    *(("attention", 2, 1, 0), ("attention", 0, "mean", 9), ("attention", 3, "max", 24)),
    *(("received", 1, 3, 5), ("received", 2, "mean", 0), ("received", 3, "max", 17)),
    *(("attention", 2, "min", 3), ("received", 0, "min", 2)),
    *(("rollout", 3, "mean", 0), ("rollout", 1, "mean", 13), ("similar", 2, "mean", 8), ("length", 1, "mean", 0)),
]


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_what_is_drawn_is_the_trace_within_quantisation(page, written, trace, view):
    method, layer, head, query = view
    page.js(f"set({{method: {method!r}, layer: {layer}, head: {head!r}, query: {query}}})")
    expected = reference(trace, *view)
    assert np.all(abs(shown(page) - expected) <= allowed(written[1], *view) + 1e-6 * abs(expected).max())


@pytest.mark.parametrize(("method", "signed"), [("attention", False), ("similar", True)])
def test_the_pixels_of_the_map_have_the_colours_of_its_numbers(page, method, signed):
    from matplotlib import colormaps

    page.js(f"set({{method: {method!r}, layer: 1, query: 9}})")
    values = shown(page)[PREFIX:]
    share = values / abs(values).max()
    colour = colormaps[panels.SIGNED if signed else panels.QUANTITY]
    expected = colour(np.rint(255 * ((share + 1) / 2 if signed else share)).astype(int), bytes=True)[:, :3].astype(int)
    pixels = page.js(f"Array.from($('map').getContext('2d').getImageData(0, 0, {COLUMNS}, {ROWS}).data)")
    pixels = np.array(pixels).reshape(-1, 4)
    assert np.all(abs(pixels[:, 3] - 255 * (0.12 + 0.88 * abs(share))) <= 1)
    # what is nearly clear has lost some of its colour to rounding: a browser multiplies colour by opacity
    assert np.all(abs(pixels[:, :3] - expected) <= 1 + 255 / pixels[:, 3:])


def test_relevance_and_lens_are_those_of_the_page_for_the_chosen_class(page, written):
    for method in ("relevance", "lens"):
        page.js(f"set({{method: {method!r}, layer: 2, answer: 3}})")
        assert np.allclose(shown(page), kept(written[1], method)[0][3, 2], rtol=1e-6, atol=1e-12)


def test_the_words_say_method_block_head_token_range_and_sum(page, trace):
    page.js("set({method: 'attention', layer: 1, head: 2, query: 9})")
    assert text(page, "#caption") == "Attention in block 1, head 2: where token 9 (row 1, column 2) looks"
    patches = trace["block1.attn.probs"][0, 2, 9, PREFIX:]
    said = text(page, "#range-note")
    assert "attention weight" in said and f"{patches.max():.3g}" in said
    assert abs(float(said.split("sum to ")[1].rstrip(".")) - patches.sum()) < 0.01
    assert "not rescaled" in text(page, "#about") and "not an explanation" in text(page, "footer")
    assert text(page, "#chips button small") == f"{trace['block1.attn.probs'][0, 2, 9, 0]:.3g}"


def test_the_lens_table_names_the_answers_of_the_chosen_token(page, subject, trace):
    page.js("set({query: 0})")
    best = subject.top(trace["logits"][0])
    last = page.js("Array.from($('lens').lastChild.querySelectorAll('span'), (e) => e.textContent)")
    assert last == [p.label.split(",")[0] for p in best]
    assert text(page, "#said").startswith(f"The model's answer: {last[0]} ")


# ---- controls


def test_every_method_has_a_button(page):
    for i in range(7):
        page.click(f"#methods button:nth-child({i + 1})")
        method = page.js("document.querySelector('#methods [aria-pressed=true]').value")
        assert state(page, "method") == [method]
        assert page.js("document.querySelectorAll('#methods [aria-pressed=true]').length") == 1
        assert page.js("$('heads-card').hidden") == (method not in ("attention", "received"))
        assert page.js("$('answer').hidden") == (method not in ("relevance", "lens"))
    assert method == "length"


def test_the_mouse_shows_while_it_hovers_and_keeps_on_a_click(page):
    square = {"right": 2.5 / COLUMNS, "down": 1.5 / ROWS}
    x, y = page.middle("#stage", **square)
    page.mouse("mouseMoved", x, y)
    assert state(page, "hover", "query") == [PREFIX + 1 * COLUMNS + 2, 0]
    assert "token 9 (row 1, column 2)" in text(page, "#caption")
    page.mouse("mouseMoved", 5, 5)
    assert state(page, "hover", "query") == [None, 0] and "class token" in text(page, "#caption")
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        page.mouse(kind, x, y)
    page.mouse("mouseMoved", 5, 5)
    assert state(page, "query") == [9]
    page.until("location.hash === '#L3Hmeanq9'")
    box = page.js("(({x, y, width, height}) => [x, y, width, height])($('mark').getBoundingClientRect())")
    assert box[0] < x < box[0] + box[2] and box[1] < y < box[1] + box[3]


def test_thumbnails_choose_block_and_head_and_rows_of_the_lens_choose_the_block(page):
    page.click("#depth button:nth-child(2)")
    page.click("#heads button:nth-child(6)")
    assert state(page, "layer", "head") == [1, 2]
    page.click("#lens tr:nth-child(4)")
    assert state(page, "layer") == [2] and text(page, "#heads-title") == "Every head of block 2"


def test_the_class_token_beside_the_picture_can_be_chosen(page):
    page.js("set({query: 9})")
    page.click("#chips button")
    assert state(page, "query") == [0] and page.js("$('mark').hidden")


def test_keys(page):
    for key, expected in [
        ("ArrowLeft", ["attention", 2, "mean", 0]),
        ("ArrowDown", ["attention", 2, "max", 0]),
        ("ArrowDown", ["attention", 2, "min", 0]),
        ("ArrowDown", ["attention", 2, 0, 0]),
        ("ArrowUp", ["attention", 2, "min", 0]),
        ("ArrowUp", ["attention", 2, "max", 0]),
        ("3", ["rollout", 2, "max", 0]),
        ("ArrowRight", ["rollout", 3, "max", 0]),
        ("ArrowRight", ["rollout", 0, "max", 0]),
    ]:
        page.key(key)
        assert state(page, "method", "layer", "head", "query") == expected, key


def test_shift_and_arrows_move_over_the_squares_and_escape_returns(page):
    found = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp", "ArrowLeft", "ArrowLeft"):
        page.key(key, shift=True)
        found.append(page.js("state.query"))
    assert found == [1, 2, 8, 2, 2, 1, 1]
    page.key("Escape")
    assert state(page, "query") == [0]


def test_space_plays_through_depth_and_pauses(page):
    page.js("set({layer: 2})")
    page.key(" ")
    assert "pause" in text(page, "#play")
    page.until("state.layer === 3")
    page.until("state.layer === 0")
    page.click("#play")
    assert "play" in text(page, "#play") and page.js("timer") is None


def test_sliders_and_lists(page):
    choose = "(($, v) => {{ $.value = v; $.dispatchEvent(new Event('input', {{bubbles: true}})); }})({}, {!r})"
    for control, value in [("layer", 1), ("head", "2"), ("range", "depth"), ("opacity", 0), ("answer", "2")]:
        page.js(choose.format(f"$('{control}')", value))
    assert state(page, "layer", "head", "range", "opacity", "answer") == [1, 2, "depth", 0, 2]
    assert page.js("getComputedStyle($('map')).opacity") == "0"
    page.js("set({method: 'attention', query: 9})")
    assert page.js("look().top === Math.max(...look().maps.map(peak))")
    page.js("set({range: 'map'})")
    assert page.js("look().top === peak(look().values)")
    page.js("$('layer').focus()")
    page.key("ArrowRight")
    assert state(page, "layer") == [2]


def test_light_and_dark_follow_the_system_and_the_button(page, written):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.js(ground)
    page.click("#theme")
    dark = page.js(ground)
    assert light != dark
    page.prefer("dark")
    page.open(written[0])
    assert page.js(ground) == dark
    page.click("#theme")
    assert page.js(ground) == light


# ---- addresses


def test_a_link_opens_its_view_and_the_address_follows(page, written):
    page.open(written[0] + "#L1H3q9-similar-c2")
    assert state(page, "layer", "head", "query", "method", "answer") == [1, 3, 9, "similar", 2]
    page.key("ArrowRight")
    page.until("location.hash === '#L2H3q9-similar-c2'")
    page.js("location.hash = '#L0'")
    page.until("state.layer === 0")
    assert state(page, "head", "query", "method") == ["mean", 0, "attention"]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("#L9H0q1", "block 9 is not there, 0 to 3 are"),
        ("#L1H7q1", "head 7 is not there, 0 to 3 are"),
        ("#L1H0q25", "token 25 is not there, 0 to 24 are"),
        ("#L1H0q1-c9", "class 9 is not there, 0 to 4 are"),
        ("#L1H0q1-dream", "there is no method “dream” here"),
        ("#<img src=x onerror=hacked()>", "names no view"),
    ],
)
def test_a_link_to_what_is_not_there_says_what_is(page, written, link, said):
    page.open(written[0] + link)
    assert said in text(page, "#notice")


# ---- places


def test_deit_tiny_loads_within_a_second_and_a_half(browser, tmp_path):
    folder = os.environ.get("MINIVIT_DATA")
    if not folder:
        pytest.skip("MINIVIT_DATA is not set: no DeiT-tiny weights")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        deit = minivit.load(f"{folder}/deit_tiny/deit_tiny_patch16_224.timm.safetensors")
    explorer.explore(deit, f"{folder}/photos/coco_cats.png").save(tmp_path / "deit.html")
    times = []
    for _ in range(3):
        browser.open((tmp_path / "deit.html").as_uri())
        times.append(int(browser.js("document.documentElement.dataset.ready")))
    assert min(times) <= 1500


def test_a_finger_chooses_a_square_on_a_phone_and_nothing_is_wider_than_the_screen(page, written):
    page.window(360, 740, 2, mobile=True)
    page.open(written[0] + "#L1H0q3-lens")
    assert page.js("document.documentElement.scrollWidth") == 360
    wide = "Array.from(document.querySelectorAll('main *, header *, footer *')).filter((e) => e.getClientRects().length"
    assert page.js(f"{wide} && e.getBoundingClientRect().right > 361).map((e) => e.id || e.tagName)") == []
    page.tap(*page.middle("#stage", 4.5 / COLUMNS, 2.5 / ROWS))
    assert state(page, "query", "hover") == [PREFIX + 2 * COLUMNS + 4, None]


def test_without_scripts_there_is_a_picture(browser, written):
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(written[0], ready="document.images.length && document.images[0].complete")
        assert browser.js("document.images[0].getBoundingClientRect().width") > 300
        for useless in ("main", "#theme", "#lead .needs-scripts", "footer .needs-scripts"):
            assert browser.js(f"document.querySelector({useless!r}).getClientRects().length") == 0
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


def test_in_a_browser_too_old_to_unpack_there_is_a_picture(browser, written):
    script = browser.send("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    browser.open(written[0], ready="document.readyState === 'complete' && document.documentElement.className")
    browser.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
    browser.until("document.documentElement.className === 'static'")
    assert browser.js("document.images[0].getBoundingClientRect().width") > 300
    assert "DecompressionStream is not defined" in str(browser.complaints())
    browser.events.clear()


def test_the_frame_of_a_notebook_runs_by_itself(browser, tmp_path, subject):
    bundle = explorer.explore(subject, balloon(), SIZE)._repr_mimebundle_()
    (tmp_path / "notebook.html").write_text(f"<!doctype html><p>cell</p>{bundle['text/html']}", "utf-8")
    browser.open((tmp_path / "notebook.html").as_uri(), ready="document.querySelector('iframe') !== null")
    frame = browser.send("Page.getFrameTree")["frameTree"]["childFrames"][0]["frame"]["id"]
    browser.until("document.readyState === 'complete'")
    world = browser.send("Page.createIsolatedWorld", frameId=frame)["executionContextId"]
    browser.until("document.documentElement.dataset.ready", world)
    assert "class token looks" in browser.js("document.getElementById('caption').textContent", world)


def test_hostile_names_and_labels_are_shown_as_they_are(browser, tmp_path):
    name = "<script>window.hacked = 1</script><img src=x onerror='hacked = 1'>\"&é☃.npy"
    np.save(tmp_path / name.replace("/", "∕"), balloon())
    address = saved(tmp_path, model(labels=("<img src=x onerror='hacked = 1'>",) * 10), str(next(tmp_path.iterdir())))
    browser.open(address)
    browser.js("set({method: 'lens'})")
    assert browser.js("typeof window.hacked") == "undefined"
    assert text(browser, "h1").endswith(name.replace("/", "∕")) and "onerror" in text(browser, "#caption")
    assert html.escape(name) not in text(browser, "h1")


def test_pictures_are_chosen_from_a_list(browser, tmp_path, subject):
    browser.open(saved(tmp_path, subject, [balloon(0), balloon(1), balloon(2)], SIZE))
    first = shown(browser)
    browser.js("$('picture').value = 2, $('picture').dispatchEvent(new Event('input'))")
    browser.until("state.picture === 2 && location.hash.endsWith('-i2')")
    expected = subject.trace(balloon(2), "block3.attn.probs", size=SIZE)["block3.attn.probs"][0].mean(0)[0]
    assert abs(shown(browser) - expected).max() < abs(first - expected).max() / 10


KINDS = {
    "two tokens in front": {"prefix": 2, "distilled_head": True},
    "no token in front": {"prefix": 0, "pool": "gap"},
    "mean beside a class token": {"pool": "gap"},
    "no classes": {"classes": None},
    "merged heads": {"heads": 8},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_can_be_looked_at_with_every_method_and_token(browser, tmp_path, kind, monkeypatch):
    if kind == "merged heads":
        monkeypatch.setattr(explorer_data, "EVERY_HEAD", 1)
    browser.open(saved(tmp_path, model(**KINDS[kind]), balloon(), SIZE))
    asks_mean = KINDS[kind].get("pool") == "gap"
    assert ("mean patch" if asks_mean else "class token") in text(browser, "#caption")
    assert browser.js("state.query === (page.mean ? tokens : 0) && look().values.every(isFinite)")
    browser.js(
        "for (const method of kept()) for (const head of ['mean', 'max', 'min', 1])"
        " for (let query = 0; query < tokens + (page.mean ? 1 : 0); query += 3) set({method, head, query})"
    )
    missing = "Nobody looks at a mean" if asks_mean else ""
    if kind == "merged heads":
        missing = "This page holds single heads"
    browser.js(f"set({{method: 'received', head: 1, query: {'tokens' if asks_mean else '5'}}})")
    assert missing in text(browser, "#range-note")
    assert (browser.js("look().values") is None) == bool(missing)
