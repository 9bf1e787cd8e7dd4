"""Published checkpoints from the network into the weights folder, checked, and never half.

    path = download.fetch("augreg/Ti_16")        # or the path where it already is

MINIVIT_HOME is the folder (default: ~/.cache/minivit), MINIVIT_MIRROR replaces https://storage.googleapis.com,
HF_ENDPOINT replaces https://huggingface.co, https_proxy and no_proxy are proxies, and with MINIVIT_OFFLINE=1 nothing is
fetched: the error says what to fetch elsewhere, and where to put it.
"""

import os
from functools import partial

from .. import registry
from ..errors import InputError
from ..loading import weights_folders
from . import contents, hashes, hub, record
from .lock import only_one
from .record import Record
from .transfer import bring

GOOGLE = "https://storage.googleapis.com"


class Report:
    """What is told while it lasts: nothing.  Whoever wants to show it overrides the two methods."""

    def progress(self, done, total):
        """So many bytes of a file have come; total may be None."""

    def note(self, text):
        """Something worth knowing, such as that it is tried again."""


def fetch(name, report=None):
    """The Path of a published checkpoint, downloaded unless it is there already; so are its labels and vocabulary.

    name: as registry.find takes it.  A file that is there is compared with what it was when it came.
    Raises InputError for an unknown name, if it cannot be fetched, and if it is not what its name says.
    """
    entry, report = registry.find(name), report or Report()
    if offline() and (missing := _missing(entry)):
        raise InputError(f"MINIVIT_OFFLINE is set: {' and '.join(missing)}, or unset it")
    for file in entry.companions:
        _fetch_file(file, partial(contents.check_file, file), report)
    if entry.repo:
        return hub.fetch(entry, place(entry.repo), report)
    is_model = entry.path.endswith(".npz")  # else the index of AugReg
    check = partial(contents.check_model, entry) if is_model else partial(contents.check_file, entry.file)
    return _fetch_file(entry.file, check, report, entry.labels)


def place(path):
    """Where something is, or will be: its path below the first weights folder that has it, or below the very first."""
    folders = weights_folders()
    return next((folder / path for folder in folders if (folder / path).exists()), folders[0] / path)


def is_there(entry):
    """Whether a published checkpoint is in a weights folder."""
    path = place(entry.path)
    return hub.has_weights(path) if entry.repo else path.exists()


def offline():
    """Whether the user forbids the network."""
    return os.environ.get("MINIVIT_OFFLINE", "").lower() not in ("", "0", "no", "false")


def mirrored(url):
    """An address of Google's storage on the mirror that the user names."""
    mirror = os.environ.get("MINIVIT_MIRROR")
    if not mirror:
        return url
    if not mirror.startswith(("https://", "http://")):
        raise InputError(f"MINIVIT_MIRROR is {mirror!r}, expected the address that replaces {GOOGLE}")
    return mirror.rstrip("/") + url.removeprefix(GOOGLE)


def _missing(entry):
    """What somebody has to do who cannot download, for each file of an entry that is not there."""
    files = [] if is_there(entry) else [(hub.by_hand(entry.repo), entry.path)] if entry.repo else [entry.file]
    files += [file for file in entry.companions if not place(file.path).exists()]
    pairs = [file if isinstance(file, tuple) else (mirrored(file.url), file.path) for file in files]
    return [f"fetch {what} on another computer and put it at {place(path)}" for what, path in pairs]


def _fetch_file(file, check, report, labels=None):
    path = place(file.path)
    if path.exists():
        record.verify(path, check)
        return path
    with only_one(path, report.note):
        if not path.exists():  # else another download was quicker
            url = mirrored(file.url)
            part = bring(url, path.with_name(path.name + ".part"), file.bytes, report)
            sha256, checked = _accepted(part, path, check)
            known = Record(url, part.size, sha256, checked, labels and labels.path)
            part.move(path)
            record.write(path, known)
    return path


def _accepted(part, path, check):
    """(sha256, what it was compared with) of what has come.  Raises InputError, and removes it, if it is not right."""
    try:
        sha256, algorithm = hashes.check(part.path, part.hashes)
        if algorithm is None:
            contents.check_archive(part.path)
    except InputError as error:
        part.forget()
        raise InputError(f"{part.url}: {error}; it was removed, download it again or from another mirror") from error
    try:
        check(part.path)
    except InputError as error:
        why = str(error).removeprefix(f"{part.path}: ").removeprefix(f"{part.path.name}: ")
        if algorithm is None:
            part.forget()
            raise InputError(f"{part.url}: {why}; it was removed") from error
        refused = path.with_name(path.name + ".refused")
        part.move(refused)
        why += f"; its {algorithm} is the server's, so that is what the server has; it was kept as {refused}"
        raise InputError(f"{part.url}: {why}") from error
    return sha256, f"the server's {algorithm}" if algorithm else "its size and contents"
