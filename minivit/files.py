"""Writing files so that a reader sees the old file or the whole new one, never half of it."""

import contextlib
import mmap
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from .errors import InputError


@contextlib.contextmanager
def replacing(path):
    """A temporary path beside `path`; when the block ends well it is renamed to `path`, otherwise removed.

    Raises InputError if the place cannot be written.
    """
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another output path") from error
    try:
        yield Path(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose another output path") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path):
    """The same for a folder: what the block puts into the temporary one becomes `path`, in the place of an old one.

    Raises InputError if the place cannot be written.
    """
    path = Path(path)
    temporary = old = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        yield temporary
        for place in (temporary, *temporary.iterdir()):
            place.chmod((0o777 if place.is_dir() else 0o666) & ~_umask())
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent))
            path.rename(old / path.name)
        temporary.rename(path)
    except OSError as error:
        if old and not path.exists():
            (old / path.name).rename(path)
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose another output path") from error
    finally:
        for left in filter(None, (temporary, old)):
            shutil.rmtree(left, ignore_errors=True)


def write_npz(path, arrays):
    """Write {name: array} as an uncompressed .npz file."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_arrays(path):
    """{name: array} of a .npz or .safetensors file.  Raises InputError if it is damaged or pickled."""
    from .checkpoints.files import open_source

    return {name: stored.read() for name, stored in open_source(path).arrays.items()}


def release(array):
    """Give back the memory that holds the pages of a mapped file; they are read again when they are used again."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
