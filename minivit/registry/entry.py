"""What is known of a published checkpoint."""

from dataclasses import dataclass, replace

from .. import params
from ..config import VARIANTS


@dataclass(frozen=True)
class File:
    """One file of a server: where it is published, and where it lies below a weights folder."""

    url: str
    path: str
    bytes: int | None = None  # as published, so rounded
    lines: int | None = None  # of a file of labels


@dataclass(frozen=True)
class Entry:
    """One published checkpoint; None stands for what is not known."""

    name: str  # "augreg/B_16@224"
    variant: str | None = None  # the name of its sizes, see config.VARIANTS
    image: int | None = None  # side of the pictures in pixels
    classes: int | None = None  # of its head; 0: it has none
    top1: float | None = None  # percent of ImageNet, as its authors publish it
    timm_top1: float | None = None  # the same, as timm measured it with its own preprocessing
    zero_shot: float | None = None  # the same, without training on ImageNet (LiT)
    trained: str | None = None  # on what
    licence: str | None = None
    file: File | None = None
    repo: str | None = None  # instead of a file: a Hugging Face repository
    companions: tuple[File, ...] = ()  # files of labels and vocabularies

    @property
    def path(self):
        """Where it lies below a weights folder: a file, or the folder of a repository."""
        return self.file.path if self.file else self.repo

    @property
    def url(self):
        """Where people find it."""
        return self.file.url if self.file else f"https://huggingface.co/{self.repo}"

    @property
    def labels(self):
        """The File that names its classes, or None."""
        return next((file for file in self.companions if file.lines), None)

    @property
    def accuracy(self):
        """Percent of ImageNet: the authors' number, else timm's, else zero-shot, else None."""
        return next((value for value in (self.top1, self.timm_top1, self.zero_shot) if value is not None), None)

    @property
    def config(self):
        """The published config with this checkpoint's resolution and head; None where not all of that is known."""
        known = VARIANTS.get(self.variant)
        if known is not None and known.family == "lit":  # has neither another resolution nor classes
            return known
        if known is None or self.image is None or self.classes is None:
            return None
        return replace(known, image=(self.image,) * 2, classes=self.classes or None)

    @property
    def bytes(self):
        """Its size: as published, else of its parameters in float32, else None."""
        if self.file and self.file.bytes:
            return self.file.bytes
        return 4 * params.count(self.config) if self.config else None
