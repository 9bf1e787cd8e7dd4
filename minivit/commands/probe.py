"""Learn a linear map from a frozen model's features to classes, and measure it on the test pictures.

The features are computed once; --features FILE keeps them, so that another --method or --feature takes seconds.
"""

import json
import time
from pathlib import Path

import numpy as np

from .. import data, probe
from ..errors import InputError, nearest
from ..files import read_arrays, write_npz
from . import options
from .progress import counter

EXAMPLE = "minivit probe --weights deit_tiny.safetensors --data cifar10.npz --train 10000 --tier cpu --dtype bfloat16"


def arguments(parser):
    options.model(parser)
    parser.add_argument("--data", required=True, metavar="PATH", help="labelled pictures, as for `minivit eval`")
    parser.add_argument("--method", choices=probe.METHODS, default="ridge", help="how to learn (default: %(default)s)")
    parser.add_argument(
        "--feature",
        metavar="NAMES",
        help=f"of {', '.join(probe.FEATURES)}, joined by + (default: cls+mean, or mean without a class token)",
    )
    parser.add_argument("--mirror", action="store_true", help="judge a test picture together with its mirror image")
    parser.add_argument("--blocks", type=int, default=1, metavar="N", help="features of the last N blocks (default: 1)")
    parser.add_argument("--train", type=int, metavar="N", help="training pictures, evenly spread (default: all)")
    parser.add_argument("--test", type=int, metavar="N", help="test pictures, evenly spread (default: all)")
    parser.add_argument("--batch", type=int, default=32, metavar="B", help="pictures at a time (default: %(default)s)")
    parser.add_argument("--features", metavar="FILE", help="keep the features in this .npz, or take them from it")
    parser.add_argument("-o", "--output", metavar="FILE", help="save the probe as .npz: logits = features @ w + b")
    options.as_json(parser)


def run(args):
    if min(n for n in (args.batch, args.train, args.test, 1) if n is not None) < 1:
        raise InputError("--batch, --train and --test: expected positive numbers")
    wanted = (args.feature or "cls+mean").split("+")
    for name in wanted:
        if name not in probe.FEATURES:
            raise InputError(f"--feature: unknown feature {name!r}{nearest(name, probe.FEATURES)}")
    train, test, classes = read_features(args, tuple(dict.fromkeys(("cls", "mean", *wanted))))
    which = args.feature or ("cls+mean" if "cls" in train else "mean")
    x, unseen, labels = probe.select(train, which), probe.select(test, which), train["labels"]
    del train  # gigabytes, with many features
    start = time.perf_counter()
    found = probe.fit(x, labels, len(classes), args.method)
    answer = {
        **{"accuracy": found.accuracy(unseen, test["labels"]), "train_accuracy": found.accuracy(x, labels)},
        **{"method": args.method, "feature": which, "mirror": args.mirror},
        **{"blocks": args.blocks, "lambda": found.strength},
        **{"train": len(x), "test": len(unseen), "seconds": time.perf_counter() - start},
    }
    options.print_json(answer) if args.json else print(told(answer))
    if args.output:
        write_npz(args.output, {"w": found.w, "b": found.b, "classes": np.array(classes), "feature": np.array(which)})


def told(answer):
    which = answer["feature"] + (f" of the last {answer['blocks']} blocks" if answer["blocks"] > 1 else "")
    which += ", pictures and their mirror images" if answer["mirror"] else ""
    return (
        f"{answer['accuracy']:.2%} of {answer['test']:,} test pictures right"
        f" ({answer['train_accuracy']:.2%} of the {answer['train']:,} it learnt from)\n"
        f"  {answer['method']} on {which}, λ = {answer['lambda']:g} chosen on a held-out fifth,"
        f" {answer['seconds']:.1f} s to learn"
    )


def read_features(args, which):
    """(features of the training pictures, of the test pictures, class names), from --features FILE if it is there."""
    names = ("pool", "data", "blocks", "train", "test", "size", "preprocess", "tier", "dtype", "mirror")
    asked = {"model": args.weights or args.model, **{name: getattr(args, name) for name in names}}
    asked = json.loads(json.dumps(asked))  # as it will be read again
    if args.features and Path(args.features).exists():
        return _kept(args.features, asked, which)
    if args.features and not Path(args.features).absolute().parent.is_dir():  # said before the hours of work
        raise InputError(f"cannot write {args.features}: there is no such folder")
    model, dataset = options.read_model(args), data.load(args.data)
    if dataset.train is None:
        raise InputError(f"{args.data}: has no training pictures, which a probe learns from")
    parts = {
        name: probe.extract(
            model, split, args.blocks, args.batch, limit, args.size, counter(f"{name} pictures"), which, mirror
        )
        for name, split, limit, mirror in (
            ("train", dataset.train, args.train, False),
            ("test", dataset.test, args.test, args.mirror),
        )
    }
    if args.features:
        about = json.dumps({**asked, "classes": dataset.classes}).encode()
        arrays = {f"{part}_{name}": x for part, found in parts.items() for name, x in found.items()}
        write_npz(args.features, {**arrays, "about": np.frombuffer(about, np.uint8)})
    return parts["train"], parts["test"], dataset.classes


def _kept(path, asked, which):
    arrays, parts = read_arrays(path), {"train": {}, "test": {}}
    try:
        about = json.loads(arrays.pop("about").tobytes())
        for name, array in arrays.items():
            part, _, feature = name.partition("_")
            parts[part][feature] = array
        classes = about.pop("classes")
        about.setdefault("mirror", False)  # files that are older
        _check_kept(parts, len(classes))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a whole file of features kept by `minivit probe` ({error!r})") from error
    for name, value in asked.items():
        if about.get(name) != value:
            raise InputError(f"{path}: holds features for {name} {about.get(name)!r}, not {value!r}; name another file")
    missing = [name for name in which if name not in parts["train"] and name not in ("cls", "mean")]
    if missing:
        raise InputError(f"{path}: holds no feature {missing[0]!r}; name another file")
    return parts["train"], parts["test"], classes


def _check_kept(parts, classes):
    widths = {name: array.shape[1:] for name, array in parts["train"].items()}
    for part in parts.values():
        labels = part["labels"]
        if labels.dtype.kind != "i" or labels.ndim != 1 or not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError("labels out of range")
        if {name: array.shape[1:] for name, array in part.items()} != widths:
            raise ValueError("other features for training than for test")
        for name in part.keys() - {"labels"}:
            if part[name].ndim != 2 or len(part[name]) != len(labels) or not np.isfinite(part[name]).all():
                raise ValueError(f"{name} is not a row of finite numbers per label")
