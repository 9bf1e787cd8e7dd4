"""From a file, a folder or a name to a Model that runs."""

import json
import os
import warnings
from dataclasses import replace
from pathlib import Path

from . import checkpoints, config, params, tiers
from .errors import InputError, nearest
from .lit import LitModel
from .model import Model

#: The model in the box, trained by minivit itself (weights/minivit-cifar10.md): what runs if nothing else is named
BUNDLED = "minivit-cifar10"

#: Another small model, seeded and never trained, with patches of 16×16: for tests, and to show what training changes
DEMO = config.ViTConfig("demo", patch=16, width=64, blocks=4, heads=4, mlp=256, classes=10)


def load(
    source=BUNDLED,
    tier="ref",
    dtype="float32",
    labels=None,
    preprocess=None,
    threads=None,
    vocabulary=None,
    **overrides,
):
    """Load a model: a Model, or a lit.LitModel of a LiT checkpoint.

    source: a checkpoint (official .npz, Hugging Face folder or file, timm/DeiT .safetensors, one trained here), the
        name of one in the weights folders (see `weights_folders`), or "demo" for a small seeded model.
    tier, dtype, threads: what it runs on; see tiers.load and `minivit doctor`.
    labels: a file with one label per line, or JSON (a list, or {"0": label}); default: the checkpoint's own.
    preprocess: "google", "huggingface", "timm", "deit" or a config.Preprocess; default: the checkpoint's own.
    vocabulary: the file with a LiT model's word pieces; default: LiT-B16B.txt or LiT-L16S.model beside LiT-….npz.
    overrides: fields of config.ViTConfig that the file cannot say, such as heads=4.
    Raises InputError if anything about them is wrong; warns of what was assumed, and of an all-zero head.
    """
    ops = tiers.load(tier, dtype, threads)
    if preprocess is not None:
        overrides["preprocess"] = _policy(preprocess)
    if str(source) == "demo":
        settings, tree, own_labels = _demo(overrides), params.seeded(DEMO), None
    else:
        path = find(source)
        checkpoint = checkpoints.read(path, **overrides)
        settings, tree = checkpoint.config, checkpoint.stream()
        own_labels = checkpoint.labels or _labels_that_came_along(path, settings.classes)
        for text in checkpoint.warnings:
            warnings.warn(f"{source}: {text}", stacklevel=2)
        if checkpoint.family == "lit":
            return _lit(checkpoint, ops, labels, vocabulary)
    if vocabulary is not None:
        raise InputError(f"{source}: {settings.name} reads no texts, so that a vocabulary is of no use to it")
    if labels is not None:
        own_labels = read_labels(labels, settings.classes)
    return Model(settings, tree, ops, own_labels, str(source))


def _lit(checkpoint, ops, labels, vocabulary):
    if labels is not None:
        raise InputError(f"{checkpoint.path}: a LiT model has no classes to label; give them to `minivit zeroshot`")
    return LitModel(checkpoint.config, checkpoint.stream(), ops, vocabulary, str(checkpoint.path))


def _demo(overrides):
    others = ", ".join(set(overrides) - {"preprocess"})
    if others:
        raise InputError(f"the demo model takes no {others}; give the path of a checkpoint")
    return replace(DEMO, **overrides)


def _policy(preprocess):
    if isinstance(preprocess, config.Preprocess):
        return preprocess
    if preprocess not in config.POLICIES:
        raise InputError(f"unknown preprocessing {preprocess!r}{nearest(preprocess, config.POLICIES)}")
    return config.POLICIES[preprocess]


def find(source):
    """The path of a checkpoint: `source` itself if it exists, else the file of that name in the weights folders, else
    what `minivit download` put there under that name (registry.find).

    Raises InputError for a name that is unknown or ambiguous, and for one that was not downloaded yet.
    """
    if Path(source).exists():
        return Path(source)
    folders = weights_folders()
    available = {path.stem: path for path in reversed(found_weights()) if path.parent in folders}  # the first counts
    by_key = {config.key(stem): path for stem, path in available.items()}
    for key in (config.key(source), "vit" + config.key(source)):
        if key in by_key:
            return by_key[key]
    return _downloaded(source, [*available, "demo"])


def _downloaded(source, also):
    """The path of a published checkpoint that was downloaded before."""
    from . import registry

    try:
        entry = registry.find(source, also)
    except InputError:
        inside = Path(source).parent.is_dir() and len(Path(source).parts) > 1
        if Path(source).suffix in (".npz", ".safetensors") or inside:
            raise InputError(f"{source}: no such file or folder") from None
        raise
    for folder in weights_folders():
        if (folder / entry.path).exists():
            return folder / entry.path
    looked = " or ".join(map(str, weights_folders()))
    advice = f"`minivit download {entry.name}` fetches them, or give the path of a checkpoint file"
    raise InputError(f"no weights for {entry.variant or entry.name} found in {looked}; {advice}")


def weights_folders():
    """Where checkpoints are looked for by name: $MINIVIT_HOME, the user's cache, ./weights, and the box itself."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minivit"
    home = os.environ.get("MINIVIT_HOME")
    package = Path(__file__).parent
    box = package / "weights" if (package / "weights").is_dir() else package.parent / "weights"  # installed, or a clone
    return [*([Path(home)] if home else []), cache, Path("weights"), box]


def found_weights():
    """The checkpoints in the weights folders and in the folders there, where downloads go: .npz and .safetensors files,
    and folders with a config.json."""
    found = []
    for folder in weights_folders():
        if folder.is_dir():
            entries = sorted(folder.iterdir())
            entries += sorted(e for e in folder.glob("*/*") if not (e.parent / "config.json").exists())
            found += [e for e in entries if e.suffix in (".npz", ".safetensors") or _is_checkpoint_folder(e)]
    return found


def _is_checkpoint_folder(path):
    return path.suffix != ".part" and (path / "config.json").is_file()


def _labels_that_came_along(path, classes):
    """The labels that `minivit download` fetched with a checkpoint, None if it did not."""
    weights = path / "model.safetensors" if path.is_dir() else path
    if not weights.with_name(weights.name + ".origin.json").exists():
        return None
    from .download import place, record

    labels = record.read(weights).labels
    return read_labels(place(labels), classes) if labels and place(labels).exists() else None


def read_labels(path, classes):
    """The labels of a file, one per class.  Raises InputError if there are more or fewer than `classes`."""
    if not Path(path).exists():
        raise InputError(f"{path}: no such file; expected class labels, one per line or as JSON")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text file of labels ({error})") from error
    labels = _json_labels(path, text) if text.lstrip()[:1] in ("[", "{") else text.splitlines()
    if len(labels) != classes:
        raise InputError(f"{path}: {len(labels)} labels, but the model has {classes or 'no'} classes")
    return tuple(labels)


def _json_labels(path, text):
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            content = [content[str(i)] for i in range(len(content))]
        return [label if isinstance(label, str) else ", ".join(label) for label in content]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f'{path}: expected a JSON list of labels or {{"0": label, …}} ({error})') from error
