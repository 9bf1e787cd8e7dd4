"""minivit's own files: safetensors with the names of params.py, and in the metadata all that a name cannot tell.

One entry of the metadata, "minivit", is a JSON object: version, family ("vit" if it is not there), config (every field
of the family's config, the preprocessing too), labels (or null) and provenance, a free object about where the numbers
come from.
"""

import json
from dataclasses import asdict, fields

import numpy as np

from .. import params, records
from ..config import FAMILIES
from ..errors import InputError, nearest
from ..files import replacing
from ..preprocess import FITS, RESAMPLERS
from .found import Found
from .json_table import Table
from .stored import DAMAGE, one_line

TAG, VERSION = "minivit", 1
DTYPES = ("float32", "float16")

KNOWN = ("version", "family", "config", "labels", "provenance")


def write(path, config, tree, labels=None, provenance=None, dtype="float32"):
    """Save a model so that `minivit.load` reads it back: the whole file or none.

    tree: the canonical tree; labels: a name per class; provenance: a dict for JSON; dtype: "float32" | "float16".
    Raises InputError for a tree that does not fit the config, for numbers that are not finite in that dtype, and if the
    file cannot be written.
    """
    from safetensors.numpy import save

    if dtype not in DTYPES:
        raise InputError(f"a checkpoint is saved as {' or '.join(DTYPES)}, not as {dtype!r}")
    labels = _labels(Table(str(path), {"labels": labels and list(labels)}), config.classes)
    flat = {name: _number(name, array, dtype) for name, array in params.flatten(tree).items()}
    if {name: array.shape for name, array in flat.items()} != params.shapes(config):
        raise InputError(f"cannot write {path}: the parameters are not those of {config.name}")
    about = {"version": VERSION, "family": config.family, "config": asdict(config), "labels": labels}
    about["provenance"] = provenance or {}
    content = save(flat, metadata={TAG: json.dumps(about, ensure_ascii=False)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _number(name, array, dtype):
    with np.errstate(over="ignore"):
        array = np.asarray(array).astype(dtype, order="C")  # safetensors writes the memory as it lies
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds numbers that are not finite in {dtype}; nothing was written")
    return array


def recognise(source):
    """What the file holds, or None if it is not of this layout.

    Raises InputError for another version and for metadata that is not what `write` wrote.
    """
    if source.container != "safetensors" or {array.file for array in source.arrays.values()} != {source.file}:
        return None
    about = _metadata(source.file)
    if about is None:
        return None
    if about.get("version") != VERSION:
        version = f"version {records.shown(about.get('version'))} of minivit's format"
        raise about.wrong(f"{version}, this program reads version {VERSION}; update minivit")
    if extra := set(about.values) - set(KNOWN):
        raise about.wrong(f"unknown metadata {records.shown(min(extra))}, expected {', '.join(KNOWN)}")
    config = _config(about)
    found = Found("minivit", config.family, source.file, source.arrays, None)
    found.fields = {field.name: getattr(config, field.name) for field in fields(config)}
    found.labels = _labels(about, config.classes)
    found.provenance = about.table("provenance").values
    return found


def _metadata(path):
    # -> Table of the file's own metadata, None if it has none
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:  # whole and sound: arrays_safetensors.py has validated it
        text = (file.metadata() or {}).get(TAG)
    if text is None:
        return None
    try:
        values = json.loads(text)
    except DAMAGE as error:
        raise InputError(f"{path.name}: its metadata is not JSON ({one_line(error)}); download it again") from None
    if not isinstance(values, dict):
        raise InputError(f"{path.name}: its metadata is {records.shown(values)}, expected an object {{…}}")
    return Table(path.name, values)


def _config(about):
    name = about.table("config").get("name")
    if not str(name).isprintable():  # it will be part of messages
        raise about.wrong(f"config: name is {records.shown(name)}, expected printable text")
    try:
        config = records.read(_kind(about), about.get("config"), "config")
    except InputError as error:
        raise about.wrong(str(error)) from None
    policy = config.preprocess
    if policy.resample not in RESAMPLERS or policy.fit not in FITS:
        known = f"{nearest(policy.resample, RESAMPLERS)}; fit is one of {', '.join(FITS)}"
        raise about.wrong(f"config: preprocess has resample {policy.resample!r} and fit {policy.fit!r}{known}")
    return config


def _kind(about):
    family = about.get("family", "vit")
    if not isinstance(family, str) or family not in FAMILIES:
        raise about.wrong(f"unknown family {records.shown(family)}{nearest(family, FAMILIES)}")
    return FAMILIES[family]


def _labels(about, classes):
    labels = about.get("labels")
    if labels is None:
        return None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise about.wrong(f"labels is {records.shown(labels)}, expected a list of texts")
    if len(labels) != classes:
        raise about.wrong(f"{len(labels)} labels, but the model has {classes or 'no'} classes")
    return tuple(labels)
