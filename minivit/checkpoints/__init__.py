"""Other people's checkpoints, read into the one parameter tree of params.py.

A path becomes arrays (files, arrays_npz, arrays_safetensors), the names of the arrays tell the layout (vit_jax,
huggingface, timm), which tells the config (found) and where every parameter comes from (rules).  Files that minivit
itself wrote (native) tell their config in so many words.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from .. import params
from ..config import ViTConfig
from ..errors import InputError
from . import huggingface, native, timm, timm_mixer, vit_jax, vit_jax_lit
from .files import open_source, source_of
from .found import configure
from .rules import check

LAYOUTS = (native, vit_jax_lit, vit_jax, huggingface, timm, timm_mixer)


@dataclass(frozen=True)
class Checkpoint:
    """A file whose tensors are exactly those of its config; the numbers are read by ``params``."""

    path: Path
    family: str  # "vit" | "deit"
    layout: str  # "minivit" | "vit_jax npz" | "huggingface" | "timm"
    config: ViTConfig
    labels: tuple[str, ...] | None  # names of the classes, in order
    provenance: dict  # what the file tells about its origin; only minivit's own files do
    dtypes: tuple[str, ...]  # as stored
    warnings: list[str]
    arrays: dict = field(repr=False)  # their name -> StoredArray
    wanted: dict = field(repr=False)  # our flat name -> (their names, their shape, turn)

    @property
    def parameters(self):
        """The number of parameters."""
        return params.count(self.config)

    def params(self):
        """The canonical tree in the stored float type (bfloat16 as float32); arrays may be read-only views of the file.

        Raises InputError for damaged data and for weights that are not finite.
        """
        return params.nest(dict(self.stream()))

    def stream(self):
        """The same as pairs (flat name, array), each read when its turn comes: who converts needs no room for both."""
        for ours, wanted in self.wanted.items():
            array = _assemble(self.arrays, wanted)
            check_finite({f"{self.path}: {ours}": array})
            yield ours, array


def read(path, **overrides):
    """Open a checkpoint: a .npz or .safetensors file, or a folder saved by Hugging Face or timm.

    ``overrides`` are fields of ViTConfig that the file does not tell or tells wrongly (heads=4, pool="token_unpooled").
    Raises InputError if it is not readable, not a plain ViT or DeiT, or if its tensors do not fit its config.
    """
    return _checkpoint(path, _recognise(open_source(path)), overrides)


def from_arrays(arrays, name, tables=None, **overrides):
    """The same for {official name: array} in memory; ``name`` is the file's in messages.

    ``tables``: what would stand beside the file, {"config.json": {…}}.
    """
    return _checkpoint(name, _recognise(source_of(arrays, name, tables or {})), overrides)


def _recognise(source):
    for layout in LAYOUTS:
        found = layout.recognise(source)
        if found:
            return found
    first = ", ".join(map(repr, sorted(source.arrays)[:3])) or "nothing"
    raise InputError(f"{source.file.name}: expected a ViT of vit_jax, Hugging Face or timm, it holds {first} …")


def _checkpoint(path, found, overrides):
    config = configure(found, overrides)
    wanted = check(found, config)
    warnings = found.warnings + [text for name, text in found.assumed.items() if name not in overrides]
    if config.classes and not _assemble(found.arrays, wanted["head.w"]).any():
        warnings.append("the head is all zeros, as in published ImageNet-21k files: its predictions mean nothing")
    dtypes = tuple(sorted({array.dtype for array in found.arrays.values()}))
    about = (Path(path), found.family, found.layout, config, found.labels, found.provenance, dtypes, warnings)
    return Checkpoint(*about, found.arrays, wanted)


def _assemble(arrays, wanted):
    # -> one array of the canonical tree
    names, _, turn = wanted
    # parts are copied when they are put together; if they were mapped too, they would occupy memory twice
    return turn(*(arrays[name].read(mapped=len(names) == 1) for name in names))


def check_finite(flat):
    """Raise InputError, naming the first bad tensor, if any number in {flat name: array} is NaN or infinite."""
    for name, array in flat.items():
        bad = array.size - np.count_nonzero(np.isfinite(array))
        if bad:
            raise InputError(f"{name}: {bad} of {array.size} weights are NaN or infinite, expected finite numbers")


def describe(path):
    """What a file is, as a dict that JSON can hold.  What ``read`` would refuse is said under "problem".

    Raises InputError if the file cannot even be opened as .npz or .safetensors.
    """
    source = open_source(path)
    report = _first_look(path, source)
    try:
        found = _recognise(source)
        kinds = {family: what for _, family, what in vit_jax.RELATIVES}
        kinds["masked"] = "a Vision Transformer for masked image modelling"
        what = kinds.get(found.family, "a plain Vision Transformer")
        report |= {"what": what, "family": found.family, "layout": found.layout}
        report |= _summary(_checkpoint(path, found, {}))
    except InputError as error:
        report["problem"] = str(error)
        report["tensors"] = [f"{array.name} {array.shape} {array.dtype}" for array in source.arrays.values()]
    return report


def _first_look(path, source):
    model, _ = vit_jax.subtree(source.arrays)
    family, what = vit_jax.relative(model) or (None, "not recognised")
    return {
        "file": str(path),
        "bytes": source.bytes,
        "container": source.container,
        "what": what,
        "family": family,
        "layout": None,
        "name": None,
        "config": None,
        "parameters": sum(array.size for array in model.values()),
        "dtypes": sorted({array.dtype for array in model.values()}),
        "labels": None,
        "provenance": {},
        "warnings": [],
        "problem": None,
        "tensors": [],  # only told if there is a problem
    }


def _summary(checkpoint):
    config = asdict(checkpoint.config)
    return {
        "name": config.pop("name"),
        "config": config,
        "parameters": checkpoint.parameters,
        "labels": checkpoint.labels and len(checkpoint.labels),
        "provenance": checkpoint.provenance,
        "warnings": checkpoint.warnings,
    }
