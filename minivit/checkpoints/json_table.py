"""A JSON object that somebody else wrote: every value is of the right kind and of a sane size, or an error names it."""

import json
import math

from ..errors import InputError
from .stored import DAMAGE, one_line

MAX_BYTES = 16 << 20  # a config.json with 21,843 labels has two million
LARGEST = 1_000_000  # no size of a Vision Transformer comes near


class Table:
    """A JSON object and the name of its file, which opens every message."""

    def __init__(self, file, values):
        self.file, self.values = file, values

    def get(self, name, default=None):
        """The value as it is."""
        return self.values.get(name, default)

    def wrong(self, what):
        """The InputError that says what is wrong in this file."""
        return InputError(f"{self.file}: {what}")

    def table(self, name):
        """An object inside this one; empty if there is none.  Raises InputError if it is something else."""
        value = self.get(name, {})
        if not isinstance(value, dict):
            raise self.wrong(f"{name} is {_shown(value)}, expected an object {{…}}")
        return Table(self.file, value)

    def whole(self, name, default=None):
        """A whole number from 1 to LARGEST.  Raises InputError for anything else."""
        return self._whole(name, self.get(name, default))

    def pair(self, name, default=None):
        """(height, width) from one number, two, or {"height": …, "width": …}.  Raises InputError for anything else."""
        value = self.get(name, default)
        if isinstance(value, dict):
            value = [value.get("height"), value.get("width")]
        sides = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, value)
        return tuple(self._whole(name, side) for side in sides)

    def fraction(self, name, default=None):
        """A number above 0, at most 1.  Raises InputError for anything else."""
        value = self.get(name, default)
        if type(value) not in (int, float) or not 0 < value <= 1:
            raise self.wrong(f"{name} is {_shown(value)}, expected a number above 0 and at most 1")
        return float(value)

    def colours(self, name, default=None):
        """Three finite numbers, one per colour.  Raises InputError for anything else."""
        value = self.get(name, default)
        right = isinstance(value, (list, tuple)) and len(value) == 3 and all(type(v) in (int, float) for v in value)
        if not right or not all(math.isfinite(v) and abs(v) < LARGEST for v in value):
            raise self.wrong(f"{name} is {_shown(value)}, expected three numbers, one per colour")
        return tuple(map(float, value))

    def _whole(self, name, value):
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise self.wrong(f"{name} is {_shown(value)}, expected a whole number from 1 to {LARGEST}")
        return value


def read_json(path):
    """The JSON object in a small file, as a Table.  Raises InputError if it is not one."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: more than {MAX_BYTES} bytes, expected a small JSON file")
        values = json.loads(path.read_bytes())
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(f"{path}: not readable as JSON ({one_line(error)}); download or save it again") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object {{…}}, found {_shown(values)}")
    return Table(path.name, values)


def _shown(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
