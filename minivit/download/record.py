"""What is remembered of a downloaded file, in a small JSON file beside it."""

import json
import os
from dataclasses import asdict, dataclass

from .. import records
from ..errors import InputError
from ..files import replacing
from . import hashes


@dataclass(frozen=True)
class Record:
    """Where a file came from and what it was when it was found to be right."""

    url: str | None  # None: somebody put it there
    bytes: int
    sha256: str
    checked: str  # what it was compared with when it came
    labels: str | None = None  # file with the names of its classes, below the same weights folder


def path_of(path):
    """The record's own file."""
    return path.with_name(path.name + ".origin.json")


def read(path):
    """The Record of a file, None if there is none.  Raises InputError if it is damaged."""
    own = path_of(path)
    if not own.exists():
        return None
    try:
        return records.read(Record, json.loads(own.read_text(encoding="utf-8")), own.name)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{own}: not readable ({error}); remove it, and the file is checked anew") from error


def write(path, record):
    """Remember a file."""
    with replacing(path_of(path)) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def verify(path, check):
    """Raise InputError unless a file is what it was when it came; one that somebody put there is checked, and recorded.

    check(path) raises InputError unless the file is what its name says.
    """
    known = read(path)
    if known is None:
        check(path)
        if os.access(path.parent, os.W_OK):
            sha256 = hashes.digests(path, ["sha256"])["sha256"]
            write(path, Record(None, path.stat().st_size, sha256, "its contents"))
    elif path.stat().st_size != known.bytes or hashes.digests(path, ["sha256"])["sha256"] != known.sha256:
        advice = f"remove it and download it again; if the change is meant, remove {path_of(path).name}"
        raise InputError(f"{path}: no longer the file that was downloaded, its sha256 differs; {advice}")
