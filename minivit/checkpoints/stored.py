"""One array in a file: its name, shape and type are known at once, its numbers are fetched only when asked for."""

import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InputError

#: NumPy has no bfloat16: `np.save` writes it as two opaque bytes, and safetensors' BF16 is read the same way.
BFLOAT16 = np.dtype("V2")

FLOATS = ("float16", "bfloat16", "float32", "float64")
MAX_ARRAYS = 10_000  # a checkpoint of ViT-H/14 with its optimizer state has 1,600

#: What reading bytes that are not what they claim to be can raise; RuntimeError includes endless nesting.
DAMAGE = (OSError, EOFError, ValueError, OverflowError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class StoredArray:
    """An array whose numbers ``load(mapped)`` fetches; ``mapped`` allows a view of the file instead of a copy."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: str  # as stored: "float32", "bfloat16", …
    load: Callable[[bool], np.ndarray]

    @property
    def size(self):
        """How many numbers it holds."""
        return math.prod(self.shape)

    def read(self, mapped=True):
        """The numbers in native byte order, bfloat16 as float32; a view of a mapped file is read-only.

        Raises InputError if the bytes are damaged or do not fit into memory.
        """
        try:
            return self.load(mapped)
        except InputError:
            raise
        except DAMAGE as error:
            cause = f"{self.name!r} cannot be read ({one_line(error)})"
            raise InputError(f"{self.file.name}: {cause}; download or save the file again") from None

    def check_dtype(self):
        """Raise InputError unless the numbers are of a floating-point type, as weights are."""
        if self.dtype not in FLOATS:
            raise InputError(f"{self.file.name}: {self.name!r} is stored as {self.dtype}, expected {', '.join(FLOATS)}")

    def derived(self, shape, change):
        """The same array seen as ``change(numbers)``, which has the given shape."""
        return replace(self, shape=tuple(shape), load=lambda mapped: change(self.read(mapped)))


def decode(raw, dtype, shape, fortran=False):
    # raw (bytes,) uint8 -> the array of that shape; a bfloat16 is the upper half of a float32
    if dtype == BFLOAT16:
        flat = raw.view("<u2").astype(np.uint32)
        flat <<= 16
        flat = flat.view(np.float32)
    else:
        flat = raw.view(dtype).astype(dtype.newbyteorder("="), copy=False)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def check_count(path, count):
    """Raise InputError for a file with more arrays than any checkpoint has, before looking at each."""
    if count > MAX_ARRAYS:
        raise InputError(f"{path.name}: {count} arrays, expected a checkpoint with at most {MAX_ARRAYS}")


def dtype_name(dtype):
    return "bfloat16" if dtype == BFLOAT16 else dtype.name


def map_file(path):
    # -> (bytes of the file,) uint8, read from disk page by page as they are used
    return np.asarray(np.memmap(path, np.uint8, "r"))


def one_line(error):
    """An error of another library as part of one of our one-line messages."""
    return " ".join(str(error).split())[:200] or type(error).__name__
