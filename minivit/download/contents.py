"""Whether a file that came is what its name says."""

import zipfile
import zlib

from .. import checkpoints
from ..config import VARIANTS
from ..errors import InputError
from ..loading import read_labels
from ..registry import augreg

#: What must be as in the published variant, as far as its config has it
SIZES = ("patch", "width", "blocks", "heads", "mlp", "token_mlp", "prefix", "kind", "vocabulary")


def check_file(file, path):
    """Raise InputError unless a file of labels, the index of AugReg or a vocabulary (registry.File) is one."""
    if file.lines:
        read_labels(path, file.lines)
    elif file.path.endswith(".csv"):
        augreg.read_index(path)
    elif not path.stat().st_size:
        raise InputError(f"{path.name}: the file is empty")


def check_model(entry, path):
    """Raise InputError unless the checkpoint in a file or folder is the one that the registry describes.

    To be readable at all it must have every tensor of its config, so what remains is to compare that config.
    """
    found = checkpoints.read(path).config
    known = VARIANTS.get(entry.variant)
    wanted, got = _sizes(known) if known else {}, _sizes(found)
    if entry.image is not None:
        wanted["image"] = (entry.image,) * 2
    if entry.classes is not None:
        wanted["classes"] = entry.classes or None
    got |= {"image": found.image, "classes": found.classes}
    for name, value in wanted.items():
        if got.get(name) != value:
            what = f"{name} is {got.get(name)}, expected {value}"
            raise InputError(f"{path.name}: not {entry.name}, it is {found.name} ({what})")


def _sizes(config):
    """{name: number} of what makes the variant."""
    towers = {"img.": config.img, "txt.": config.txt} if config.family == "lit" else {"": config}
    sizes = {}
    for prefix, tower in towers.items():
        sizes |= {prefix + name: getattr(tower, name) for name in SIZES if hasattr(tower, name)}
    if config.family == "lit":
        sizes["img.classes"] = config.img.classes
    if config.family == "hybrid":
        sizes["units of the stem"] = config.stem.units
    return sizes


def check_archive(path):
    """Raise InputError if a .npz is damaged anywhere: every part of it has a checksum of its own."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError) as error:
        damaged = error
    if damaged:
        raise InputError(f"damaged at {damaged}")
