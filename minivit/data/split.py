"""Labelled pictures, in memory or in files, behind one interface: ``len``, ``labels``, ``take``, ``skipped``."""

import warnings
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..image import read_pixels


class Split:
    """Pictures that are all in memory and of one size.

    pixels: uint8 (n,h,w,3); labels: (n,), places in the list of classes; skipped: {name: reason} of what is left out.
    """

    def __init__(self, pixels, labels, skipped=None):
        self.pixels, self.labels, self.skipped = pixels, np.asarray(labels, np.int64), skipped or {}

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        """The pictures of these indices (b,), uint8 (b,h,w,3), and their labels, int64 (b,)."""
        return self.pixels[indices], self.labels[indices]


class FileSplit:
    """Pictures in files, of any sizes, decoded whenever they are taken.

    A file that cannot be read is left out: its first time there is a warning, and `skipped` has {name: reason}.
    """

    def __init__(self, paths, labels):
        self.paths, self.labels, self.skipped = paths, np.asarray(labels, np.int64), {}

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        """The readable ones of the pictures of these indices, a list of uint8 (h,w,3), and their labels, int64."""
        pixels = [self._pixels(str(self.paths[i])) for i in indices]
        readable = [picture is not None for picture in pixels]
        return [picture for picture in pixels if picture is not None], self.labels[indices][readable]

    def _pixels(self, path):
        # -> uint8 (h,w,3), or None
        try:
            return read_pixels(path)
        except InputError as error:
            if path not in self.skipped:
                warnings.warn(f"skipped: {error}", stacklevel=4)
            self.skipped[path] = str(error)
            return None


@dataclass(frozen=True)
class Dataset:
    """What the classes are called, and the pictures to learn from (if there are any) and to test with.

    Raises InputError for fewer than two classes, for a split without pictures and for labels that are out of range.
    """

    name: str
    classes: tuple[str, ...]
    train: Split | FileSplit | None
    test: Split | FileSplit

    def __post_init__(self):
        if len(self.classes) < 2:
            raise InputError(f"{self.name}: only one class ({', '.join(self.classes)}), expected two or more")
        for part in ("train", "test"):
            split = getattr(self, part)
            if split is not None:
                _check_labels(f"{self.name}, {part}", split.labels, len(self.classes))


def _check_labels(name, labels, classes):
    if not len(labels):
        raise InputError(f"{name}: no pictures, expected at least one")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise InputError(
            f"{name}: {len(wrong)} labels are out of range, first {labels[wrong[0]]} of picture {wrong[0]};"
            f" expected 0 to {classes - 1}"
        )
