"""Fetch a published checkpoint, with its labels, into the weights folder; or list what is published."""

import sys
import time
from dataclasses import asdict
from pathlib import Path

from .. import download, registry
from ..download import record
from ..errors import InputError
from ..registry import augreg
from ..tables import Table
from . import options

EXAMPLE = "minivit download augreg/Ti_16"
COLUMNS = ("name", "variant", "image", "classes", "top1", "timm_top1", "zero_shot", "megabytes", "licence", "here")
FOUND = ("name", "adapt_ds", "adapt_resolution", "recommended", "final_val", "adapt_final_val", "adapt_final_test")
FOOTER = """
top1, timm_top1, zero_shot: percent of ImageNet, by the authors, measured by timm, and without training on it.
A model's name alone (ViT-B/16, vit-b16@224) means the first row that fits.  AugReg has 52,268 more: see --where."""


def arguments(parser):
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="augreg/Ti_16, ViT-B/16@384, google/vit-base-patch16-224, …"
    )
    parser.add_argument("--list", action="store_true", help="list what is published, of names that contain NAME")
    parser.add_argument(
        "--where",
        action="append",
        metavar="COLUMN=VALUE",
        help="of the index of AugReg: adapt_ds=cifar100, adapt_resolution=224, aug=light1, …; without --list the best"
        " fine-tuning of the recommended checkpoint is fetched",
    )
    parser.add_argument("--top", type=int, default=20, metavar="N", help="rows of that index (default: %(default)s)")
    options.as_json(parser)


def run(args):
    if args.top < 1:
        raise InputError(f"--top {args.top}: expected a positive number")
    if args.where:
        _augreg(args)
    elif args.list:
        _list(args)
    elif args.name:
        _fetch(args.name, args)
    else:
        raise InputError("expected the NAME of a checkpoint; `minivit download --list` shows all")


def _list(args):
    rows = [_row(entry) for entry in registry.matching(args.name)]
    if args.json:
        options.print_json(rows)
        return
    table = Table(COLUMNS, rows)
    table.footer = FOOTER
    print(table)


def _row(entry):
    row = {name: getattr(entry, name) for name in (*COLUMNS[:-3], "licence", "trained", "path", "url")}
    size, here = entry.bytes, download.is_there(entry)
    return row | {"megabytes": size and round(size / 1e6, 1), "here": "yes" if here else ""}


def _fetch(name, args):
    entry = registry.find(name)
    there = download.is_there(entry)
    try:
        path = download.fetch(entry.name, Shown())
    except KeyboardInterrupt:
        print("\nminivit: stopped; the same command goes on from here", file=sys.stderr)
        raise
    known = _known(path)
    labels = entry.labels and str(download.place(entry.labels.path))
    if args.json:
        facts = {"labels": labels, "already_there": there, "record": asdict(known)} if known else {"labels": labels}
        options.print_json({"name": entry.name, "path": str(path), **facts})
        return
    print(_summary(entry))
    print(f"{path}" + (f" ({known.bytes / 1e6:.1f} MB; agrees with {known.checked})" if known else ""))
    if path.suffix != ".csv":
        print(f"try it with: {_use(entry)}")


def _use(entry):
    """A command that reads this checkpoint."""
    if entry.config and entry.config.family == "lit":
        return f'minivit zeroshot PICTURE --labels "a cat, a dog" --weights {entry.name}'
    if entry.classes == 0:
        return f"minivit features PICTURE --model {entry.name} -o features.npz"
    return f"minivit classify PICTURE --model {entry.name}"


def _known(path):
    """The record of a file, or of the weights in a folder."""
    if path.is_dir():
        path = next(Path(path, name) for name in download.hub.WEIGHTS if Path(path, name).exists())
    return record.read(path)


def _summary(entry):
    facts = (
        *(entry.variant, entry.image and f"{entry.image} pixels", entry.classes and f"{entry.classes:,} classes"),
        *(entry.trained, entry.accuracy and f"{entry.accuracy} % of ImageNet", entry.licence),
    )
    return f"{entry.name}: {', '.join(filter(None, facts)) or entry.url}"


def _augreg(args):
    rows = augreg.read_index(download.fetch("augreg/index.csv", Shown()))
    wanted = dict(_condition(text) for text in args.where)
    if args.name:
        entry = registry.find(args.name)
        wanted = {"name": augreg.model_of(entry.variant or entry.name), **wanted}
    kept = augreg.where(rows, wanted)
    best = {model: augreg.recommended(rows, model) for model in {row["name"] for row in kept}}
    for row in kept:
        row["recommended"] = "yes" if row["filename"] == best[row["name"]] else ""
    if not args.list:
        kept = [row for row in kept if row["recommended"]]
        if not kept:
            raise InputError("no fine-tuning of a recommended checkpoint is like that; --list shows the others")
        _fetch(f"augreg/{_stem(augreg.best(kept))}", args)
        return
    kept = sorted(kept, key=lambda row: -augreg.number(row["adapt_final_val"]))[: args.top]
    if args.json:
        options.print_json(kept)
        return
    table = Table((*FOUND, "file"), [{**row, "file": _stem(row)} for row in kept])
    table.footer = "\nminivit download augreg/FILE fetches one; without --list, the best of those that are recommended."
    print(table)


def _condition(text):
    column, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--where {text}: expected COLUMN=VALUE, such as adapt_ds=cifar100")
    return column, value


def _stem(row):
    return Path(row["adapt_filename"] or row["filename"]).name.removesuffix(".npz")


class Shown(download.Report):
    """On stderr: how far it is, on a terminal, and notes."""

    def __init__(self):
        self.first = self.shown = None  # bytes that were there at first, and when; when the line was last written

    def progress(self, done, total):
        now = time.monotonic()
        self.first = self.first or (done, now)
        if not sys.stderr.isatty() or (self.shown and now - self.shown < 0.1 and done != total):
            return
        self.shown = now
        rate = max(done - self.first[0], 1) / max(now - self.first[1], 0.1)
        line = f"{done / 1e6:,.1f} MB, {rate / 1e6:.1f} MB/s"
        if total:
            minutes, seconds = divmod(round((total - done) / rate), 60)
            line = f"{done / total:4.0%} of {total / 1e6:,.1f} MB, {rate / 1e6:.1f} MB/s, {minutes}:{seconds:02} left"
        print(f"\r{line:<60}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    def note(self, text):
        print(f"{'' if self.shown is None else chr(10)}minivit: {text}", file=sys.stderr)
