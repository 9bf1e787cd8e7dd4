"""What distinguishes one Vision Transformer from another, as data: two frozen dataclasses and one table.

Sources that disagree (official JAX, Hugging Face, timm) disagree in *fields* here, never in branches of the model code.
"""

from dataclasses import dataclass, replace

from .errors import InputError, nearest

#: What some fields may be
POOLS = ("token", "gap", "unpooled", "token_unpooled")
GELUS = ("tanh", "erf")
POSITION_RESIZES = (
    *("corner_bilinear", "corner_bilinear_scipy", "bilinear", "bicubic"),
    *("bicubic_antialias", "bicubic_antialias_float32"),
)


@dataclass(frozen=True)
class Preprocess:
    """How a checkpoint wants its pixels: resize, centre crop, then ``(pixel/255 - mean) / std``.

    fit: "stretch" resizes the whole image to ``resize`` (aspect ratio not kept);
         "shorter" resizes so that the shorter side is ``resize`` (aspect ratio kept).
    resize: pixels before the crop, (height, width) for "stretch" or an int for "shorter"; None means the crop's size.
    resample: "tf_bilinear" (TensorFlow: no antialias, float) | "bilinear" | "bicubic" | "lanczos" (Pillow: uint8).
    """

    name: str
    resample: str
    fit: str = "stretch"
    resize: tuple[int, int] | int | None = None
    crop_fraction: float | None = None  # timm: shorter side = floor(crop size / crop_fraction)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self):
        if min(self.std) <= 0 or (self.crop_fraction is not None and not 0 < self.crop_fraction <= 1):
            raise InputError(f"preprocessing {self.name}: std must be positive and the crop fraction in (0, 1]")


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

GOOGLE = Preprocess("google", "tf_bilinear")  # vit_jax/input_pipeline.py, mode "test"
HUGGING_FACE = Preprocess("huggingface", "bilinear")  # transformers ViTImageProcessor
TIMM = Preprocess("timm", "bicubic", "shorter", crop_fraction=0.9)  # timm ViT default_cfg
DEIT = Preprocess(  # facebookresearch/deit: 256 -> 224
    "deit", "bicubic", "shorter", crop_fraction=0.875, mean=IMAGENET_MEAN, std=IMAGENET_STD
)
POLICIES = {policy.name: policy for policy in (GOOGLE, HUGGING_FACE, TIMM, DEIT)}


@dataclass(frozen=True)
class ViTConfig:
    """One plain Vision Transformer.  Letters in brackets are those of the shapes glossary."""

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
        positive = {n: getattr(self, n) for n in ("patch", "width", "blocks", "heads", "mlp", "channels")}
        for field, value in {**positive, "image height": self.image[0], "image width": self.image[1]}.items():
            if value < 1:
                raise InputError(f"{self.name}: {field} is {value}, expected a positive number")
        if self.width % self.heads:
            raise InputError(f"{self.name}: width {self.width} is not a multiple of {self.heads} heads")
        for field, known in {"pool": POOLS, "gelu": GELUS, "position_resize": POSITION_RESIZES}.items():
            value = getattr(self, field)
            if value not in known:
                raise InputError(f"{self.name}: unknown {field} {value!r}{nearest(value, known)}")
        if not 0 < self.eps < 1:
            raise InputError(f"{self.name}: eps is {self.eps}, expected a small positive number")

    @property
    def head_width(self):
        return self.width // self.heads

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


#            width, blocks, heads, mlp     (arXiv:2010.11929 table 1; Ti and S: arXiv:2106.10270 table 2)
SIZES = {
    "Ti": (192, 12, 3, 768),
    "S": (384, 12, 6, 1536),
    "B": (768, 12, 12, 3072),
    "L": (1024, 24, 16, 4096),
    "H": (1280, 32, 16, 5120),
}


def _vit(size, patch, **options):
    width, blocks, heads, mlp = SIZES[size]
    return ViTConfig(f"ViT-{size}/{patch}", patch, width, blocks, heads, mlp, **options)


def _gap(size, patch):
    base = _vit(size, patch, pool="gap", prefix=0)
    return replace(base, name=base.name + "-gap-norep")


def _deit(size, distilled=False):
    base = _vit(size, 16, gelu="erf", position_resize="bicubic_antialias_float32", preprocess=DEIT)
    name = f"DeiT-{size}/16"
    if distilled:
        return replace(base, name=name + "-distilled", prefix=2, distilled_head=True)
    return replace(base, name=name)


_PATCHES = {"Ti": (16,), "S": (16, 32), "B": (8, 16, 32), "L": (16, 32), "H": (14,)}

#: Every published plain variant, by name; all for 224×224 pixels and 1000 classes (vit_jax/configs/models.py, DeiT).
VARIANTS = {
    config.name: config
    for config in (
        *(_vit(size, patch) for size, patches in _PATCHES.items() for patch in patches),
        *(_gap(size, patch) for size in ("S", "B") for patch in (16, 32)),
        *(_deit(size) for size in ("Ti", "S", "B")),
        *(_deit(size, distilled=True) for size in ("Ti", "S", "B")),
    )
}


def variant(name, also=()):
    """The published variant of that name, written as people write it: "ViT-B/16", "vit_b16", "B/16", "deit-ti/16".

    Raises InputError for an unknown one, with the nearest names (among these and `also`).
    """
    by_key = {key(known): config for known, config in VARIANTS.items()}
    for wanted in (key(name), "vit" + key(name)):
        if wanted in by_key:
            return by_key[wanted]
    raise InputError(f"unknown model {str(name)!r}{nearest(name, [*VARIANTS, *also])} (`minivit zoo` lists them)")


def key(name):
    """A model name without case and punctuation, so that "ViT-B/16", "vit_b16" and "ViT-B_16" are the same."""
    return "".join(c for c in str(name).lower() if c.isalnum())
