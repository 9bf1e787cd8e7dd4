"""The 52,268 checkpoints of "How to train your ViT?" (Steiner et al., arXiv:2106.10270): their names and their index.

A name says everything, `B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0`, and after `--` how it was fine-
tuned, `imagenet2012-steps_20k-lr_0.03-res_384`.  index.csv has a row for each fine-tuning with its results.
"""

import csv
import re

from ..errors import InputError, nearest

VARIANTS = {
    "Ti_16": "ViT-Ti/16",
    "S_32": "ViT-S/32",
    "S_16": "ViT-S/16",
    "B_32": "ViT-B/32",
    "B_16": "ViT-B/16",
    "B_8": "ViT-B/8",
    "L_16": "ViT-L/16",
    "R_Ti_16": "R+ViT-Ti/16",
    "R26_S_32": "R26+ViT-S/32",
    "R50_L_32": "R50+ViT-L/32",
}
UPSTREAM = {"i1k": ("ImageNet-1k", 1000, "imagenet"), "i21k": ("ImageNet-21k", 21843, "imagenet21k")}
#: data set of the fine-tuning -> its name for people, classes, labels
DOWNSTREAM = {
    "imagenet2012": ("ImageNet-1k", 1000, "imagenet"),
    "cifar100": ("CIFAR-100", 100, None),
    "oxford_iiit_pet": ("Oxford-IIIT Pet", 37, None),
    "resisc45": ("RESISC45", 45, None),
    "kitti": ("KITTI", None, None),
}
NAME = re.compile(
    r"(?P<model>\w+?_\d+)-(?P<ds>i1k|i21k)\w*-\d+ep-lr_[\d.]+-aug_[a-z]+\d?-wd_[\d.]+-do_[\d.]+-sd_[\d.]+"
    r"(--(?P<adapted>\w+)-steps_\d+k-lr_[\d.]+-res_(?P<image>\d+))?(\.npz)?"
)
COLUMNS = (
    *("name", "ds", "epochs", "lr", "aug", "wd", "do", "sd", "best_val", "final_val", "final_test"),
    *("adapt_ds", "adapt_lr", "adapt_steps", "adapt_resolution", "adapt_final_val", "adapt_final_test"),
    *("params", "infer_samples_per_sec", "filename", "adapt_filename"),
)


def model_of(variant):
    """A model's name in the index: "ViT-B/16" -> "B/16"."""
    return variant.replace("ViT-", "")


def facts(name):
    """What a full file name says, as a row of the registry; {} if it is not such a name."""
    match = NAME.fullmatch(name)
    if not match or match["model"] not in VARIANTS or (match["adapted"] or "kitti") not in DOWNSTREAM:
        return {}
    trained, classes, labels = UPSTREAM[match["ds"]]
    if match["adapted"]:
        then, classes, labels = DOWNSTREAM[match["adapted"]]
        trained = f"{trained}, then {then}"
    row = {"variant": VARIANTS[match["model"]], "trained": trained, "image": int(match["image"] or 224)}
    return row | {name: value for name, value in (("classes", classes), ("labels", labels)) if value}


def read_index(path):
    """The rows of index.csv as dicts of texts.  Raises InputError if it is not that file."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: expected the index of AugReg, the column {missing[0]!r} is missing")
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); remove it and download it again") from error


def where(rows, conditions):
    """The rows whose columns have the given values, {"name": "B/16", "adapt_ds": "cifar100"}; numbers as numbers.

    Raises InputError for a column that there is not, and if nothing is left, with what the column holds.
    """
    for column, value in conditions.items():
        if column not in COLUMNS:
            raise InputError(f"the index of AugReg has no column {column!r}{nearest(column, COLUMNS)}")
        kept = [row for row in rows if _same(row[column], value)]
        if not kept:
            held = sorted({row[column] for row in rows})
            more = f" … ({len(held)} values)" if len(held) > 8 else ""
            raise InputError(f"no row has {column}={value}; there is {', '.join(held[:8])}{more}")
        rows = kept
    return rows


def recommended(rows, model):
    """The file name of a model's checkpoint that had the best validation accuracy when trained on ImageNet-21k.

    model: as in the index, "B/16".  The rule of vit_jax/train.py.
    """
    return max(where(rows, {"name": model, "ds": "i21k"}), key=lambda row: number(row["final_val"]))["filename"]


def best(rows):
    """The row of the best fine-tuning: the one with the highest validation accuracy (vit_jax_augreg.ipynb)."""
    return max(rows, key=lambda row: number(row["adapt_final_val"]))


def number(text):
    """A cell as a number; an empty one is less than all."""
    try:
        return float(text)
    except ValueError:
        return float("-inf")


def _same(cell, value):
    if cell == value:
        return True
    return number(cell) == number(value) != float("-inf")
