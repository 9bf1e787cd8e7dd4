"""Draw what a model does with pictures: where it looks, what speaks for a class, what each layer and head is for.

`minivit look --list` says what each map shows.
"""

import inspect
import logging
from pathlib import Path

from ..errors import InputError, nearest
from ..tables import Table
from . import options
from .progress import counter

EXAMPLE = "minivit look cat.jpg --weights deit_tiny.safetensors --map rollout -o cat-rollout.png"
CHOICES = {"layer": "--layer", "head": "--head", "patch": "--patch", "target": "--class"}


def arguments(parser):
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="image files")
    options.model(parser)
    parser.add_argument("--map", default="attention", metavar="NAME", help="what to draw (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="say what each map shows, and stop")
    parser.add_argument("--layer", type=int, metavar="L", help="a block, from 0 (default: the last)")
    parser.add_argument("--head", type=int, metavar="H", help="a head, from 0 (default: each)")
    parser.add_argument("--patch", metavar="P", help="a patch: its number row by row from 0, or row,column")
    parser.add_argument(
        "--class", dest="target", metavar="C", help="a class: index or label (default: the most probable)"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="a .png file, or a folder for several images (default: IMAGE-MAP.png)"
    )
    options.as_json(parser)


def run(args):
    from ..viz import plots

    if args.list:
        return list_maps(plots.FIGURES, args.json)
    figure = chosen(args.map, plots.FIGURES)
    given = {name: getattr(args, name) for name in CHOICES if getattr(args, name) is not None}
    check_options(args.map, figure, given)
    if not args.images:
        raise InputError("no IMAGE given; expected image files")
    places = outputs(args.images, args.map, args.output)
    model = options.read_model(args)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # on first use it reports that it builds a font cache
    show, answers = counter("images"), []
    watch = {"progress": counter("steps")} if "progress" in inspect.signature(figure).parameters else {}
    for done, (image, place) in enumerate(zip(args.images, places, strict=True), 1):
        plot = figure(model, image, size=args.size, **given, **watch)
        plot.save(place)
        told = {"image": image, "model": model.config.name, "map": args.map, "output": str(place)}
        answers.append({**told, **plot.shown.numbers()})
        if args.json:
            show(done, len(places))
        else:
            print(f"{place}: {plot.shown.said}")
    if args.json:
        options.print_json(answers)


def list_maps(figures, as_json):
    rows = [
        {"map": name, "options": " ".join(options_of(figure).values()), "shows": inspect.getdoc(figure).splitlines()[0]}
        for name, figure in figures.items()
    ]
    options.print_json(rows) if as_json else print(Table(rows[0], rows))


def chosen(name, figures):
    if name not in figures:
        raise InputError(f"there is no map {name!r}{nearest(name, figures)} (`minivit look --list` says what there is)")
    return figures[name]


def check_folder(place):
    """Say so before anything is computed if a file has no folder to go to."""
    if not Path(place).parent.is_dir():
        raise InputError(f"cannot write {place}: there is no folder {Path(place).parent}; choose another output path")


def options_of(figure):
    """{parameter: option} of those that a figure takes."""
    return {name: option for name, option in CHOICES.items() if name in inspect.signature(figure).parameters}


def check_options(name, figure, given):
    taken = options_of(figure)
    for option in given:
        if option not in taken:
            others = f"; it takes {', '.join(taken.values())}" if taken else ""
            raise InputError(f"--map {name} takes no {CHOICES[option]}{others}")


def outputs(images, name, output):
    """Where the figure of each image goes: a file for one, files of different names in a folder for several."""
    if len(images) == 1:
        place = Path(output or f"{Path(images[0]).stem}-{name}.png")
        if place.is_dir():
            place = place / f"{Path(images[0]).stem}-{name}.png"
        if place.suffix.lower() != ".png":
            raise InputError(f"cannot write {place}: the result is a picture, expected a name that ends in .png")
        check_folder(place)
        return [place]
    folder = Path(output or ".")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: several images need a folder to write to ({error.strerror})") from error
    places = []
    for image in images:
        place, number = folder / f"{Path(image).stem}-{name}.png", 2
        while place in places:
            place, number = folder / f"{Path(image).stem}-{number}-{name}.png", number + 1
        places.append(place)
    return places
