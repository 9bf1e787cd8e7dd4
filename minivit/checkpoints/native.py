"""minivit's own files: safetensors with the names of params.py, and in the metadata all that a name cannot tell.

One entry of the metadata, "minivit", is a JSON object: version, config (every field of ViTConfig, the preprocessing
too), labels (or null) and provenance, a free object about where the numbers come from.
"""

import json
from dataclasses import asdict

import numpy as np

from .. import params, records
from ..config import ViTConfig
from ..errors import InputError, nearest
from ..files import replacing
from ..preprocess import RESAMPLERS
from .found import Found
from .json_table import Table
from .rules import same
from .stored import DAMAGE, one_line

TAG, VERSION = "minivit", 1
DTYPES = ("float32", "float16")

#: flat name -> shape in the letters of the glossary; `*` is the number of a block
SHAPES = {
    "embed.w": "P P channels D",
    "embed.b": "D",
    "embed.prefix": "1 prefix D",
    "embed.position": "1 N D",
    "blocks.*.ln1.scale": "D",
    "blocks.*.ln1.bias": "D",
    "blocks.*.attn.qkv.w": "D 3D",
    "blocks.*.attn.qkv.b": "3D",
    "blocks.*.attn.out.w": "D D",
    "blocks.*.attn.out.b": "D",
    "blocks.*.ln2.scale": "D",
    "blocks.*.ln2.bias": "D",
    "blocks.*.mlp.fc1.w": "D M",
    "blocks.*.mlp.fc1.b": "M",
    "blocks.*.mlp.fc2.w": "M D",
    "blocks.*.mlp.fc2.b": "D",
    "norm.scale": "D",
    "norm.bias": "D",
    "representation.w": "D R",
    "representation.b": "R",
    "head.w": "feature C",
    "head.b": "C",
    "head_distill.w": "feature C",
    "head_distill.b": "C",
}
RULES = {name: (name, shape, same) for name, shape in SHAPES.items()}


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
    about = {"version": VERSION, "config": asdict(config), "labels": labels, "provenance": provenance or {}}
    content = save(flat, metadata={TAG: json.dumps(about, ensure_ascii=False)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _number(name, array, dtype):
    with np.errstate(over="ignore"):
        array = np.asarray(array).astype(dtype)
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
    if extra := set(about.values) - {"version", "config", "labels", "provenance"}:
        raise about.wrong(f"unknown metadata {records.shown(min(extra))}, expected version, config, labels, provenance")
    config = _config(about)
    found = Found("minivit", "vit", source.file, source.arrays, RULES)
    found.fields = {name: getattr(config, name) for name in config.__dataclass_fields__}
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
        config = records.read(ViTConfig, about.get("config"), "config")
    except InputError as error:
        raise about.wrong(str(error)) from None
    policy = config.preprocess
    if policy.resample not in RESAMPLERS or policy.fit not in ("stretch", "shorter"):
        known = f"{nearest(policy.resample, RESAMPLERS)}; fit is 'stretch' or 'shorter'"
        raise about.wrong(f"config: preprocess has resample {policy.resample!r} and fit {policy.fit!r}{known}")
    return config


def _labels(about, classes):
    labels = about.get("labels")
    if labels is None:
        return None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise about.wrong(f"labels is {records.shown(labels)}, expected a list of texts")
    if len(labels) != classes:
        raise about.wrong(f"{len(labels)} labels, but the model has {classes or 'no'} classes")
    return tuple(labels)
