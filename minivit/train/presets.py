"""Recipes by name."""

from dataclasses import replace

from ..config import Preprocess, ViTConfig
from ..data import Augment
from ..errors import InputError, nearest
from .recipe import Recipe

#: How a model that is trained here from scratch gets its pixels: the aspect ratio is kept, and Pillow smooths
PIXELS = Preprocess("minivit", "bicubic", "shorter")

#: The fine-tuning of vit_jax (configs/common.py, train.py), for the checkpoint at hand
OFFICIAL = Recipe(
    model=None,
    steps=10_000,
    batch=512,
    parts=8,
    optimiser="sgd",
    momentum=0.9,
    buffer="bfloat16",
    rate=0.03,
    warmup=500,
    decay="cosine",
    clip=1.0,
    augment=Augment(area=(0.05, 1.0), flip=True),
)

#: A small ViT from scratch on 32×32 photographs, made small first: 24×24 pixels are half the work.  No dropout of any
#: kind, which would halve the speed of tier cpu: it keeps the blocks from being computed in one kernel
CIFAR10 = Recipe(
    model=ViTConfig(
        *("ViT-192/4", 4, 192, 6, 3, 384), image=(24, 24), position_resize="bicubic_antialias", preprocess=PIXELS
    ),
    epochs=16,
    batch=128,
    initial="mimetic",
    optimiser="muon",
    weight_decay=0.05,
    rate=2e-3,
    warmup=300,
    smoothing=0.1,
    augment=Augment(crop=3, flip=True, auto=True),
    average=0.998,
)

#: … and then as large as they are
CIFAR10_FINISH = replace(CIFAR10, model=None, epochs=20, augment=replace(CIFAR10.augment, crop=4))

#: A tiny ViT from scratch on the drawn shapes: minutes
SHAPES = Recipe(
    model=ViTConfig(
        *("ViT-96/4", 4, 96, 6, 3, 192), image=(32, 32), position_resize="bicubic_antialias", preprocess=PIXELS
    ),
    epochs=6,
    batch=96,
    initial="mimetic",
    optimiser="muon",
    weight_decay=0.02,
    rate=2e-3,
    warmup=100,
    augment=Augment(crop=2, flip=True),
    average=0.998,
)

PRESETS = {"official": OFFICIAL, "cifar10": CIFAR10, "cifar10-finish": CIFAR10_FINISH, "shapes": SHAPES}


def preset(name, **changes):
    """The recipe of that name with some fields changed; `steps` takes the place of the preset's `epochs`, or reversed.

    Raises InputError for an unknown name or field, and for an impossible value.
    """
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}{nearest(name, PRESETS)}")
    return changed(PRESETS[name], **changes)


def changed(recipe, **changes):
    """The recipe with some fields changed, as `preset` does."""
    for field in changes:
        if field not in recipe.__dataclass_fields__:
            raise InputError(f"a recipe has no field {field!r}{nearest(field, recipe.__dataclass_fields__)}")
    if ("steps" in changes) != ("epochs" in changes):
        changes = {"steps": None, "epochs": None, **changes}
    return replace(recipe, **changes)
