"""Pictures in folders: ``{train,test}/<class>/*.jpg``, as the official code reads them (vit_jax/input_pipeline.py).

Labels are the places of the class names in their sorted order.
"""

import numpy as np

from ..errors import InputError, nearest
from .split import Dataset, FileSplit

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")
PARTS = ("train", "test")


def recognise(folder):
    """Whether the folder has a train/ or test/ folder."""
    return any((folder / part).is_dir() for part in PARTS)


def read(folder, train=True):
    """The Dataset of a folder; the pictures are decoded when they are used.

    Raises InputError for a missing test/, a class folder without pictures, and a class that only test/ has.
    """
    found = {part: _pictures(folder / part) for part in PARTS if (folder / part).is_dir()}
    if "test" not in found:
        raise InputError(f"{folder}: there is no test/, expected {folder / 'test' / '<class>' / '*.jpg'} beside train/")
    classes = tuple(sorted(found.get("train", found["test"])))
    for name in found["test"]:
        if name not in classes:
            raise InputError(f"{folder / 'test' / name}: train/ has no class of that name{nearest(name, classes)}")
    splits = {part: _split(pictures, classes) for part, pictures in found.items()}
    return Dataset(str(folder), classes, splits.get("train") if train else None, splits["test"])


def _pictures(folder):
    # -> {class: [paths]}
    found = {}
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            found[entry.name] = [file for file in sorted(entry.iterdir()) if is_picture(file)]
            if not found[entry.name]:
                known = ", ".join(SUFFIXES)
                raise InputError(f"{entry}: no pictures in this class folder; remove it, or add some ({known})")
    if not found:
        raise InputError(f"{folder}: no class folders, expected {folder / '<class>' / '*.jpg'}")
    return found


def is_picture(path):
    """Whether a path looks like a picture; hidden files are not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _split(pictures, classes):
    paths = [path for name in classes for path in pictures.get(name, [])]
    counts = [len(pictures.get(name, [])) for name in classes]
    return FileSplit(paths, np.repeat(np.arange(len(classes)), counts))
