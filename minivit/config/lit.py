"""LiT: an image tower, a text tower, and what they need to meet."""

from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from .vit import GELUS, ViTConfig, check_choices


@dataclass(frozen=True)
class TextConfig:
    """One text tower.  "bert": the encoder of BERT, padding masked, read at its first token; "transformer": a table of
    embeddings and the encoder of the Vision Transformer, read at its last token."""

    family: ClassVar[str] = "text"

    kind: str  # "bert" | "transformer"
    width: int  # numbers per token [D]
    blocks: int  # [L]
    heads: int  # attention heads [H]
    mlp: int  # hidden width of the MLP [M]
    vocabulary: int  # word pieces that it knows [V]
    out: int  # numbers of an embedding [E]
    positions: int  # rows of its position table [Q]: the most tokens that it can read
    segments: int = 0  # rows of BERT's table of segments [S], of which LiT uses the first
    gelu: str = "tanh"
    eps: float = 1e-6  # LayerNorm: 1e-12 in BERT

    def __post_init__(self):
        check_choices(self, kind=("bert", "transformer"), gelu=GELUS)
        sizes = (self.width, self.blocks, self.heads, self.mlp, self.vocabulary, self.out, self.positions)
        if min(sizes) < 1 or self.width % self.heads or not 0 < self.eps < 1:
            raise InputError(f"{self.name}: expected positive sizes, and a width that {self.heads} heads divide")

    @property
    def name(self):
        return f"text tower ({self.kind}, width {self.width})"

    @property
    def head_width(self):
        return self.width // self.heads

    @property
    def letters(self):
        """{letter of the shapes glossary: number}."""
        sizes = {"D": self.width, "H": self.heads, "K": self.head_width, "M": self.mlp, "V": self.vocabulary}
        return {**sizes, "E": self.out, "Q": self.positions, "S": self.segments}


@dataclass(frozen=True)
class LiTConfig:
    """One LiT model (Zhai et al., arXiv:2111.07991).  `img.classes` is the width of the image tower's head, if any."""

    family: ClassVar[str] = "lit"
    classes: ClassVar[None] = None  # it has none of its own: any text can be one

    name: str
    img: ViTConfig
    txt: TextConfig
    length: int = 16  # tokens of a text as it is fed: longer ones are cut, shorter ones filled up

    def __post_init__(self):
        if self.txt.out != self.out:
            raise InputError(
                f"{self.name}: images become {self.out} numbers and texts {self.txt.out}, expected as many"
            )
        if not 2 <= self.length <= self.txt.positions:
            raise InputError(f"{self.name}: length is {self.length}, expected 2 to {self.txt.positions} tokens")

    @property
    def out(self):
        """Numbers of an embedding [E]."""
        return self.img.classes or self.img.width

    @property
    def blocks(self):
        """Blocks of both towers."""
        return self.img.blocks + self.txt.blocks

    @property
    def letters(self):
        """{letter of the shapes glossary: number} of the image tower; those of the text tower begin with "txt."."""
        txt = {f"txt.{letter}": number for letter, number in self.txt.letters.items()}
        return {**self.img.letters, **txt, "E": self.out}

    @property
    def grid(self):
        return self.img.grid

    def grid_of(self, height, width):
        return self.img.grid_of(height, width)

    # what is asked of any config, and known to the image tower

    @property
    def image(self):
        return self.img.image

    @property
    def channels(self):
        return self.img.channels

    @property
    def patch_channels(self):
        return self.img.patch_channels

    @property
    def preprocess(self):
        return self.img.preprocess

    @property
    def prefix(self):
        return self.img.prefix

    @property
    def pool(self):
        return self.img.pool
