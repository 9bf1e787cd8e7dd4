"""An image file, a PIL image or an array -> RGB pixels, uint8 (h,w,3).  What is doubtful is refused, in one line.

The pixels are those of Pillow's ``ImageOps.exif_transpose(Image.open(file)).convert("RGB")``, from which the published
pipelines start: turned upright, grey replicated, alpha dropped, first frame.  Only 16-bit grey differs: it is scaled
to 8 bits here and clipped there.
"""

import logging
import os
import threading
import warnings
from contextlib import contextmanager

import numpy as np

from .errors import InputError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # no others are tried: EPS, say, would start Ghostscript
MAX_PIXELS = 100_000_000  # 300 MB of RGB, and the most that a photograph has today
MIN_SIDE = 2
MAX_ASPECT = 100

_LOCK = threading.Lock()  # Pillow's settings and Python's warning filters belong to the whole process


def read_pixels(source):
    """The RGB pixels of a picture: uint8 (h,w,3), upright.

    source: path of an image file or of a uint8 ``.npy`` file, PIL image, or uint8 array (h,w), (h,w,3) or (h,w,4).
    Raises InputError, naming the file, for anything that is not a whole picture of reasonable size.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, "the array")
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        return _from_array(load_array(path), path) if path.lower().endswith(".npy") else _from_file(path)
    from PIL import Image

    if isinstance(source, Image.Image):
        with _foreign_bytes("the PIL image", "a picture"), _strict_pillow():
            return _from_pil(source, "the PIL image")
    raise InputError(f"expected a path, a PIL image or a uint8 array, got {type(source).__name__}")


def load_array(path):
    """The array of a ``.npy`` file.  Raises InputError if it is pickled, truncated or not such a file."""
    with _foreign_bytes(path, "a whole .npy file of numbers (pickled objects are never loaded)"):
        _check_file(path)
        # mapped first: a header that claims more than the file holds fails here, before memory is taken
        return np.array(np.lib.format.open_memmap(path, mode="r"))


def _from_file(path):
    from PIL import Image, UnidentifiedImageError

    with _foreign_bytes(path, "an image"), _strict_pillow():
        _check_file(path)
        try:
            with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
                return _from_pil(image, path)
        except UnidentifiedImageError as error:
            known = ", ".join(FORMATS)
            raise InputError(f"{path}: not an image, or a damaged one; expected one of {known}") from error
        except Image.DecompressionBombError as error:
            raise InputError(f"{path}: {_too_many_pixels()}") from error


def _from_pil(image, name):
    # PIL image -> (h,w,3) uint8
    from PIL import ImageOps

    width, height = image.size
    _check_shape(height, width, name)  # the header is enough for this: nothing is decoded yet
    if image.mode == "F":
        raise InputError(f"{name}: floating-point image, whose white is unknown; save it with 8 or 16 bits per channel")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return _from_16_bits(np.array(image), name)
    return np.array(image.convert("RGB"))


def _from_16_bits(grey, name):
    # grey (h,w), any integers -> (h,w,3) uint8: the high byte
    if grey.min() < 0 or grey.max() > 65535:
        raise InputError(f"{name}: grey values from {grey.min()} to {grey.max()}, expected 16 bits (0 to 65535)")
    return _replicate((grey >> 8).astype(np.uint8))


def _from_array(array, name):
    # (h,w), (h,w,3) or (h,w,4) uint8 -> (h,w,3) uint8
    if array.dtype != np.uint8:
        raise InputError(f"{name}: expected uint8 pixels, got {array.dtype}; check_pixels takes preprocessed numbers")
    if array.ndim == 3 and array.shape[0] in (3, 4) and array.shape[2] not in (3, 4):
        raise InputError(f"{name}: shape {array.shape} looks like channels-first, transpose with x.transpose(1, 2, 0)")
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise InputError(f"{name}: expected pixels of shape (h,w,3), (h,w,4) or (h,w), got {array.shape}")
    _check_shape(*array.shape[:2], name)
    return _replicate(array) if array.ndim == 2 else np.ascontiguousarray(array[..., :3])


def _replicate(grey):
    # (h,w) -> (h,w,3)
    return np.repeat(grey[..., None], 3, axis=-1)


def _check_file(path):
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder, expected a file")
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise InputError(f"{path}: is a device or a pipe, expected a file")
    if os.path.getsize(path) == 0:
        raise InputError(f"{path}: the file is empty")


def _check_shape(height, width, name):
    size = f"{width}×{height} pixels"
    if min(height, width) < MIN_SIDE:
        raise InputError(f"{name}: {size}: nothing to see, each side needs at least {MIN_SIDE}")
    if height * width > MAX_PIXELS:
        raise InputError(f"{name}: {size}: {_too_many_pixels()}")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise InputError(f"{name}: {size}: longer than {MAX_ASPECT}:1, crop it first")


def _too_many_pixels():
    return f"more than {MAX_PIXELS // 10**6} megapixels, shrink the picture first"


@contextmanager
def _foreign_bytes(name, expected):
    """Whatever decoding complains about becomes InputError, and its warnings are silenced."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # damaged files make decoders raise nearly everything, MemoryError included
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(f"{name}: cannot be read as {expected} ({reason[:200]})") from error


@contextmanager
def _strict_pillow():
    """Pillow with our own settings, whatever the caller's are: no half-decoded images, our limit of pixels, no log."""
    from PIL import Image, ImageFile

    log = logging.getLogger("PIL")
    callers = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, log.level
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, MAX_PIXELS
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = callers[:2]
        log.setLevel(callers[2])
