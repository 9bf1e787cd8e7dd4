"""From a name, written as people write it, to the checkpoint that is meant."""

import re

from ..config import VARIANTS, key
from ..errors import InputError, nearest
from . import augreg
from .entry import Entry, File
from .table import content, entries, entry_of

SHOWN = 8  # candidates in a message
REPOSITORY = re.compile(r"hf:(\w[\w.-]*/\w[\w.-]*)")


def find(name, also=()):
    """The Entry of a name: "augreg/Ti_16", "google/vit-base-patch16-224", "ViT-B/16@384", "vit-b16" …

    Case and punctuation do not count.  A model's name alone means the first checkpoint in weights/registry.toml that
    fits, @384 the first one for pictures of that size.  Also understood are the full names of AugReg's files, and
    "hf:owner/name" for any repository of Hugging Face.
    Raises InputError if it is ambiguous, with the candidates, or unknown, with the nearest names (`also` among these).
    """
    base, image = _split(str(name).strip())
    for same in (_same_name, _same_model):
        found = [entry for entry in entries() if same(entry, base)]
        sized = [entry for entry in found if image in (None, entry.image)]
        if sized:
            return sized[0]
        if found:
            raise InputError(f"{name}: none for pictures of {image} pixels; there is {_listed(found, sizes=True)}")
    return _not_listed(base) or _refuse(name, base, also)


def matching(pattern):
    """The entries that a name or a part of one may mean, all for None."""
    if not pattern:
        return list(entries())
    base, image = _split(pattern)
    found = [e for e in entries() if key(base) in key(e.name) or _same_model(e, base)]
    found = [entry for entry in found if image in (None, entry.image)]
    if not found:
        raise InputError(f"no checkpoint has {pattern!r} in its name{_near(pattern)}")
    return found


def _split(name):
    # "ViT-B/16@384" -> ("ViT-B/16", 384)
    base, at, image = name.partition("@")
    if at and not image.isdecimal():
        raise InputError(f"{name}: after @ goes the side of the pictures in pixels, such as {base or 'ViT-B/16'}@384")
    return base, int(image) if at else None


def _same_name(entry, base):
    return key(entry.name.partition("@")[0]) == key(base)


def _same_model(entry, base):
    """Whether a name without its family is this entry's, or that of its variant."""
    own = entry.name.partition("@")[0].partition("/")[2]
    short = (entry.variant or "").replace("ViT-", "")
    return key(base) in {key(own), key(entry.variant or ""), key(short)} - {""}


def _not_listed(base):
    """The entry of a name that follows a rule instead of standing in the table, or None."""
    if match := REPOSITORY.fullmatch(base):
        return Entry(base, repo=match[1])
    family, _, own = base.rpartition("/")
    own = own.removesuffix(".npz")
    if family in ("", "augreg") and augreg.facts(own):
        return entry_of("augreg", {"name": own})
    table = content()["families"].get(family, {})
    if own and table.get("index") in (own, f"{own}.csv"):
        url = table["url"].replace("{file}", table["index"])
        return Entry(f"{family}/{table['index']}", file=File(url, f"{family}/{table['index']}"))
    variant = next((known for known in VARIANTS if key(known) == key(own)), None)
    if table.get("unlisted") and variant:
        return entry_of(family, {"name": variant.replace("/", "_"), "variant": variant})
    return None


def _refuse(name, base, also):
    parts = [entry for entry in entries() if key(base) and key(base) in key(entry.name)]
    if parts:
        raise InputError(f"{name}: ambiguous, it may be {_listed(parts)}")
    if key(base) in map(key, VARIANTS):
        raise InputError(f"no weights for {name} are known to be published; give the path of a checkpoint file")
    raise InputError(f"unknown checkpoint {str(name)!r}{_near(base, also)} (`minivit download --list` shows all)")


def _near(name, also=()):
    repositories = {entry.name.partition("/")[2] for entry in entries() if entry.repo}
    return nearest(name, {*VARIANTS, *repositories, *(entry.name for entry in entries()), *also})


def _listed(found, sizes=False):
    names = [f"{entry.name} ({entry.image})" if sizes else entry.name for entry in found[:SHOWN]]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(names) + more
