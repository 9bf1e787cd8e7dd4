"""A text as BERT's words: without case and accents, split at spaces and around punctuation and Chinese characters.

The original program, TensorFlow Text (which LiT was trained with) and Hugging Face agree on plain English and differ
on nearly everything else: what folding does to ß, ligatures and fractions, and which characters vanish or separate.
"""

import itertools
import re
import unicodedata

#: ASCII signs that separate, letters, digits and the space aside; some, such as "$", are not punctuation in Unicode
_SIGNS = frozenset(map(chr, (*range(0x21, 0x30), *range(0x3A, 0x41), *range(0x5B, 0x61), *range(0x7B, 0x7F))))
#: Chinese characters, which stand for words
_IDEOGRAPHS = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)
#: Unicode's Default_Ignorable_Code_Point, such as the soft hyphen: NFKC_Casefold removes them
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def tensorflow_words(text):
    """The words of tensorflow_text.BertTokenizer(lower_case=True), which is LiT's (its bert_tokenizer.py).

    Unicode's NFKC_Casefold (ß -> ss, ½ -> 1/2), accents removed, control characters turned into spaces.
    """
    text = without_accents(nfkc_casefold(text))
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)
    return [word for part in text.split(" ") for word in split(part)]  # other spaces, such as U+2028, stay in words


def huggingface_words(text, lower_case=True):
    """The words of transformers' BertTokenizer (its BasicTokenizer): lower case, control characters removed."""
    text = "".join(" " if _is_space(c) else c for c in text if _is_space(c) or not _is_control(c))
    text = unicodedata.normalize("NFC", "".join(f" {c} " if is_ideograph(c) else c for c in text))
    if lower_case:
        text = without_accents("".join(c.lower() for c in text))  # one by one: at the end of a word, too, Σ gives σ
    return [word for part in text.split() for word in split(part)]


def nfkc_casefold(text):
    """Unicode's toNFKC_Casefold: compatibility forms and case removed, and what cannot be seen."""
    for _ in range(2):  # once more, because either step can make work for the other
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return _IGNORABLE.sub("", text)


def without_accents(text):
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def split(text):
    """The runs of other characters, and every punctuation mark and Chinese character by itself."""
    for alone, run in itertools.groupby(text, key=lambda c: is_punctuation(c) or is_ideograph(c)):
        word = "".join(run)
        yield from word if alone else [word]


def is_punctuation(c):
    return c in _SIGNS or unicodedata.category(c).startswith("P")


def is_ideograph(c):
    return any(first <= ord(c) <= last for first, last in _IDEOGRAPHS)


def _is_space(c):
    return c in "\t\n\r" or unicodedata.category(c) == "Zs"


def _is_control(c):
    return c in "\0\ufffd" or unicodedata.category(c).startswith("C")
