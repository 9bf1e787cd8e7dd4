"""MNIST and its relatives as published: idx files, plain or gzipped; grey is repeated into three channels.

An idx file is a magic number (0, 0, 8 for bytes, rank), the sizes as big-endian integers, then the bytes (LeCun,
http://yann.lecun.com/exdb/mnist).
"""

import gzip
import math
import struct
import zlib

import numpy as np

from ..errors import InputError
from .split import Dataset, Split

CLASSES = tuple("0123456789")
FILES = {"train": "train", "test": "t10k"}
IMAGES, LABELS = "images-idx3", "labels-idx1"
MAX_BYTES = 1 << 30  # MNIST has 47 MB


def recognise(folder):
    """Whether the folder holds one of the four idx files."""
    return any(_has(folder, start) for start in FILES.values())


def read(folder, train=True):
    """The Dataset of a folder of idx files; it may lack both of training.  Raises InputError for damaged ones."""
    learn = _split(folder, FILES["train"]) if train and _has(folder, FILES["train"]) else None
    return Dataset(str(folder), CLASSES, learn, _split(folder, FILES["test"]))


def _split(folder, start):
    grey, labels = _idx(folder, start, IMAGES), _idx(folder, start, LABELS)
    if len(grey) != len(labels):
        raise InputError(f"{folder}: {len(grey)} pictures but {len(labels)} labels in {start}-*; download both again")
    return Split(np.repeat(grey[..., None], 3, axis=-1), labels)


def _has(folder, start):
    return any(_existing(folder, start, kind) for kind in (IMAGES, LABELS))


def _existing(folder, start, kind):
    # -> the path, or None
    paths = [folder / f"{start}-{kind}-ubyte{suffix}" for suffix in ("", ".gz")]
    return next((path for path in paths if path.is_file()), None)


def _idx(folder, start, kind):
    # -> uint8 array of the rank that the last digit of `kind` tells
    path = _existing(folder, start, kind)
    if path is None:
        raise InputError(f"{folder / f'{start}-{kind}-ubyte'}: missing; download it (plain or .gz)")
    rank = int(kind[-1])
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _shape(path, file.read(4 + 4 * rank), rank)
            data = file.read(math.prod(shape) + 1)  # never more than that, however much is packed
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); download it again") from None
    if len(data) != math.prod(shape):
        problem = "more" if len(data) > math.prod(shape) else f"only {len(data)}"
        raise InputError(f"{path}: its header claims {shape} bytes, {problem} follow; download it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _shape(path, header, rank):
    magic = bytes([0, 0, 8, rank])
    if header[:4] != magic or len(header) != 4 + 4 * rank:
        found = header[:4].hex(" ") or "nothing"
        raise InputError(f"{path}: starts with {found}, expected {magic.hex(' ')} (an idx file of bytes, rank {rank})")
    shape = struct.unpack(f">{rank}I", header[4:])
    if not 0 < math.prod(shape) <= MAX_BYTES:
        raise InputError(f"{path}: its header claims {shape} bytes, expected 1 to {MAX_BYTES}; download it again")
    return shape
