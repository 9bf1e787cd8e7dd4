"""An unfinished file, NAME.part, and which version of what it is a part of, in NAME.part.json."""

import contextlib
import json
import shutil

from ..errors import InputError
from ..files import replacing
from .connect import Again


class Part:
    """What has come of one file so far.

    version, total, hashes: what the server said of the file: its ETag or date, its bytes and its checksums.
    """

    def __init__(self, path, url):
        self.path, self.url = path, url
        self._own = path.with_name(path.name + ".json")
        about = self._read()
        self.version, self.total, self.hashes = about.get("version"), about.get("total"), about.get("hashes", {})
        self.finished = False

    def _read(self):
        """What was noted of a part that can be continued: of the same address, and not longer than the whole."""
        try:
            about = json.loads(self._own.read_text(encoding="utf-8"))
            usable = about["url"] == self.url and 0 < self.size <= (about["total"] or self.size)
            return about if usable else {}
        except (OSError, ValueError, KeyError, TypeError):  # nothing noted, or nothing to rely on: from the beginning
            return {}

    @property
    def size(self):
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def complete(self):
        """Whether nothing is missing."""
        return self.finished or (self.version is not None and self.size == self.total)

    @property
    def advice(self):
        if self.version and self.size:
            return f"{self.size / 1e6:.1f} MB are kept, the same command goes on from there"
        return "look whether the network works, then give the command again"

    def begin(self, version, total, hashes):
        """Forget what there is; from now on it is a part of this version."""
        self.forget()
        self.version, self.total, self.hashes = version, total, hashes
        about = {"url": self.url, "version": version, "total": total, "hashes": hashes}
        with replacing(self._own) as temporary:
            temporary.write_text(json.dumps(about), encoding="utf-8")

    def forget(self):
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._own.unlink(missing_ok=True)
        self.version = None

    def move(self, path):
        """Give the finished file its name."""
        self.path.replace(path)
        self.forget()

    def check_space(self):
        """Raise InputError if the disk has no room for the rest."""
        free = shutil.disk_usage(self.path.parent).free
        needed = (self.total or 0) - self.size
        if needed > free:
            raise InputError(self._full(f"{needed / 1e6:.1f} MB are missing, {free / 1e6:.1f} MB are free"))

    @contextlib.contextmanager
    def appending(self):
        """A function that appends bytes.  Raises InputError if they cannot be written."""
        with open(self.path, "ab", buffering=0) as file:

            def append(data):
                while data:
                    try:
                        data = data[file.write(data) :]
                    except OSError as error:
                        raise InputError(self._full(error.strerror)) from error

            yield append

    def ended(self):
        """The server has nothing more.  Raises Again if that was too early."""
        if self.total is not None and self.size != self.total:
            raise Again(f"the connection was cut after {self.size:,} of {self.total:,} bytes")
        self.finished = True

    def _full(self, why):
        place = f"make room in {self.path.parent}, or set MINIVIT_HOME to a folder on another disk"
        return f"cannot write {self.path.name}: {why}; {place}, and give the command again"
