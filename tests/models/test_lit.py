"""LiT: names and shapes of every tensor, what either tower reads, and planted mistakes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lit_files import BERT, SMALL, write_lit, write_pictures

import minivit
from minivit import check, checkpoints, names, params, tiers
from minivit.config import LiTConfig
from minivit.errors import InputError
from minivit.lit import PROMPTS, LitModel
from minivit.models import lit, vit
from minivit.trace import make_tap

GOLDEN = Path(__file__).parents[1] / "golden"
CONFIGS = {"bert": BERT, "small": SMALL, "image head": replace(BERT, img=replace(BERT.img, classes=32, width=48))}
TOKENS = {
    "bert": np.array([[2, 3, 6, 0, 0, 0], [2, 3, 7, 8, 9, 0]]),
    "small": np.array([[5, 9, 1, 1], [6, 2, 8, 1]]),
}
TOKENS["image head"] = TOKENS["bert"]
IMAGES = np.random.default_rng(0).standard_normal((2, 24, 24, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lit")
    return {name: write_lit(folder, config) for name, config in (("bert", BERT), ("small", SMALL))}


def trace_of(config, tokens, images=IMAGES, dtype="float32"):
    ops, tap = tiers.load("ref", dtype), make_tap(config, "*")
    model = LitModel(config, params.seeded(config), ops)
    lit.forward(model.params, images.astype(dtype), tokens, config, ops, tap)
    return tap.store


@pytest.mark.parametrize("kind", CONFIGS)
def test_trace_has_exactly_the_tensors_of_the_table_in_order_with_their_shapes(kind):
    config = replace(CONFIGS[kind], length=TOKENS[kind].shape[1])
    trace = trace_of(config, TOKENS[kind])
    assert list(trace) == list(names.of(config))
    for name, tensor in names.of(config).items():
        assert trace[name].shape == names.shape(tensor, config, batch=2), name


def test_embeddings_have_length_one_and_probabilities_sum_to_one():
    trace = trace_of(BERT, TOKENS["bert"], dtype="float64")
    for tower in ("img", "txt"):
        np.testing.assert_allclose(np.linalg.norm(trace[f"{tower}.normalised"], axis=-1), 1, atol=1e-7)
    np.testing.assert_allclose(trace["probs"].sum(1), 1)
    cosines = trace["img.normalised"] @ trace["txt.normalised"].T
    np.testing.assert_allclose(trace["similarity"], trace["temperature"] * cosines)


def test_padding_does_not_change_what_bert_says_of_a_text():
    short, long = np.array([[2, 3, 6]]), np.array([[2, 3, 6, 0, 0, 0, 0]])
    one, other = (trace_of(BERT, tokens, dtype="float64") for tokens in (short, long))
    np.testing.assert_allclose(one["txt.normalised"], other["txt.normalised"], rtol=1e-12)
    assert not other["txt.block0.attn.probs"][..., 3:].any()


def test_the_small_tower_reads_its_last_token_and_bert_its_first():
    for kind, place in (("bert", 0), ("small", -1)):
        config = CONFIGS[kind]
        tree = params.seeded(config)["txt"]
        tap = make_tap(config, [f"txt.block{config.txt.blocks - 1}.*", "txt.head.pooled"])
        lit.embed_texts({"txt": tree}, TOKENS[kind], config, tiers.load(), tap)
        y = tap.store["txt.head.pooled"]
        last = tap.store[f"txt.block{config.txt.blocks - 1}.{'ln2.out' if kind == 'bert' else 'resid_post'}"][:, place]
        if kind == "small":
            last = tiers.load().layernorm(last, **tree["norm"], eps=config.txt.eps)
        np.testing.assert_allclose(y, last, rtol=1e-6)


def test_the_image_tower_is_the_plain_vision_transformer(files):
    model = minivit.load(files["bert"])
    z = vit.forward(model.params["img"], IMAGES, BERT.img, model.ops)
    np.testing.assert_allclose(model.embed_images(IMAGES), z / np.linalg.norm(z, axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(model.tower.run(IMAGES), z)


@pytest.mark.parametrize(
    ("mistake", "first"),
    [
        ({"eps": 1e-3}, "txt/embeddings_ln"),
        ({"gelu": "erf"}, "txt/block00/gelu"),
        ({"heads": 6}, "txt/block00/q"),
    ],
)
def test_a_wrong_setting_of_the_text_tower_is_found_where_it_acts(mistake, first, monkeypatch):
    read = check.lit.checkpoints.read

    def wrong(path, **given):
        checkpoint = read(path, **given)
        return replace(checkpoint, config=replace(checkpoint.config, txt=replace(checkpoint.config.txt, **mistake)))

    monkeypatch.setattr(check.lit.checkpoints, "read", wrong)
    verdicts = check.run(GOLDEN / "lit__bert", dtype="float64")
    assert next(v.name for v in verdicts if not v.ok) == first


@pytest.mark.parametrize(
    ("case", "constant", "value", "first"),
    [("lit__bert", "MASKED", 0.0, "txt/block00/attn_probs"), ("lit__text_transformer", "EPS", 1e-3, "txt/normalized")],
)
def test_a_wrong_constant_is_found_where_it_acts(case, constant, value, first, monkeypatch):
    monkeypatch.setattr(lit, constant, value)
    verdicts = check.run(GOLDEN / case, dtype="float64")
    assert next(v.name for v in verdicts if not v.ok) == first


def test_your_own_tensors_are_judged_by_the_names_of_the_case():
    tensors = dict(np.load(GOLDEN / "lit__bert" / "tensors.npz"))
    tensors["txt/block01/k"] = tensors["txt/block01/q"]
    failed = [v.name for v in check.run(GOLDEN / "lit__bert", against=tensors) if not v.ok]
    assert failed == ["txt/block01/k"]


@pytest.mark.parametrize("kind", ["bert", "small"])
def test_zeroshot_averages_the_sentences_of_a_label(files, tmp_path, kind):
    model = minivit.load(files[kind])
    picture = write_pictures(tmp_path, 1)[0]
    labels, prompts = ["cat", "dog"], ("{}", "a {}.")
    found = model.zeroshot(picture, labels, prompts)
    points = model.embed_texts(["cat", "a cat.", "dog", "a dog."])
    classes = np.stack([points[:2].mean(0), points[2:].mean(0)])
    logits = (np.exp(model.params["similarity"]["t"]) * (model.embed_images(picture) @ classes.T))[0]
    order = np.argsort(-logits)
    assert [p.label for p in found] == [labels[i] for i in order]
    np.testing.assert_allclose([p.logit for p in found], logits[order], rtol=1e-5)
    assert sum(p.probability for p in found) == pytest.approx(1)
    assert [len(row) for row in model.zeroshot([picture, picture], labels)] == [2, 2]


def test_many_texts_are_embedded_as_one_by_one(files):
    model = minivit.load(files["small"])
    texts = [f"{a} {b}" for a in ("cat", "dog", "red", "small") for b in "abcdefghij"]
    done = []
    points = model.embed_texts(texts, progress=lambda *count: done.append(count))
    assert done == [(32, 40), (40, 40)]
    np.testing.assert_allclose(points[35], model.embed_texts(texts[35])[0], rtol=1e-4, atol=1e-6)


def test_the_official_prompts_are_eight():
    assert len(PROMPTS) == 8 and all(prompt.count("{}") == 1 for prompt in PROMPTS)


def test_tiers_agree(files):
    pytest.importorskip("numba", reason="tier cpu needs Numba")
    model, fast = (minivit.load(files["bert"], tier=tier) for tier in ("ref", "cpu"))
    np.testing.assert_allclose(fast.embed_texts("a cat"), model.embed_texts("a cat"), atol=2e-5)
    coarse = minivit.load(files["bert"], tier="cpu", dtype="int8")
    assert (coarse.embed_texts("a cat") @ model.embed_texts("a cat").T).item() > 0.99


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (lambda model: model.embed_texts([]), "at least one text, got none"),
        (lambda model: model.embed_texts(""), "is empty"),
        (lambda model: model.zeroshot(IMAGES, ["cat"], prompts=["a photo"]), "has no {}"),
        (lambda model: model.trace(IMAGES, keep="txt.block7.*"), "no tensor"),
        (lambda model: model.embed_images("none.png"), "none.png: no such file"),
    ],
)
def test_bad_input_is_refused(files, act, problem):
    with pytest.raises(InputError, match=problem):
        act(minivit.load(files["bert"]))


def test_a_missing_vocabulary_matters_only_for_texts(files, tmp_path):
    alone = tmp_path / "LiT-alone.npz"
    alone.write_bytes(files["bert"].read_bytes())
    model = minivit.load(alone)
    assert model.embed_images(IMAGES).shape == (2, 32)
    with pytest.raises(InputError, match=r"LiT-alone.txt: no such file; .* reads texts with its vocabulary"):
        model.embed_texts("a cat")
    given = minivit.load(alone, vocabulary=files["bert"].with_suffix(".txt"))
    assert given.embed_texts("a cat").shape == (1, 32)


def test_towers_must_end_in_the_same_space():
    with pytest.raises(InputError, match="images become 32 numbers and texts 16"):
        LiTConfig("wrong", BERT.img, replace(BERT.txt, out=16))


def test_what_a_plain_model_does_not_take_is_refused(files):
    with pytest.raises(InputError, match="reads no texts"):
        minivit.load("demo", vocabulary="words.txt")
    with pytest.raises(InputError, match="no classes to label"):
        minivit.load(files["bert"], labels="labels.txt")


def test_saved_by_minivit_itself_it_is_the_same(files, tmp_path):
    checkpoint = checkpoints.read(files["bert"])
    path = tmp_path / "LiT-own.safetensors"
    checkpoints.native.write(path, checkpoint.config, checkpoint.params())
    again = checkpoints.read(path)
    assert again.config == checkpoint.config
    ours, theirs = (params.flatten(one.params()) for one in (again, checkpoint))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
