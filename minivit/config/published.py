"""The published variants of every family, by name."""

from dataclasses import replace

from ..errors import InputError, nearest
from .hybrid import HybridConfig, Stem
from .lit import LiTConfig, TextConfig
from .mixer import MixerConfig
from .preprocess import DEIT, LIT
from .vit import ViTConfig

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


#: name, size of the ViT, patch in cells of the feature map, units of the ResNet's stages (vit_jax/configs/models.py)
HYBRIDS = (
    ("R+ViT-Ti/16", "Ti", 8, ()),
    ("R26+ViT-S/32", "S", 1, (2, 2, 2, 2)),
    ("R26+ViT-B/32", "B", 1, (2, 2, 2, 2)),
    ("R50+ViT-B/16", "B", 1, (3, 4, 9)),
    ("R50+ViT-L/32", "L", 1, (3, 4, 6, 3)),
)


def _hybrid(name, size, patch, units):
    width, blocks, heads, mlp = SIZES[size]
    return HybridConfig(name, patch, width, blocks, heads, mlp, stem=Stem(units))


#: size, patch, width, blocks, MLP across tokens, MLP across channels (arXiv:2105.01601 table 1)
MIXERS = (
    *(("S", patch, 512, 8, 256, 2048) for patch in (8, 16, 32)),
    *(("B", patch, 768, 12, 384, 3072) for patch in (16, 32)),
    ("L", 16, 1024, 24, 512, 4096),
)


def _mixer(size, patch, width, blocks, token_mlp, mlp):
    return MixerConfig(f"Mixer-{size}/{patch}", patch, width, blocks, token_mlp, mlp)


#: name, sizes of the image tower and of the text tower, kind of text tower, width of the image tower's head
LITS = (
    *(
        ("LiT-B16B", "B", "B", "bert", 768),
        ("LiT-B16B_2", "B", "B", "bert", None),
        ("LiT-L16L", "L", "L", "bert", None),
    ),
    *(("LiT-L16S", "L", "S", "transformer", None), ("LiT-L16Ti", "L", "Ti", "transformer", None)),
)


def _lit(name, image, text, kind, head):
    img = _vit(image, 16, classes=head, preprocess=LIT)
    if kind == "bert":
        words = {"vocabulary": 30522, "positions": 512, "segments": 2, "eps": 1e-12}
    else:
        words = {"vocabulary": 16000, "positions": 16}
    return LiTConfig(name, img, TextConfig(kind, *SIZES[text], out=head or img.width, **words))


_PATCHES = {"Ti": (16,), "S": (16, 32), "B": (8, 16, 32), "L": (16, 32), "H": (14,)}

#: Every published variant, by name; all for 224×224 pixels and 1000 classes (vit_jax/configs/models.py, DeiT).
VARIANTS = {
    config.name: config
    for config in (
        *(_vit(size, patch) for size, patches in _PATCHES.items() for patch in patches),
        *(_gap(size, patch) for size in ("S", "B") for patch in (16, 32)),
        *(_deit(size) for size in ("Ti", "S", "B")),
        *(_deit(size, distilled=True) for size in ("Ti", "S", "B")),
        *(_hybrid(*sizes) for sizes in HYBRIDS),
        *(_mixer(*sizes) for sizes in MIXERS),
        *(_lit(*sizes) for sizes in LITS),
    )
}


def variant(name, also=()):
    """The published variant of that name, written as people write it: "ViT-B/16", "vit_b16", "B/16", "R50+B/16".

    Raises InputError for an unknown one, with the nearest names (among these and `also`).
    """
    wanted = key(name)
    for config in VARIANTS.values():
        known = key(config.name)
        if wanted in (known, known.replace("vit", "", 1)):
            return config
    raise InputError(f"unknown model {str(name)!r}{nearest(name, [*VARIANTS, *also])} (`minivit zoo` lists them)")


def key(name):
    """A model name without case and punctuation, so that "ViT-B/16", "vit_b16" and "ViT-B_16" are the same."""
    return "".join(c for c in str(name).lower() if c.isalnum())
