"""BERT's word pieces (Devlin et al., arXiv:1810.04805; Wu et al., arXiv:1609.08144), as LiT and Hugging Face feed them.

A word becomes the longest piece of the vocabulary that it begins with, then the longest "##piece" that goes on, to its
end; a word that cannot be put together from pieces becomes one [UNK].
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .words import huggingface_words, tensorflow_words

SPECIAL = ("[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]")
LONGEST = 100  # of a word: bytes for TensorFlow, characters for Hugging Face


@dataclass(frozen=True)
class LitTokenizer:
    """As vit_jax/preprocess.py: [CLS] and the word pieces of tensorflow_text, no [SEP], then zeros."""

    vocabulary: dict[str, int]

    @classmethod
    def read(cls, path):
        return cls(read_vocabulary(path))

    @property
    def size(self):
        return len(self.vocabulary)

    def ids(self, text):
        """The numbers of the word pieces, without [CLS] and of any length."""
        unknown = self.vocabulary.get("[UNK]", self.size)
        found = []
        for word in tensorflow_words(text):
            pieces = None if len(word.encode("utf-8", "replace")) > LONGEST else split_word(word, self.vocabulary)
            found += [unknown] if pieces is None else [self.vocabulary[piece] for piece in pieces]
        return found

    def fill(self, ids, length):
        """Exactly `length` numbers: [CLS], the first pieces, zeros (which the text tower does not attend to)."""
        row = [self.vocabulary["[CLS]"], *ids][:length]
        return row + [0] * (length - len(row))


@dataclass(frozen=True)
class HuggingFaceTokenizer:
    """As transformers' BertTokenizer: "[CLS]" and the like in a text are kept, [CLS] and [SEP] put around it."""

    vocabulary: dict[str, int]
    lower_case: bool = True

    def tokens(self, text):
        """The word pieces, as texts."""
        special = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")
        found = []
        for part in special.split(text):
            for word in [part] if part in SPECIAL else huggingface_words(part, self.lower_case):
                pieces = [word] if part in SPECIAL else None
                if pieces is None and len(word) <= LONGEST:
                    pieces = split_word(word, self.vocabulary)
                found += pieces or ["[UNK]"]
        return found

    def ids(self, text):
        """The numbers of the word pieces, without [CLS] and [SEP] and of any length."""
        return [self.vocabulary[token] for token in self.tokens(text)]

    def fill(self, ids, length):
        """Exactly `length` numbers: [CLS], the first pieces, [SEP], [PAD]."""
        row = [self.vocabulary["[CLS]"], *ids[: length - 2], self.vocabulary["[SEP]"]]
        return row + [self.vocabulary["[PAD]"]] * (length - len(row))


def split_word(word, vocabulary):
    """The pieces of a word, greedily the longest first; None if there is no way to go on."""
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if mark + word[start:end] in vocabulary), None)
        if end is None:
            return None
        pieces.append(mark + word[start:end])
        start = end
    return pieces


def read_vocabulary(path):
    """{piece: number} of a file with one piece per line.  Raises InputError if it is not BERT's."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a vocabulary, a text file of word pieces ({error})") from error
    lines = [line.rstrip("\r") for line in lines]
    vocabulary = {piece: i for i, piece in enumerate(lines[:-1] if lines[-1] == "" else lines)}
    if "[CLS]" not in vocabulary or len(vocabulary) < len(lines) - 1:
        problem = "has no [CLS]" if "[CLS]" not in vocabulary else "says a word piece twice"
        raise InputError(f"{path}: {problem}; expected the vocabulary of a BERT, one word piece per line")
    return vocabulary
