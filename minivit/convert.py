"""From one layout of checkpoints to another: the numbers stay the same to the bit, only names and order change.

Before anything is written, the new arrays and settings are read as a reader of the new file will read them.  What
that reader would take otherwise than the old one is an error that names it.  After writing, every array is read back
and compared.
"""

import json
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from . import checkpoints, files, params
from .checkpoints import write_huggingface, write_timm, write_vit_jax
from .checkpoints.files import open_source
from .errors import InputError, nearest
from .loading import find, read_labels
from .preprocess import resized_shape

PLANS = {"npz": write_vit_jax.plan, "hf": write_huggingface.plan, "timm": write_timm.plan}

#: A picture whose resized shape tells how a policy treats sides that differ
OBLONG = (997, 499)
#: Resize filters that are the same but for antialiasing; only vit_jax's own code has the first
ALIKE = {"tf_bilinear", "bilinear"}


def convert(source, destination, to, labels=None, force=False, as_is=False, progress=lambda done, total: None, **more):
    """Write a checkpoint in another layout; returns a report, a dict that JSON can hold.

    source: what `load` takes; destination: a new .npz file, or a new folder for "hf" and "timm"; to: a key of PLANS.
    labels: a file of labels, in place of the checkpoint's own; force: replace what is at the destination.
    as_is: write the arrays even if readers of the new layout will take some settings otherwise; the report says which.
    progress: called with (arrays compared, all); more: fields of the config that the source cannot say.
    Raises InputError, with nothing written, for a model that the layout cannot hold and for a bad destination.
    """
    if to not in PLANS:
        raise InputError(f"unknown layout {to!r}{nearest(to, PLANS)}")
    checkpoint = checkpoints.read(find(source), **more)
    config = checkpoint.config
    labels = checkpoint.labels if labels is None else read_labels(labels, config.classes)
    plan = PLANS[to](config, labels)
    targets = _targets(Path(destination), to, plan, force)
    arrays = plan.arrays(config, params.flatten(checkpoint.params()))
    again = checkpoints.from_arrays(arrays, targets[-1].name, plan.beside)
    notes = _differences(config, again.config, to, as_is)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    (_write_file if to == "npz" else _write_folder)(targets, plan, arrays, progress)
    if checkpoint.provenance:
        notes.append(f"the {to} layout has no place for the file's provenance")
    return {
        "source": str(checkpoint.path),
        "destination": str(destination),
        "model": config.name,
        "from": checkpoint.layout,
        "to": again.layout,
        "arrays": len(arrays),
        "parameters": checkpoint.parameters,
        "labels": labels and len(labels),
        "files": {str(path): path.stat().st_size for path in targets},
        "notes": [*checkpoint.warnings, *plan.notes, *notes],
    }


def _targets(destination, to, plan, force):
    """The files that will be written, the weights last.  Raises InputError if that would overwrite something."""
    if to == "npz":
        if destination.suffix != ".npz":
            raise InputError(f"{destination}: expected the name of a new file that ends in .npz")
        targets = [*(destination.with_suffix(f".{name}") for name in plan.beside), destination]
        there = [path for path in targets if path.exists()]
    else:
        if destination.suffix in (".npz", ".safetensors"):
            raise InputError(f"{destination}: the {to} layout is a folder; give the name of a new one")
        targets = [destination / name for name in (*plan.beside, "model.safetensors")]
        there = [destination] if destination.exists() else []
    if there and not force:
        raise InputError(f"{there[0]} exists already; --force replaces it")
    for path in there:
        strange = sorted(set(path.iterdir()) - set(targets)) if path.is_dir() else []
        if strange or path.is_dir() != (to != "npz"):
            held = f"holds {strange[0].name!r}, which is no part of a checkpoint" if strange else "is of another kind"
            raise InputError(f"{path} {held}, and is not replaced; choose another name")
    return targets


def _differences(config, again, to, as_is):
    """Notes on what a reader of the new file takes otherwise.  Raises InputError if that changes the numbers."""
    wrong, notes = [], []
    ours, theirs = _settings(config), _settings(again)
    for name in ours:
        text = f"{name} {theirs[name]}, not {ours[name]}"
        if name == "resample" and {theirs[name], ours[name]} == ALIKE:
            notes.append(f"images will be resized with {text}: the same but for antialiasing")
        elif name == "position_resize" and theirs[name] != ours[name]:
            notes.append(f"images of other sizes will be read with {text}")
        elif theirs[name] != ours[name]:
            wrong.append(text)
    if wrong and not as_is:
        advice = "--as-is writes the arrays nevertheless"
        raise InputError(f"{config.name}: readers of the {to} layout would take {'; '.join(wrong)}; {advice}")
    return [*(f"readers will take {text}" for text in wrong), *notes]


def _settings(config):
    """{field: value} of a config, with what its preprocessing does in the place of what it is called."""
    if config.family == "lit":
        text = {f"text {name}": value for name, value in asdict(config.txt).items()}
        return {**_settings(config.img), **text, "length": config.length}
    settings = {field.name: getattr(config, field.name) for field in fields(config) if field.name != "name"}
    policy = settings.pop("preprocess")
    resize = {"resize of {}×{} pixels to".format(*OBLONG): resized_shape(OBLONG, policy, config.image)}
    return {**settings, "resample": policy.resample, **resize, "mean": policy.mean, "std": policy.std}


def _write_file(targets, plan, arrays, progress):
    with files.replacing(targets[-1]) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        _compare(temporary, arrays, progress)
        for path, content in zip(targets, plan.beside.values(), strict=False):
            with files.replacing(path) as beside:
                _write_json(beside, content)


def _write_folder(targets, plan, arrays, progress):
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with files.replacing_folder(targets[-1].parent) as folder:
        for name, content in plan.beside.items():
            _write_json(folder / name, content)
        try:
            save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})
        except SafetensorError as error:
            raise OSError(*error.args) from None
        _compare(folder / "model.safetensors", arrays, progress)


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _compare(path, arrays, progress):
    for done, (name, stored) in enumerate(open_source(path).arrays.items(), 1):
        if stored.read().tobytes() != arrays[name].tobytes():
            raise InputError(f"{path.name}: {name!r} is not on the disk as it was written; is the disk sound?")
        progress(done, len(arrays))
