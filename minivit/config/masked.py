"""The Vision Transformer that paints what it was not shown."""

from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from .vit import ViTConfig


@dataclass(frozen=True)
class MaskedConfig(ViTConfig):
    """A Vision Transformer with the head of masked image modelling (SimMIM, arXiv:2111.09886), and without classes."""

    family: ClassVar[str] = "masked"

    classes: int | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.classes or self.representation or self.distilled_head:
            raise InputError(f"{self.name}: masked image modelling has no classes, and no layer in front of them")

    @property
    def letters(self):
        return {**super().letters, "O": self.patch**2 * self.channels}  # what the head makes of a token
