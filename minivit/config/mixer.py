"""The MLP-Mixer: a Vision Transformer with another MLP in the place of attention."""

from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from .preprocess import GOOGLE, Preprocess
from .vit import GELUS, check_choices, check_sizes


@dataclass(frozen=True)
class MixerConfig:
    """One MLP-Mixer (Tolstikhin et al., arXiv:2105.01601).  Its number of tokens is part of its weights."""

    family: ClassVar[str] = "mixer"
    pool: ClassVar[str] = "gap"
    prefix: ClassVar[int] = 0

    name: str
    patch: int  # side of a square patch in pixels [P]
    width: int  # numbers per token [D]
    blocks: int  # [L]
    token_mlp: int  # hidden width of the MLP across tokens [S]
    mlp: int  # hidden width of the MLP across channels [M]
    classes: int | None = 1000  # [C]
    image: tuple[int, int] = (224, 224)  # (height, width) in pixels, the only one that it reads
    channels: int = 3
    gelu: str = "tanh"
    eps: float = 1e-6
    preprocess: Preprocess = GOOGLE

    def __post_init__(self):
        check_sizes(self, "patch", "width", "blocks", "token_mlp", "mlp", "channels")
        check_choices(self, gelu=GELUS)

    @property
    def patch_channels(self):
        """Channels of what is cut into patches."""
        return self.channels

    @property
    def cell(self):
        """Side of the square of pixels that a token stands for."""
        return self.patch

    @property
    def letters(self):
        """{letter of the shapes glossary: number}."""
        return {
            "C": self.classes,
            "D": self.width,
            "M": self.mlp,
            "N": self.tokens,
            "P": self.patch,
            "S": self.token_mlp,
        }

    @property
    def grid(self):
        """(rows, columns) of patches."""
        return self.grid_of(*self.image)

    def grid_of(self, height, width):
        """(rows, columns) of patches in an image; the last ones may be padded with zeros, as SAME convolutions do."""
        return -(-height // self.patch), -(-width // self.patch)

    @property
    def tokens(self):
        """Tokens per image [N]."""
        return self.grid[0] * self.grid[1]

    def check_image(self, height, width):
        """Raise InputError for pixels that make another grid of patches than the one that the weights are for."""
        if self.grid_of(height, width) != self.grid:
            reads = f"{self.name} reads {self.image[0]}×{self.image[1]} pixels, got {height}×{width}"
            why = f"a Mixer cannot change resolution, for its MLP across tokens has weights for {self.tokens} patches"
            raise InputError(f"{reads}: {why}; leave the size away, or take a Vision Transformer or a hybrid")
