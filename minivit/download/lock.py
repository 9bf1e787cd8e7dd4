"""One download of a file at a time, also across processes."""

import contextlib
import os
import time

from ..errors import InputError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    import msvcrt

POLL = 0.1  # seconds between two looks whether the other is ready


@contextlib.contextmanager
def only_one(path, note):
    """Wait until nobody else downloads `path`, and keep others waiting inside the block."""
    own = path.with_name(path.name + ".lock")
    handle = _take(own, note)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):  # Windows keeps open files
            own.unlink(missing_ok=True)
        os.close(handle)


def _take(own, note):
    waiting = False
    while True:
        try:
            own.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(own, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            advice = "set MINIVIT_HOME to a folder that can be written"
            raise InputError(f"cannot write {own.parent}: {error.strerror}; {advice}") from error
        if _locked(handle) and _is_still(own, handle):
            return handle
        os.close(handle)
        if not waiting:
            note(f"another download of {own.stem} is running; waiting for it")
            waiting = True
        time.sleep(POLL)


def _locked(handle):
    try:
        if os.name == "nt":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


def _is_still(own, handle):
    """Whether the file that was locked is still the one of that name: the one before may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(own))
    except FileNotFoundError:
        return False
