"""Options of the commands that train: every field of the recipe can be changed by one of its name."""

import argparse
from dataclasses import fields, replace
from pathlib import Path

from .. import data, tiers
from ..data import Augment
from ..errors import InputError
from ..train import recipe
from ..train.presets import changed
from . import options

#: fields of data.Augment
CHANGES = {
    "area": "keep a random box with such a share of the picture",
    "crop": "pixels by which it is moved at most",
    "flip": "mirror half of them",
    "auto": "one change of shape or colour, of random strength",
    "brightness": "changed by up to this share",
    "contrast": "changed by up to this share",
    "saturation": "changed by up to this share",
    "erase": "probability that a box is wiped out",
}
KINDS = {
    bool: {"action": argparse.BooleanOptionalAction},
    int: {"type": int, "metavar": "I"},
    float: {"type": float, "metavar": "F"},
    str: {"type": str, "metavar": "S"},
}
PAIR = {"type": float, "nargs": 2, "metavar": ("LOW", "HIGH")}
TIER, DTYPES = "cpu", ("float32", "bfloat16")


def data_and_tier(parser):
    parser.add_argument(
        "--data", metavar="PATH", help="CIFAR-10, MNIST, packed .npz, folder of {train,test}/<class>/*.jpg, or 'shapes'"
    )
    parser.add_argument("--tier", choices=tiers.TIERS, help=f"what computes (default: {TIER})")
    parser.add_argument("--dtype", choices=DTYPES, help=f"what its products multiply (default: {DTYPES[0]})")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of tier cpu (default: one per CPU)")


def arguments(parser):
    group = parser.add_argument_group("the recipe (default: that of the preset)")
    for name, (kind, about) in recipe.options().items():
        group.add_argument(_flag(name), help=about, **KINDS[kind])
    group = parser.add_argument_group("random changes of the pictures (default: those of the preset)")
    for item in fields(Augment):
        group.add_argument(_flag(item.name), help=CHANGES[item.name], **KINDS.get(item.type, PAIR))


def changed_by(args, base):
    """The recipe with what the options say in place of its own values."""
    changes = {name: getattr(args, name) for name in recipe.options() if getattr(args, name) is not None}
    augment = {f.name: getattr(args, f.name) for f in fields(Augment) if getattr(args, f.name) is not None}
    if "area" in augment:
        augment["area"] = tuple(augment["area"])
    return changed(base, **changes, augment=replace(base.augment, **augment))


def dataset(source):
    """(where the pictures are, the Dataset); a path is made absolute, so that a run can be resumed from anywhere."""
    if not source:
        raise InputError("--data is missing, expected a folder, a file or 'shapes' to learn from")
    return str(Path(source).resolve()) if Path(source).exists() else source, data.load(source)


def report(summary, args):
    """Print how a run ended."""
    if args.json:
        options.print_json(summary)
        return
    print(f"{summary['model']}, {summary['parameters']:,} parameters, after {summary['steps']:,} steps:")
    print(f"  accuracy  {summary['accuracy']:.2%} (best {summary['best_accuracy']:.2%}) of the test pictures")
    print(f"  model     {summary['checkpoint']}")
    print(f"  log       {summary['folder']}/log.csv, tests.csv, curve.png, attention/")
    print(f"try it with: minivit classify PICTURE --weights {summary['checkpoint']}")


def _flag(name):
    return "--" + name.replace("_", "-")
