"""Labelled pictures: where they come from (`load`), and how they reach a model (`Stream`, `Augment`, `mix`)."""

from pathlib import Path

from ..checkpoints.stored import one_line
from ..errors import InputError
from . import cifar, folders, mnist, packed, shapes
from .augment import Augment
from .mix import mix
from .split import Dataset, FileSplit, Split
from .stream import Stream

__all__ = ["Augment", "Dataset", "FileSplit", "Split", "Stream", "load", "mix"]

EXPECTED = (
    "expected a folder with {train,test}/<class>/*.jpg, with the CIFAR-10 batches or with the MNIST idx files,"
    " a packed CIFAR-10 file (.npz), or the name 'shapes'"
)


def load(source, train=True):
    """The data set of a folder, a file or a name, recognised by what is inside.

    source: folder with train/<class>/ and test/<class>/, folder of CIFAR-10 (python or binary version) or MNIST (idx,
    plain or .gz), packed CIFAR-10 file, or "shapes", which is drawn now.  train=False leaves the training split out.
    Raises InputError for anything else, for damaged files and for labels that are out of range.
    """
    if str(source) == "shapes":
        return shapes.read(train)
    path = Path(source)
    try:
        return _reader(path)(path, train)
    except (OSError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)}); check permissions and free memory") from None


def _reader(path):
    if path.is_file():
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                return packed.read
        raise InputError(f"{path}: not a data set; {EXPECTED}")
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; {EXPECTED}")
    for reader in (folders, cifar, mnist):
        if reader.recognise(path):
            return reader.read
    held = ", ".join(sorted(entry.name for entry in path.iterdir())[:6]) or "nothing"
    raise InputError(f"{path}: no data set in this folder, it holds {held}; {EXPECTED}")
