"""What distinguishes one model from another, as data: frozen dataclasses, one per family, and one table.

Sources that disagree (official JAX, Hugging Face, timm) disagree in *fields* here, never in branches of the model code.
"""

from .hybrid import HybridConfig, Stem
from .lit import LiTConfig, TextConfig
from .masked import MaskedConfig
from .mixer import MixerConfig
from .preprocess import (
    DEIT,
    GOOGLE,
    HUGGING_FACE,
    IMAGENET_MEAN,
    IMAGENET_STD,
    LIT,
    LIT_CROP,
    POLICIES,
    TIMM,
    Preprocess,
)
from .published import SIZES, VARIANTS, key, variant
from .vit import POOLS, POSITION_RESIZES, ViTConfig

#: family -> the dataclass of its configs
FAMILIES = {kind.family: kind for kind in (ViTConfig, MaskedConfig, HybridConfig, MixerConfig, LiTConfig)}

__all__ = [
    "DEIT",
    "FAMILIES",
    "GOOGLE",
    "HUGGING_FACE",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LIT",
    "LIT_CROP",
    "POLICIES",
    "POOLS",
    "POSITION_RESIZES",
    "SIZES",
    "TIMM",
    "VARIANTS",
    "HybridConfig",
    "LiTConfig",
    "MaskedConfig",
    "MixerConfig",
    "Preprocess",
    "Stem",
    "TextConfig",
    "ViTConfig",
    "key",
    "variant",
]
