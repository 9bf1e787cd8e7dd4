"""Repositories of Hugging Face, through their own library (extra: hub)."""

import contextlib
import fnmatch
import hashlib
import os
import shutil
import sys

from ..errors import InputError
from . import contents, hashes, record
from .lock import only_one
from .record import Record

#: What a checkpoint consists of.  Pickles (pytorch_model.bin) can run code when they are loaded, and are never fetched.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
SETTINGS = ("config.json", "preprocessor_config.json")
MEANING = {
    401: "there is no such repository, or it is not public",
    403: "it is not given to everybody; its page says what to do",
    404: "there is no such repository",
}


def endpoint():
    """The hub, or the mirror that the user names."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def address(repo):
    return f"{endpoint()}/{repo}"


def by_hand(repo):
    """What somebody has to fetch who cannot use this."""
    return f"config.json, model.safetensors and, if there is one, preprocessor_config.json of {address(repo)}"


def fetch(entry, folder, report):
    """The folder of a repository, with its weights and settings, downloaded unless they are there and unchanged.

    Raises InputError if the library is missing, the repository cannot be fetched or is not what its name says.
    """
    if not has_weights(folder):
        with only_one(folder, report.note):
            if not has_weights(folder):
                _download(entry, folder, report)
    _verify(entry, folder)
    return folder


def has_weights(folder):
    """Whether a folder has the weights, or the index of weights in several files."""
    return any((folder / name).exists() for name in WEIGHTS[:2])


def _download(entry, folder, report):
    """All files into a folder beside it; only when all are right do they get their place, the weights last."""
    library = _library(entry, folder)
    unfinished = folder.with_name(folder.name + ".part")
    with _one_line(entry):
        about = library.HfApi(endpoint=endpoint()).model_info(entry.repo, files_metadata=True)
    files = _wanted(entry, about.siblings or ())
    for file in files:
        report.note(f"{file.rfilename} ({(file.size or 0) / 1e6:.1f} MB)")
        with _one_line(entry), _bars_on_terminals_only(library):
            library.hf_hub_download(
                entry.repo, file.rfilename, revision=about.sha, local_dir=unfinished, endpoint=endpoint()
            )
        _record(entry, file, unfinished / file.rfilename, about.sha)
    _check(entry, unfinished)
    folder.mkdir(exist_ok=True)
    for file in files:
        for path in (record.path_of(unfinished / file.rfilename), unfinished / file.rfilename):
            path.replace(folder / path.name)
    shutil.rmtree(unfinished)


def _library(entry, folder):
    try:
        import huggingface_hub
    except ImportError as error:
        otherwise = f"or put {by_hand(entry.repo)} into {folder}"
        raise InputError(f"{entry.repo} needs huggingface_hub: pip install 'minivit[hub]', {otherwise}") from error
    return huggingface_hub


def _wanted(entry, siblings):
    """Of a repository's files those that are read, the weights at the end and an index last."""
    named = {file.rfilename: file for file in siblings if not set(file.rfilename) & set("/\\")}
    weights = [name for pattern in reversed(WEIGHTS) for name in sorted(fnmatch.filter(named, pattern))]
    if "model.safetensors" in named:
        weights = ["model.safetensors"]
    if not weights:
        held = ", ".join(sorted(named)[:6]) or "nothing"
        raise InputError(f"{entry.repo}: no model.safetensors in this repository, which holds {held}")
    return [named[name] for name in (*SETTINGS, *weights) if name in named]


def _record(entry, file, path, revision):
    """Compare a file with the hash that the hub has of it, and remember it."""
    wanted = file.lfs.sha256 if file.lfs else None
    sha256 = hashes.digests(path, ["sha256"])["sha256"]
    right = sha256 == wanted if wanted else file.blob_id in (None, _git_id(path))
    if not right or file.size not in (None, path.stat().st_size):
        path.unlink()
        advice = "it was removed, give the command again"
        raise InputError(f"{entry.repo}: {file.rfilename} is not what the hub describes, wrong hash or size; {advice}")
    url = f"{address(entry.repo)}/resolve/{revision}/{file.rfilename}"
    labels = entry.labels.path if entry.labels and path.suffix == ".safetensors" else None
    record.write(path, Record(url, path.stat().st_size, sha256, f"the hub's {'sha256' if wanted else 'sha1'}", labels))


def _git_id(path):
    """The name that git gives to a file's contents."""
    return hashlib.sha1(b"blob %d\0" % path.stat().st_size + path.read_bytes(), usedforsecurity=False).hexdigest()


def _check(entry, folder):
    try:
        contents.check_model(entry, folder)
    except InputError as error:
        raise InputError(f"{entry.repo}: {error}; what came is in {folder}") from error


def _verify(entry, folder):
    weights = next(folder / name for name in WEIGHTS[:2] if (folder / name).exists())
    for path in {weights, *(path for path in folder.iterdir() if record.path_of(path).exists())}:
        record.verify(path, lambda _: contents.check_model(entry, folder))


@contextlib.contextmanager
def _one_line(entry):
    """Whatever the library raises (of httpx or requests, by its version) becomes one line."""
    try:
        yield
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if "Connect" in type(error).__name__:
            reason = f"cannot be reached ({reason}); look whether the network works, then give the command again"
        if isinstance(error, ValueError) and not status:
            reason = f"the answer is not the hub's, is this network's log-in page in between? ({reason})"
        raise InputError(f"{address(entry.repo)}: {MEANING.get(status, reason)}") from error


@contextlib.contextmanager
def _bars_on_terminals_only(library):
    utils = library.utils
    if sys.stderr.isatty() or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()
