"""The plain Vision Transformer."""

from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError, nearest
from .preprocess import GOOGLE, Preprocess

#: What some fields may be
POOLS = ("token", "gap", "unpooled", "token_unpooled")
GELUS = ("tanh", "erf")
POSITION_RESIZES = (
    *("corner_bilinear", "corner_bilinear_scipy", "bilinear", "bicubic"),
    *("bicubic_antialias", "bicubic_antialias_float32"),
)


@dataclass(frozen=True)
class ViTConfig:
    """One plain Vision Transformer.  Letters in brackets are those of the shapes glossary."""

    family: ClassVar[str] = "vit"  # the file in models/ that computes it

    name: str
    patch: int  # side of a square patch in pixels [P]
    width: int  # numbers per token [D]
    blocks: int  # encoder blocks [L]
    heads: int  # attention heads [H]; head width K = D / H
    mlp: int  # hidden width of the MLP [M]
    classes: int | None = 1000  # [C]; None: no head, the output is the pooled feature
    image: tuple[int, int] = (224, 224)  # (height, width) in pixels whose grid the position table covers
    channels: int = 3
    pool: str = "token"  # what becomes the image's feature: see POOLS
    prefix: int = 1  # tokens in front of the patches: 0 none, 1 class, 2 class and distillation
    representation: int | None = None  # width of the tanh layer before the head (JAX pre_logits, Hugging Face pooler)
    distilled_head: bool = False  # DeiT: a second head reads token 1 and the logits are the mean of both
    norm_after_pool: bool = False  # timm "avg": the final LayerNorm acts on the pooled feature (fc_norm)
    gelu: str = "tanh"  # "tanh" (JAX) | "erf" (Hugging Face, timm)
    eps: float = 1e-6  # LayerNorm: 1e-6 (JAX, timm) | 1e-12 (Hugging Face)
    qkv_bias: bool = True
    position_resize: str = "corner_bilinear"  # see ops/positions
    preprocess: Preprocess = GOOGLE

    def __post_init__(self):
        check_sizes(self, "patch", "width", "blocks", "heads", "mlp", "channels")
        if self.width % self.heads:
            raise InputError(f"{self.name}: width {self.width} is not a multiple of {self.heads} heads")
        check_choices(self, pool=POOLS, gelu=GELUS, position_resize=POSITION_RESIZES)

    @property
    def patch_channels(self):
        """Channels of what is cut into patches: those of the image, if no convolutions come first."""
        return self.channels

    @property
    def cell(self):
        """Side of the square of pixels that a token stands for: the patch, if no convolutions come first."""
        return self.patch

    @property
    def head_width(self):
        return self.width // self.heads

    @property
    def letters(self):
        """{letter of the shapes glossary: number}, at the trained size."""
        return {
            "C": self.classes,
            "D": self.width,
            "H": self.heads,
            "K": self.head_width,
            "M": self.mlp,
            "N": self.tokens,
            "P": self.patch,
            "R": self.representation,
        }

    @property
    def grid(self):
        """(rows, columns) of patches that the position table was trained for."""
        return self.grid_of(*self.image)

    def grid_of(self, height, width):
        """(rows, columns) of whole patches in an image; what is left over is dropped, as a VALID convolution does."""
        return height // self.patch, width // self.patch

    @property
    def tokens(self):
        """Tokens per image at the trained resolution, class token included [N]."""
        return self.prefix + self.grid[0] * self.grid[1]


def check_sizes(config, *fields):
    """Raise InputError for a size, an image size or an eps that is not positive."""
    sizes = {name: getattr(config, name) for name in fields}
    for field, value in {**sizes, "image height": config.image[0], "image width": config.image[1]}.items():
        if value < 1:
            raise InputError(f"{config.name}: {field} is {value}, expected a positive number")
    if not 0 < config.eps < 1:
        raise InputError(f"{config.name}: eps is {config.eps}, expected a small positive number")


def check_choices(config, **choices):
    """Raise InputError, with the nearest, for a field whose value is not one of the known ones."""
    for field, known in choices.items():
        value = getattr(config, field)
        if value not in known:
            raise InputError(f"{config.name}: unknown {field} {value!r}{nearest(value, known)}")
