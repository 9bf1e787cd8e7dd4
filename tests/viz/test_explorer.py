"""The explorer's page: what it holds against the trace, its size, what cannot be shown.  Its looks: …_browser.py."""

import base64
import html
import io
import json
import os
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from explorer_pages import SIZE, arrays, balloon, facts, kept, model
from PIL import Image

import minivit
from minivit import InputError, names
from minivit.cli import main
from minivit.config import variant
from minivit.viz import explain, explorer, explorer_data, explorer_pack, flow

KINDS = {
    "class token": {},
    "two tokens in front": {"prefix": 2, "distilled_head": True},
    "mean of the patches": {"prefix": 0, "pool": "gap"},
    "mean beside a class token": {"pool": "gap", "norm_after_pool": True},
    "representation": {"representation": 24},
}
HOSTILE = "<script>window.hacked = 1</script>\"'&é☃</title>.png"

STILL = explorer.still


@pytest.fixture(scope="module", autouse=True)
def small_figure():
    """Most tests do without the figure for readers without scripts: it takes longer than all the rest of a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explorer, "still", lambda trace, name: b"no figure")
        yield


@pytest.fixture(scope="module", params=KINDS)
def explored(request):
    """(model, its trace of the picture, its page)."""
    subject = model(**KINDS[request.param])
    return subject, subject.trace(balloon(), size=SIZE), explorer.explore(subject, balloon(), SIZE).html


def check(page, name, expected):
    found, allowed = kept(page, name)
    assert found.shape == expected.shape
    assert np.all(abs(found - expected) <= allowed + 1e-6 * abs(expected).max())


def asked(rows, config):
    # rows (...,N,·) -> with the mean of the patches as one more, where that is the feature
    if config.pool != "gap" and config.prefix:
        return rows
    return np.concatenate([rows, rows[..., config.prefix :, :].mean(-2, keepdims=True)], -2)


def feature(rows, config):
    return asked(rows, config)[..., 0 if config.prefix and config.pool != "gap" else -1, :]


def test_attention_of_every_head_and_token_is_that_of_the_trace(explored):
    subject, trace, page = explored
    expected = np.stack([trace[f"block{i}.attn.probs"][0] for i in range(subject.config.blocks)])
    check(page, "attention", asked(expected, subject.config))


def test_tokens_in_front_of_the_patches_are_not_rounded(explored):
    subject, trace, page = explored
    expected = trace["block1.attn.probs"][0, :, :, : subject.config.prefix]
    tokens = expected.shape[1]
    assert np.array_equal(arrays(page)["attention.prefix"][1, :, :tokens], expected)


def test_rollout_up_to_every_block_is_that_of_flow(explored):
    subject, trace, page = explored
    probs = [trace[f"block{i}.attn.probs"] for i in range(subject.config.blocks)]
    expected = np.stack([flow.rollout(probs[: i + 1])[0] for i in range(len(probs))])
    check(page, "rollout", asked(expected, subject.config))


def test_relevance_is_that_of_each_of_the_best_classes(explored):
    subject, _, page = explored
    expected = []
    for index, _ in facts(page)["pictures"][0]["answer"]:
        _, trace, gradients = explain.class_gradients(subject, subject.preprocess(balloon(), SIZE), index)
        pairs = [(trace[f"block{i}.attn.probs"], gradients[f"block{i}.attn.probs"]) for i in range(4)]
        steps = [flow.relevance(*zip(*pairs[: i + 1], strict=True))[0] for i in range(4)]
        expected.append([feature(R - np.eye(len(R)), subject.config) for R in steps])
    check(page, "relevance", np.array(expected))


def test_the_lens_after_the_last_block_is_the_model_s_answer(explored):
    subject, trace, page = explored
    found, best = arrays(page), subject.top(trace["logits"][0])
    row = 0 if subject.config.prefix and subject.config.pool != "gap" else -1
    assert [int(i) for i in found["lens.best"][-1, row]] == [p.index for p in best]
    assert np.allclose(found["lens.share"][-1, row], [p.probability for p in best], rtol=1e-5)
    answer = facts(page)["pictures"][0]["answer"]
    assert [index for index, _ in answer] == [p.index for p in best]


def test_the_lens_of_a_patch_is_the_head_applied_to_it(explored):
    subject, trace, page = explored
    tokens, swap, row = trace["block2.resid_post"], subject.config.prefix + 7, subject.config.prefix + 7
    everywhere = np.repeat(tokens[:, swap : swap + 1], tokens.shape[1], 1)  # then every pooling gives that token
    logits = subject.run(balloon(), SIZE, patch={"block3.resid_post": lambda x: everywhere})[0]
    best = subject.top(logits)
    assert [int(i) for i in arrays(page)["lens.best"][3, row]] == [p.index for p in best]
    classes = [index for index, _ in facts(page)["pictures"][0]["answer"]]
    p = np.exp(logits - logits.max(), dtype=np.float64)
    found, allowed = kept(page, "lens")
    assert np.all(abs(found[:, 2, row] - (p / p.sum())[classes]) <= allowed[:, 2, 0] + 1e-6)


def test_cosines_lengths_and_paths_are_those_of_the_residual_stream(explored):
    subject, trace, page = explored
    stream = np.stack([trace["embed.out"][0], *(trace[f"block{i}.resid_post"][0] for i in range(4))]).astype(float)
    rows = asked(stream, subject.config)
    length = np.linalg.norm(rows, axis=-1)
    cosine = np.einsum("lqd,lnd->lqn", rows[1:], stream[1:])
    cosine /= length[1:, :, None] * np.linalg.norm(stream[1:], axis=-1)[:, None]
    check(page, "similar", cosine)
    check(page, "length", length[1:, : stream.shape[1]])
    found = arrays(page)
    assert np.allclose(found["path.length"], length, rtol=1e-5)
    turn = (rows[1:] * rows[:-1]).sum(-1) / (length[1:] * length[:-1])
    assert np.allclose(found["path.turn"], turn, atol=1e-6)


def test_a_large_model_keeps_merged_heads_and_the_single_ones_of_what_is_asked(explored, monkeypatch):
    subject, trace, _ = explored
    monkeypatch.setattr(explorer_data, "EVERY_HEAD", 1)
    monkeypatch.setattr(explorer_data, "relevance_arrays", lambda *_: {})
    page = explorer.explore(subject, balloon(), SIZE)
    every = asked(np.stack([trace[f"block{i}.attn.probs"][0] for i in range(4)]), subject.config)
    check(page.html, "merged", np.stack([every.mean(1), every.max(1), every.min(1)], 1))
    prefix, tokens = subject.config.prefix, trace["embed.out"].shape[1]
    check(page.html, "attention", np.concatenate([every[:, :, :prefix], every[:, :, tokens:]], 2))
    assert "Single heads are kept" in page.left_out[0] and page.left_out[0] in page.html


def test_without_classes_there_is_no_lens_and_no_relevance_and_the_page_says_so():
    page = explorer.explore(model(classes=None), balloon(), SIZE)
    assert not {"lens", "lens.best", "relevance"} & arrays(page.html).keys()
    assert "no logit lens and no relevance" in page.html


def test_a_model_with_logits_per_token_has_a_lens_but_no_relevance():
    page = explorer.explore(model(pool="unpooled"), balloon(), SIZE)
    assert "relevance" not in arrays(page.html) and "lens" in arrays(page.html)
    assert "Relevance: demo gives logits for every token" in page.left_out[0]


@pytest.mark.parametrize("name", ["hf__deit_distilled", "hf__vit_model_pooler", "vit__gap"])
def test_golden_checkpoints_can_be_explored(name):
    folder = Path("tests/golden") / name
    native = folder / "weights.npz"
    page = explorer.explore(minivit.load(native if native.exists() else folder), balloon())
    assert "attention" in arrays(page.html)


def test_a_row_of_zeros_stays_zeros():
    found = explorer_data.quantised({"x": np.zeros((2, 5))}, model().config)
    assert not found["x"].any() and not found["x.step"].any()


def test_deit_tiny_on_a_photograph_fits_in_3_mb(monkeypatch):
    monkeypatch.setattr(explorer, "still", STILL)
    folder = os.environ.get("MINIVIT_DATA")
    if not folder:
        pytest.skip("MINIVIT_DATA is not set: no DeiT-tiny weights")
    with pytest.warns(UserWarning, match="prepare images"):
        deit = minivit.load(f"{folder}/deit_tiny/deit_tiny_patch16_224.timm.safetensors")
    page = explorer.explore(deit, f"{folder}/photos/coco_cats.png").html
    assert len(page.encode()) <= 3e6
    assert facts(page)["pictures"][0]["answer"][0][0] == 281  # tabby


@pytest.mark.parametrize(("name", "megabytes"), [("Ti/16", 3), ("B/16", 8)])
def test_attention_that_hardly_compresses_still_fits(name, megabytes):
    config, rng = variant(name), np.random.default_rng(0)
    # of all spreads of the logits, about this one makes the largest page
    A = np.exp(rng.normal(0, 0.4, (config.blocks, 1, config.heads, 197, 197)).astype(np.float32))
    stream = rng.normal(0.5, 1, (config.blocks + 1, 197, config.width)).astype(np.float32)
    maps, left_out = explorer_data.attention_arrays(list(A / A.sum(-1, keepdims=True)), config)
    _, blob = explorer_pack.pack(maps | explorer_data.stream_arrays(stream, config))
    rest = 0.8e6  # photograph, figure, lens, relevance, script
    assert not left_out and len(blob) + rest <= megabytes * 1e6


class Tags(HTMLParser):
    """Every tag with its attributes, and the text of <title>."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.title, self._inside = [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "title":
            self.title += data


def test_the_page_refers_to_nothing_outside_and_forbids_the_browser_to_load_anything():
    tags = Tags(explorer.explore(model(), balloon(), SIZE).html).tags
    referred = [value for _, attributes in tags for key, value in attributes.items() if key in ("src", "href")]
    assert referred and all(value.startswith("data:") for value in referred)
    policy = next(a["content"] for tag, a in tags if tag == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy and "http" not in policy


def test_hostile_names_and_labels_are_text(tmp_path):
    labels = (HOSTILE, "</script><script>window.hacked = 1</script>", *map(str, range(8)))
    path = tmp_path / HOSTILE.replace("/", "∕")
    Image.fromarray(balloon()).save(path)
    page = explorer.explore(model(labels=labels), str(path), SIZE).html
    usual = explorer.explore(model(), balloon(), SIZE).html
    parsed = Tags(page)
    assert parsed.title.endswith(path.name)
    assert [tag for tag, _ in parsed.tags] == [tag for tag, _ in Tags(usual).tags]
    assert facts(page)["pictures"][0]["name"] == path.name
    assert HOSTILE in facts(page)["pictures"][0]["labels"].values()


def test_a_name_that_utf8_cannot_hold_does_not_stop_the_page(tmp_path):
    name = os.fsdecode(b"cat-\xff.png")
    try:
        Image.fromarray(balloon()).save(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    page = explorer.explore(model(), tmp_path / name, SIZE)
    page.save(tmp_path / "page.html")
    assert Tags((tmp_path / "page.html").read_text("utf-8")).title.endswith("cat-?.png")


def test_a_notebook_gets_the_page_in_a_frame_and_a_png(monkeypatch):
    monkeypatch.setattr(explorer, "still", STILL)
    page = explorer.explore(model(), balloon(), SIZE)
    bundle = page._repr_mimebundle_()
    tag, attributes = Tags(bundle["text/html"]).tags[0]
    assert tag == "iframe" and attributes["srcdoc"] == page.html and attributes["sandbox"] == "allow-scripts"
    assert page.html.encode() in html.unescape(bundle["text/html"]).encode()
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as image:
        assert image.format == "PNG" and image.width >= 800


def test_several_pictures_stand_on_one_page():
    text = explorer.explore(model(), [balloon(0), balloon(1), balloon(2)], SIZE).html
    assert [p["name"] for p in facts(text)["pictures"]] == ["picture 1", "picture 2", "picture 3"]
    assert "Only the first picture is shown." in text
    assert not np.array_equal(arrays(text, 0)["attention"], arrays(text, 2)["attention"])


def test_more_pictures_than_a_page_holds_become_pages_that_link_to_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(explorer, "PAGE", 1)
    monkeypatch.setattr(explorer_data, "relevance_arrays", lambda *_: {})
    said = []
    images = [balloon(i) for i in range(3)]
    pages = explorer.write(model(), images, tmp_path / "all.html", SIZE, lambda *counts: said.append(counts))
    assert [path.name for path, _ in pages] == ["all.html", "all-2.html", "all-3.html"]
    assert said == [(1, 3), (2, 3), (3, 3)]
    tags = Tags((tmp_path / "all-2.html").read_text("utf-8")).tags
    assert [a["href"] for tag, a in tags if tag == "a"] == ["all.html", "all-3.html"]


def test_one_page_refuses_more_pictures_than_it_holds_after_the_first(monkeypatch):
    monkeypatch.setattr(explorer, "PAGE", 1)
    with pytest.raises(InputError, match=r"3 pictures of .* MB are more than a page .* holds \(1\)"):
        explorer.explore(model(), [balloon()] * 3, SIZE)


def test_a_model_without_attention_is_refused_in_one_line(monkeypatch):
    known = {name: t for name, t in names.of(model().config).items() if "attn" not in name}
    monkeypatch.setattr(names, "of", lambda config: known)
    with pytest.raises(InputError, match=r"^demo has no attention, so there is nothing to explore"):
        explorer.explore(model(), balloon(), SIZE)


def test_too_many_tokens_are_refused_before_the_model_runs():
    with pytest.raises(InputError, match=r"4097 tokens in 4 blocks are .* million numbers.*--size"):
        explorer.explore(model(), balloon(), (1024, 1024))


@pytest.mark.parametrize("images", [[], np.zeros((2, 32, 32, 3), np.float32)])
def test_no_picture_and_a_batch_are_refused(images):
    with pytest.raises(InputError, match="expected"):
        explorer.explore(model(), images)


def run(capsys, *arguments):
    return main(["explore", *map(str, arguments)]), *capsys.readouterr()


def test_the_command_writes_a_page(capsys, tmp_path):
    Image.fromarray(balloon()).save(tmp_path / "a.png")
    page = tmp_path / "page.html"
    code, out, _ = run(capsys, tmp_path / "a.png", "--model", "demo", "--size", "64x96", "-o", page)
    assert code == 0 and "open it in a browser" in out
    assert Tags(page.read_text("utf-8")).title == "Inside demo model, never trained: a.png"


def test_the_command_tells_programs_what_it_wrote(capsys, tmp_path):
    Image.fromarray(balloon()).save(tmp_path / "a.png")
    page = tmp_path / "page.html"
    code, out, _ = run(capsys, tmp_path / "a.png", "--model", "demo", "--size", "64x96", "-o", page, "--json")
    answer = json.loads(out)
    assert code == 0 and answer["model"] == "demo"
    assert answer["pages"] == [{"page": str(page), "bytes": page.stat().st_size, "left_out": []}]


def test_the_command_refuses_another_kind_of_file(capsys, tmp_path):
    code, _, err = run(capsys, "a.png", "--model", "demo", "-o", tmp_path / "page.png")
    assert code == 2 and "ends in .html" in err and err.count("\n") == 1
