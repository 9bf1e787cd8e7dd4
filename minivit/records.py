"""Frozen dataclasses from JSON, strictly: what somebody wrote gives a record of the right types, or one clear line."""

import dataclasses
import types
import typing

from .errors import InputError, nearest

LARGEST = 10**15  # no size, count or rate comes near; keeps absurd numbers of a file away from arithmetic

_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    types.NoneType: "null",
}


def check(record, where=""):
    """Raise InputError, naming the field, unless every field of a dataclass has the type of its annotation."""
    for name, kind in typing.get_type_hints(type(record)).items():
        _converted(kind, getattr(record, name), f"{where}{name}")


def read(kind, values, where):
    """The dataclass `kind` from what `json` made of `dataclasses.asdict` of one; fields with a default may be missing.

    `where` opens every message.  Raises InputError for an unknown or missing field and for a value of another type.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where} is {shown(values)}, expected an object {{…}}")
    known = {field.name: field for field in dataclasses.fields(kind)}
    for name in values:
        if name not in known:
            raise InputError(f"{where} has an unknown field {shown(name)}{nearest(name, known)}")
    for name, field in known.items():
        if name not in values and field.default is dataclasses.MISSING:
            raise InputError(f"{where} lacks the field {name!r}")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _converted(hints[name], value, f"{where}: {name}") for name, value in values.items()})


def options(kind):
    """The types of a union, or the type itself: ``int | None`` -> (int, NoneType)."""
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _converted(kind, value, where):
    # -> the value as the first of the types that it fits: lists become tuples, whole numbers floats
    for option in options(kind):
        if dataclasses.is_dataclass(option):
            if isinstance(value, option):
                return value
            if isinstance(value, dict):
                return read(_fitting(kind, value), value, where)
        elif parts := typing.get_args(option):  # tuple[int, int]
            if parts[1:] == (...,) and isinstance(value, (list, tuple)):  # tuple[int, ...]
                parts = parts[:1] * len(value)
            if isinstance(value, (list, tuple)) and len(value) == len(parts):
                return tuple(_converted(part, v, where) for part, v in zip(parts, value, strict=True))
        elif option in (int, float):
            if type(value) in (int, option) and abs(value) < LARGEST:  # which NaN is not, nor True an int here
                return option(value)
        elif type(value) is option:
            return value
    wanted = " or ".join(map(_word, options(kind)))
    if type(value) in (int, float) and abs(value) >= LARGEST:
        wanted = f"a number below {LARGEST:.0e}"
    raise InputError(f"{where} is {shown(value)}, expected {wanted}")


def _fitting(kind, values):
    # of several dataclasses the first that has all these fields; if none has, the first can best say what is wrong
    known = [option for option in options(kind) if dataclasses.is_dataclass(option)]
    fits = (option for option in known if values.keys() <= {field.name for field in dataclasses.fields(option)})
    return next(fits, known[0])


def _word(kind):
    if parts := typing.get_args(kind):
        return "a list of numbers" if parts[-1] is ... else f"a list of {len(parts)} numbers"
    return _WORDS.get(kind, "an object {…}")


def shown(value):
    """A value in a message: its repr, cut where it gets long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
