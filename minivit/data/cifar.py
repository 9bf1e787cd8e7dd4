"""CIFAR-10 as published: batches of 32×32 pixels (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html).

The python version consists of pickles, which can run code when they are loaded.  They are not loaded here: their
opcodes are listed one by one, and only those of the published files are taken; none is executed.
"""

import pickletools

import numpy as np

from ..checkpoints.stored import one_line
from ..errors import InputError
from .split import Dataset, Split

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE  # bytes of one picture in the binary version: its label, then red, green and blue
MAX_BYTES = 1 << 28  # the published batches have 31 MB
SUFFIXES = ("", ".bin")  # of the python and of the binary version
TRAIN, TEST = [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"]

STRINGS = {"SHORT_BINSTRING", "BINSTRING"}  # Python 2 wrote these, Python 3 only reads them
GLOBALS = {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
STRUCTURE = {
    *("PROTO", "STOP", "MARK", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "NONE", "NEWFALSE"),
    *("EMPTY_DICT", "EMPTY_LIST", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "REDUCE", "BUILD"),
    *("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BININT", "BININT1", "BININT2"),
}


def recognise(folder):
    """Whether the folder holds one of the batches, in the python or the binary version."""
    return any(_has(folder, TRAIN + TEST, suffix) for suffix in SUFFIXES)


def read(folder, train=True):
    """The Dataset of a folder of batches; it may lack all five of training.  Raises InputError for any other file."""
    suffix = next(suffix for suffix in SUFFIXES if _has(folder, TRAIN + TEST, suffix))
    learn = _split(folder, TRAIN, suffix) if train and _has(folder, TRAIN, suffix) else None
    return Dataset(str(folder), CLASSES, learn, _split(folder, TEST, suffix))


def _has(folder, names, suffix):
    return any((folder / (name + suffix)).is_file() for name in names)


def _split(folder, names, suffix):
    batches = []
    for name in names:
        path = folder / (name + suffix)
        if not path.is_file():
            raise InputError(f"{path}: this batch is missing; unpack the published archive again")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size} bytes, expected a CIFAR-10 batch of 31 MB")
        batches.append(_binary(path) if suffix else _python(path))
    planes, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return Split(np.ascontiguousarray(planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)), labels)


def _binary(path):
    # -> pixels (n,3·SIDE·SIDE) uint8, labels (n,)
    records = np.fromfile(path, np.uint8)
    if not len(records) or len(records) % RECORD:
        raise InputError(f"{path}: {len(records)} bytes, expected whole records of {RECORD}; unpack the archive again")
    records = records.reshape(-1, RECORD)
    return records[:, 1:], records[:, 0]


def _python(path):
    # -> pixels (n,3·SIDE·SIDE) uint8, labels (n,)
    pixels, labels = _scan(path)
    if not labels or len(pixels) != len(labels) * (RECORD - 1):
        raise InputError(
            f"{path}: {len(pixels)} bytes of pixels for {len(labels)} labels, expected {RECORD - 1} for each;"
            " unpack the published archive again"
        )
    return np.frombuffer(pixels, np.uint8).reshape(len(labels), RECORD - 1), np.array(labels)


def _scan(path):
    # -> pixels: bytes, labels: list.  In the file each key of the dict is followed by its value: strings and numbers
    pixels, labels, key = b"", [], None
    for name, argument in _opcodes(path):
        if name in STRINGS and argument in ("data", "labels", "filenames", "batch_label"):
            key = argument
        elif name == "BINSTRING" and key == "data":
            pixels = argument.encode("latin-1")
        elif name == "BININT1" and key == "labels":
            labels.append(argument)
    return pixels, labels


def _opcodes(path):
    # the (name, argument) of every opcode; those that the published files do not have are refused
    try:
        with path.open("rb") as file:
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name not in STRUCTURE | STRINGS and not (opcode.name == "GLOBAL" and argument in GLOBALS):
                    raise InputError(
                        f"{path}: a pickle with {opcode.name} {str(argument)[:60]!r}, expected a published batch;"
                        " others are refused, because pickles can run code"
                    )
                yield opcode.name, argument
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: not a whole CIFAR-10 batch ({one_line(error)}); unpack the archive again") from None
