"""weights/registry.toml as entries."""

from dataclasses import fields, replace
from functools import cache
from pathlib import Path

from . import augreg
from .entry import Entry, File

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}
FACTS = {field.name for field in fields(Entry)} - {"name", "file", "repo", "companions"}


def location():
    """The Path of the file: in the package where that is installed, beside it in a clone."""
    package = Path(__file__).parents[1]
    installed, clone = (folder / "weights" / "registry.toml" for folder in (package, package.parent))
    return installed if installed.exists() else clone


@cache
def content():
    """The file as it is."""
    return tomllib.loads(location().read_text(encoding="utf-8"))


@cache
def entries():
    """Every checkpoint of the file, in its order, which is the order of preference."""
    found = {}
    for family, table in content()["families"].items():
        for row in table["checkpoints"]:
            entry = entry_of(family, row)
            name = entry.name if entry.name not in found else f"{entry.name}@{entry.image}"
            found[name] = replace(entry, name=name)
    return tuple(found.values())


def entry_of(family, row):
    """The Entry of a family's row: {"name": …} and whatever else is known of it."""
    row = {**content()["families"][family], **row}
    name = f"{row.get('repo', family)}/{row['name']}"
    if "repo" in row:
        place = {"repo": name}
    else:
        file = row.get("file", f"{row['name']}.npz")
        place = {"file": _file(family, row["url"], file, row.get("size"))}
        if family == "augreg":
            row = {**augreg.facts(file), **row}
    facts = {fact: value for fact, value in row.items() if fact in FACTS}
    return Entry(name, **facts, **place, companions=tuple(_companions(family, row)))


def _companions(family, row):
    if "labels" in row and row.get("classes"):
        labels = content()["labels"][row["labels"]]
        yield File(labels["url"], f"labels/{Path(labels['url']).name}", lines=labels["lines"])
    if "vocabulary" in row:
        yield _file(family, row["url"], row["vocabulary"])


def _file(family, url, name, size=None):
    number, unit = size.split() if size else (0, "MiB")
    return File(url.replace("{file}", name), f"{family}/{name}", round(float(number) * UNITS[unit]) or None)
