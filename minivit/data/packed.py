"""CIFAR-10 as one .npz of JPEG files: per split a stream of bytes, the offsets between pictures, and the labels.

{train,test}_jpeg uint8 (bytes,), {train,test}_offsets (n+1,), {train,test}_labels (n,)
"""

import io
import warnings

import numpy as np

from ..checkpoints.arrays_npz import open_npz
from ..errors import InputError
from ..image import read_pixels
from .cifar import CLASSES, SIDE
from .split import Dataset, Split

MEMBERS = ("jpeg", "offsets", "labels")


def read(path, train=True):
    """The Dataset of a packed file; every picture is decoded now.

    Pictures that cannot be decoded are skipped, with one warning.  Raises InputError if the arrays do not fit together.
    """
    arrays = open_npz(path)
    learn = _split(path, arrays, "train") if train and f"train_{MEMBERS[0]}" in arrays else None
    return Dataset(str(path), CLASSES, learn, _split(path, arrays, "test"))


def _split(path, arrays, part):
    stream, offsets, labels = _members(path, arrays, part)
    pixels, skipped = np.empty((len(labels), SIDE, SIDE, 3), np.uint8), {}
    for i in range(len(labels)):
        try:
            pixels[i] = _decode(stream[offsets[i] : offsets[i + 1]].tobytes())
        except InputError as error:
            skipped[i] = f"{path}: {part} picture {i}: {error}"
    if skipped:
        first, text = next(iter(skipped.values())), f"{len(skipped)} of {len(labels)} pictures cannot be read"
        if len(skipped) == len(labels):
            raise InputError(f"{text}; {first}")
        warnings.warn(f"{text} and are skipped; {first}", stacklevel=2)
    readable = np.delete(np.arange(len(labels)), list(skipped))
    return Split(pixels[readable] if skipped else pixels, labels[readable], skipped)


def _members(path, arrays, part):
    # -> stream (bytes,) uint8, offsets (n+1,), labels (n,)
    names = [f"{part}_{member}" for member in MEMBERS]
    for name in names:
        if name not in arrays:
            raise InputError(f"{path}: there is no {name!r}, expected {', '.join(names)} of a packed CIFAR-10 file")
        if len(arrays[name].shape) != 1 or "int" not in arrays[name].dtype:
            found = f"{arrays[name].dtype} {arrays[name].shape}"
            raise InputError(f"{path}: {name!r} is {found}, expected one row of integers")
    stream, offsets, labels = (arrays[name].read() for name in names)
    if stream.dtype != np.uint8:
        raise InputError(f"{path}: {names[0]!r} is {stream.dtype}, expected uint8")
    if len(offsets) != len(labels) + 1:
        raise InputError(f"{path}: {len(labels)} {part} labels, but {len(offsets)} offsets; expected one more")
    if offsets[0] != 0 or offsets[-1] != len(stream) or (offsets[1:] <= offsets[:-1]).any():
        raise InputError(f"{path}: {names[1]!r} must increase from 0 to the {len(stream)} bytes of {names[0]!r}")
    return stream, offsets, labels


def _decode(jpeg):
    # bytes -> (SIDE,SIDE,3) uint8
    from PIL import Image

    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            pixels = read_pixels(image)
    except InputError:
        raise
    except Exception as error:  # as in image.py: damaged files make decoders raise nearly everything
        raise InputError("not a JPEG file, or a damaged one") from error
    if pixels.shape != (SIDE, SIDE, 3):
        raise InputError(f"{pixels.shape[1]}×{pixels.shape[0]} pixels, expected {SIDE}×{SIDE}")
    return pixels
