"""Tokenizers: equal to the official ones on every text, and what happens to texts that do not fit."""

import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from sentencepiece_files import model_file

from minivit import text
from minivit.config import TextConfig
from minivit.errors import InputError
from minivit.text import bert
from minivit.text import sentencepiece as pieces
from minivit.text.words import huggingface_words, nfkc_casefold, tensorflow_words

GOLDEN = Path(__file__).parents[1] / "golden"
UNCASED = GOLDEN / "tokenizer__bert_uncased" / "vocab.txt"
DEMO = json.loads((GOLDEN / "lit_demo" / "expected_tokens.json").read_text())


def expected(case):
    return json.loads((GOLDEN / case / "expected.json").read_text())


@pytest.fixture(scope="module")
def lit_bert():
    return bert.LitTokenizer.read(UNCASED)


@pytest.fixture(scope="module")
def demo_model(tmp_path_factory):
    pytest.importorskip("sentencepiece", reason="the extra `lit` is not installed")
    path = tmp_path_factory.mktemp("demo") / "LiT-L16Ti.model"
    path.write_bytes(model_file(json.loads((GOLDEN / "lit_demo" / "vocabulary.json").read_text())))
    return path


@pytest.fixture(scope="module")
def lit_pieces(demo_model):
    return pieces.LitTokenizer.read(demo_model)


def test_lit_bert_is_equal_to_tensorflow_text(lit_bert):
    known = expected("tokenizer__lit_bert")
    assert len(known) == 70
    assert [lit_bert.ids(case["text"]) for case in known] == [case["ids"] for case in known]
    filled = [lit_bert.fill(lit_bert.ids(case["text"]), 16) for case in known]
    np.testing.assert_array_equal(filled, np.load(GOLDEN / "tokenizer__lit_bert" / "tokens.npz")["tokens"])


@pytest.mark.parametrize(
    ("case", "lower_case", "count"), [("tokenizer__bert_uncased", True, 70), ("tokenizer__bert_cased_tiny", False, 9)]
)
def test_bert_is_equal_to_hugging_face(case, lower_case, count):
    known = expected(case)
    tokenizer = bert.HuggingFaceTokenizer(bert.read_vocabulary(GOLDEN / case / "vocab.txt"), lower_case)
    assert len(known) == count
    for one in known:
        ids = tokenizer.ids(one["text"])
        assert (tokenizer.tokens(one["text"]), ids) == (one["tokens"], one["ids"])
        assert tokenizer.fill(ids, 16) == one["padded16"]
        assert tokenizer.fill(ids, len(ids) + 2) == one["ids_special"]
        assert huggingface_words(one["text"], lower_case) == one["basic_tokens_without_special_handling"]


def test_sentencepiece_is_equal_to_the_published_demo(lit_pieces):
    assert len(DEMO) == 296
    for case in DEMO:
        ids = lit_pieces.ids(
            unicodedata.normalize("NFKC", case["text"])
        )  # the .model's own normaliser is not published
        assert ids == case["sentencepiece_ids"]
        assert lit_pieces.fill(ids, 16) == case["sticky_eos16"]
        if case["ids"] is not None:  # where the demo's JavaScript does not stop at an unknown character
            assert ids == case["ids"]


def test_the_last_token_is_always_the_end(lit_pieces):
    for words in (1, 15, 40):
        row = lit_pieces.fill(lit_pieces.ids("dog " * words), 16)
        assert len(row) == 16 and row[-1] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Straße", ["strasse"]),
        ("½ cup", ["1⁄2", "cup"]),
        ("a\u00adb\u200bc", ["abc"]),
        ("a\u0001b", ["a", "b"]),
        ("line\u2028end", ["line\u2028end"]),
        ("don't", ["don", "'", "t"]),
        ("$5", ["$", "5"]),
        ("大学", ["大", "学"]),
    ],
)
def test_words_as_tensorflow_text_sees_them(text, words):
    assert tensorflow_words(text) == words


def test_folding_again_changes_nothing():
    text = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x11000))))
    once = nfkc_casefold(text)
    assert nfkc_casefold(once) == once


def test_rows_are_filled_and_cut_with_a_warning(lit_bert):
    with pytest.warns(UserWarning, match="has 17 word pieces; the model reads the first 15 of them"):
        rows = text.rows(lit_bert, ["a cat", "cat " * 17], 16)
    assert rows.dtype == np.int32 and rows.shape == (2, 16)
    assert rows[0].tolist() == [101, 1037, 4937] + [0] * 13
    assert rows[1].tolist() == [101] + [4937] * 15


def test_many_texts_that_are_cut_are_told_in_one_warning(lit_bert):
    with pytest.warns(UserWarning) as told:
        text.rows(lit_bert, ["cat " * 16, "a cat", "dog " * 20, "red " * 30], 16)
    assert len(told) == 1 and "(2 more texts are cut, too)" in str(told[0].message)


@pytest.mark.parametrize("empty", ["", "   ", "\u200b\n"])
def test_a_text_without_words_is_refused(lit_bert, empty):
    with pytest.raises(InputError, match="is empty: nothing in it is a word"):
        text.rows(lit_bert, ["a cat", empty], 16)


@pytest.mark.parametrize("bad", [None, 3, b"cat"])
def test_what_is_not_a_text_is_refused(lit_bert, bad):
    with pytest.raises(InputError, match="expected a text, got"):
        text.rows(lit_bert, [bad], 16)


def test_a_text_of_broken_unicode_is_refused(lit_bert, lit_pieces):
    for tokenizer in (lit_bert, lit_pieces):
        with pytest.raises(InputError, match="not valid Unicode"):
            text.rows(tokenizer, ["cat \udcff"], 16)


def tower(kind, vocabulary):
    return TextConfig(kind, 8, 1, 2, 16, vocabulary, out=4, positions=16)


def test_a_vocabulary_must_be_as_large_as_the_table(demo_model):
    assert text.read(UNCASED, tower("bert", 30522)).size == 30522
    assert text.read(demo_model, tower("transformer", 16000)).size == 16000
    for kind, path in (("bert", UNCASED), ("transformer", demo_model)):
        with pytest.raises(InputError, match="word pieces, but the text tower knows 120"):
            text.read(path, tower(kind, 120))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"cat\ndog\n", r"has no \[CLS\]"),
        (b"", r"has no \[CLS\]"),
        (b"[PAD]\n[CLS]\ncat\ncat\n", "says a word piece twice"),
        (b"\xff\xfe\x00", "cannot be read as a vocabulary"),
    ],
)
def test_a_bad_bert_vocabulary_is_refused(tmp_path, content, problem):
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(InputError, match=problem):
        bert.read_vocabulary(tmp_path / "bad.txt")


@pytest.mark.parametrize("content", [b"", b"cat\ndog\n", b"\x00" * 100])
def test_a_bad_sentencepiece_model_is_refused(lit_pieces, tmp_path, content):
    (tmp_path / "bad.model").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.model: .*(not a \.model|has no </s>)"):
        pieces.LitTokenizer.read(tmp_path / "bad.model")


@pytest.mark.parametrize("kind", ["bert", "transformer"])
def test_a_missing_vocabulary_is_named(tmp_path, kind):
    if kind == "transformer":
        pytest.importorskip("sentencepiece", reason="the extra `lit` is not installed")
    with pytest.raises(InputError, match=r"none.*cannot be read"):
        text.read(tmp_path / "none", tower(kind, 5))


def test_without_the_library_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(
        InputError, match=r"needs the library sentencepiece: pip install sentencepiece, or 'minivit\[lit\]'"
    ):
        text.read(tmp_path / "any.model", tower("transformer", 5))
