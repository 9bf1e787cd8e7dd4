"""Where compiled kernels are kept on disk, and how a file that has changed there is found out."""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

from ...files import replacing

SEAL = "seal.json"


def writable(name=""):
    """The folder of that name in the cache, made if it is not there; None if nothing can be written.

    The cache is the first of NUMBA_CACHE_DIR, the user's cache folder and the system's temporary folder that works.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    given = os.environ.get("NUMBA_CACHE_DIR")
    places = [given] if given else []
    for place in (*places, Path(home) / "minivit", Path(tempfile.gettempdir()) / f"minivit-{user}"):
        folder = Path(place) / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return None


def checksum(*parts):
    """Of texts or bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0" if isinstance(part, str) else part)
    return digest.hexdigest()


def check_seal(folder):
    """Machine code that was changed on disk must not run: compare every file with the checksums of the seal."""
    seal = folder / SEAL
    try:
        expected = json.loads(seal.read_bytes()) if seal.exists() else {}
        for name, digest in expected.items():
            if checksum((folder / name).read_bytes()) != digest:
                raise ValueError(f"{name} has changed")
    except (OSError, ValueError, AttributeError) as error:
        discard(folder, error)


def seal(folder):
    digests = {path.name: checksum(path.read_bytes()) for path in folder.glob("*.o")}
    with replacing(folder / SEAL) as temporary:
        temporary.write_text(json.dumps(digests))


def discard(folder, error):
    warnings.warn(f"the kernel cache {folder} is damaged ({error}); the kernels are compiled again", stacklevel=2)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
