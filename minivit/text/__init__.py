"""From words to the numbers of a text tower: tokenizers, written out (BERT) or by their own library (SentencePiece).

tokenizer = text.read("LiT-B16B.txt", config.text)
tokenizer.ids("a photo of a cat")                    # [1037, 6302, 1997, 1037, 4937], whatever the length
text.rows(tokenizer, ["a photo of a cat"], 16)       # (1,16) int32, as the model reads it
"""

import warnings

import numpy as np

from ..errors import InputError


def read(path, config):
    """The tokenizer of a text tower (config.TextConfig) from its vocabulary file: lines for BERT, or a .model.

    Raises InputError if the file is not such a vocabulary, or not as large as the tower's table of embeddings.
    """
    if config.kind == "bert":
        from .bert import LitTokenizer as Tokenizer
    else:
        from .sentencepiece import LitTokenizer as Tokenizer
    tokenizer = Tokenizer.read(path)
    if tokenizer.size != config.vocabulary:
        raise InputError(
            f"{path}: {tokenizer.size} word pieces, but the text tower knows {config.vocabulary};"
            " give the vocabulary that was published with the checkpoint"
        )
    return tokenizer


def rows(tokenizer, texts, length):
    """The word pieces of texts as a text tower reads them: (n,length) int32, filled up, or cut with a warning.

    Raises InputError for anything that is not a text, and for a text in which the tokenizer finds no word.
    """
    found, cut = [], []
    for text in texts:
        ids = tokenizer.ids(_checked(text))
        if not ids:
            raise InputError(f"the text {text!r} is empty: nothing in it is a word; expected a description")
        if len(ids) >= length:
            cut.append((text, len(ids)))
        found.append(tokenizer.fill(ids, length))
    if cut:
        text, pieces = cut[0]
        start = text if len(text) <= 40 else text[:40] + "…"
        others = f" ({len(cut) - 1} more texts are cut, too)" if len(cut) > 1 else ""
        read = f"the model reads the first {length - 1} of them{others}"
        warnings.warn(f"the text {start!r} has {pieces} word pieces; {read}", stacklevel=3)
    return np.array(found, np.int32).reshape(len(found), length)


def _checked(text):
    if not isinstance(text, str):
        raise InputError(f"expected a text, got {type(text).__name__}")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError(f"the text {text!a} is not valid Unicode; expected UTF-8")
    return text
