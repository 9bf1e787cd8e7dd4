"""The hybrid: a ResNet makes the picture small, a Vision Transformer reads what it gives."""

from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError, nearest
from .vit import ViTConfig

LARGEST = 1000  # units of a stem


@dataclass(frozen=True)
class Stem:
    """The ResNet in front of the patches (vit_jax/models_resnet.py): a root that makes the picture four times smaller,
    then stages of bottleneck units, of which all but the first halve it once more."""

    units: tuple[int, ...] = ()  # bottleneck units of each stage; none: only the root
    width: int = 64  # channels of the root; the units of stage b are 4 · 2^b times as wide
    groups: int = 32  # of GroupNorm
    norm_eps: float = 1e-6  # of GroupNorm: 1e-6 (JAX) | 1e-5 (timm)
    weight_eps: float = 1e-5  # of the standardised weights: 1e-5 (JAX) | 1e-8 (timm) …
    weight_eps_on: str = "std"  # … added to their deviation (JAX) | their variance (timm)

    @property
    def channels(self):
        """Channels of what the stem gives."""
        return self.width * 2 ** (len(self.units) + 1) if self.units else self.width

    def layers(self):
        """(name, inner channels, outer channels, channels that come in, whether they are projected) of each unit."""
        inputs = self.width
        for stage, units in enumerate(self.units):
            inner = self.width * 2**stage
            for unit in range(units):
                yield f"stages.{stage}.{unit}", inner, 4 * inner, inputs, unit == 0
                inputs = 4 * inner

    @property
    def scale(self):
        """Pixels per row of what the stem gives: halved by the convolution, the pooling, the stages after the first."""
        return 4 * 2 ** max(len(self.units) - 1, 0)

    def size_of(self, height, width):
        """(rows, columns) of what the stem makes of an image; SAME convolutions round up."""
        return -(-height // self.scale), -(-width // self.scale)


@dataclass(frozen=True)
class HybridConfig(ViTConfig):
    """A Vision Transformer whose patches are cut out of a ResNet's feature map; `patch` counts its cells."""

    family: ClassVar[str] = "hybrid"

    stem: Stem = Stem()

    def __post_init__(self):
        super().__post_init__()
        stem = self.stem
        if min(stem.width, stem.groups, *stem.units, 1) < 1 or stem.width % stem.groups:
            raise InputError(f"{self.name}: a stem of width {stem.width} does not split into {stem.groups} groups")
        if sum(stem.units) > LARGEST:  # a damaged file must not turn into millions of names
            raise InputError(f"{self.name}: a stem of {sum(stem.units)} units, expected at most {LARGEST}")
        if stem.weight_eps_on not in (known := ("std", "variance")):
            raise InputError(
                f"{self.name}: unknown weight_eps_on {stem.weight_eps_on!r}{nearest(stem.weight_eps_on, known)}"
            )

    @property
    def patch_channels(self):
        return self.stem.channels

    @property
    def resnet(self):
        """(units of each stage, channels of the root): what makes two stems the same, whoever computes them."""
        return self.stem.units, self.stem.width

    @property
    def cell(self):
        return self.patch * self.stem.scale

    def grid_of(self, height, width):
        rows, columns = self.stem.size_of(height, width)
        return rows // self.patch, columns // self.patch
