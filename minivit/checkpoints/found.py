"""What a layout's module finds out about a file, and the config that follows from it."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from ..config import FAMILIES, VARIANTS
from ..errors import InputError, nearest


@dataclass
class Found:
    """A file as its layout's module sees it, before its tensors are compared with the layout's table."""

    layout: str
    family: str  # "vit" | "deit" | "masked" | "hybrid" | "mixer"
    path: Path
    arrays: dict  # name in the layout's standard spelling -> StoredArray
    rules: dict | None  # see rules.py; None: the names are ours
    fields: dict = field(default_factory=dict)  # of the config
    labels: tuple | None = None
    provenance: dict = field(default_factory=dict)  # what the file tells about its origin
    warnings: list = field(default_factory=list)
    assumed: dict = field(default_factory=dict)  # field -> warning: a guess, which giving the field silences
    needed: dict = field(default_factory=dict)  # field -> why the file does not tell it: the field must be given
    nested: Callable = lambda found, overrides: overrides  # what is given -> fields, for configs made of several

    def dims(self, name, rank):
        """The shape of a tensor that tells sizes.  Raises InputError if it is missing or has not ``rank`` axes."""
        if name not in self.arrays:
            raise self.wrong(f"expected a tensor {name!r}, it is missing{nearest(name, self.arrays)}")
        shape = self.arrays[name].shape
        if len(shape) != rank:
            raise self.wrong(f"{name!r} has shape {shape}, expected {rank} axes")
        return shape

    def image_from(self, position):
        """Set the image size by the position table: what is not prefix is a square grid, or the size must be given."""
        rows = self.dims(position, 3)[1] - self.fields["prefix"]
        self.image_of(max(rows, 0), f"{position!r} has positions for")

    def image_of(self, patches, told):
        """Set the image size by the number of patches: they are a square grid, or the size must be given."""
        side = math.isqrt(patches)
        if side and side**2 == patches:
            cell = self.fields["patch"] * (self.fields["stem"].scale if "stem" in self.fields else 1)
            self.fields["image"] = (side * cell,) * 2
        else:
            self.needed["image"] = f"{told} {patches} patches, which is not a square grid"

    def count_blocks(self, prefix):
        """How many different numbers follow the prefix; a gap in the numbering shows up later as a missing tensor."""
        numbered = (re.match(re.escape(prefix) + r"(\d+)", name) for name in self.arrays)
        return len({match[1] for match in numbered if match})

    def wrong(self, what):
        """The InputError for tensors that are not as expected."""
        advice = f"it may be damaged or of another model, `minivit inspect {self.path}` shows what it holds"
        return InputError(f"{self.path.name}: {what}; {advice}")


def configure(found, overrides):
    """The config of a file, with some fields given by hand.

    Raises InputError for an unknown field, an impossible value, or a field that neither the file nor the caller gives.
    """
    file, kind = found.path.name, FAMILIES.get(found.family, FAMILIES["vit"])
    known = [f.name for f in fields(kind)]
    for name, why in found.needed.items():
        if name not in overrides:
            raise InputError(f"{file}: {why}; give {name}=…")
    overrides = found.nested(found, overrides)
    for name in overrides:
        if name not in known:
            raise InputError(f"a config has no field {name!r}{nearest(name, known)}")
    try:
        config = kind(**{"name": file, **found.fields, **overrides})
        if 0 in config.grid:
            raise InputError(f"{file}: image {config.image} is smaller than one patch of {config.cell} pixels")
    except (TypeError, IndexError) as error:
        raise InputError(f"{file}: a config field has a value of the wrong kind ({error})") from None
    named = "name" in found.fields or "name" in overrides
    return config if named else replace(config, name=published_name(config, found.family))


#: Fields that make two configs the same variant, as far as they have them
STRUCTURE = (
    *("family", "patch", "width", "blocks", "heads", "mlp", "channels", "pool", "prefix", "distilled_head"),
    *("resnet", "token_mlp"),
)
TITLES = {"vit": "ViT", "deit": "DeiT", "masked": "Masked ViT", "hybrid": "Hybrid", "mixer": "Mixer"}


def published_name(config, family):
    """The name of the published variant of these sizes ("ViT-B/16"), or else the sizes themselves."""
    for known in VARIANTS.values():
        same = all(getattr(known, f, None) == getattr(config, f, None) for f in STRUCTURE)
        if same and known.name.startswith("DeiT") == (family == "deit"):
            return known.name
    title = TITLES[family]
    return f"{title} (width {config.width}, {config.blocks} blocks, patch {config.patch})"
