"""SentencePiece (Kudo and Richardson, arXiv:1808.06226) as LiT's small text towers use it; by its own library."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

INSTALL = "pip install sentencepiece, or 'minivit[lit]'"


@dataclass(frozen=True)
class LitTokenizer:
    """As vit_jax/preprocess.py: the pieces, then </s> to the end ("sticky eos"): the last number is always </s>."""

    processor: object  # sentencepiece.SentencePieceProcessor

    @classmethod
    def read(cls, path):
        """From a .model file.  Raises InputError if it is none, or if the library is not there."""
        try:
            import sentencepiece
        except ImportError as error:
            raise InputError(f"{path}: this vocabulary needs the library sentencepiece: {INSTALL}") from error
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=Path(path).read_bytes())
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); expected a .model of SentencePiece"
            ) from error
        except RuntimeError as error:
            raise InputError(f"{path}: not a .model of SentencePiece, or a damaged one; download it again") from error
        if processor.eos_id() < 0:
            raise InputError(f"{path}: this vocabulary has no </s>, which LiT puts at the end of every text")
        return cls(processor)

    @property
    def size(self):
        return self.processor.vocab_size()

    def ids(self, text):
        """The numbers of the pieces, without </s> and of any length."""
        return self.processor.encode(text)

    def fill(self, ids, length):
        """Exactly `length` numbers: the first pieces, then </s>."""
        kept = ids[: length - 1]
        return kept + [self.processor.eos_id()] * (length - len(kept))
