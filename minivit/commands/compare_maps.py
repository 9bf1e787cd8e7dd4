"""Seven maps of one picture side by side, with what happens to the answer when each is taken at its word."""

import logging
import textwrap
from pathlib import Path

from ..tables import Table
from . import options
from .look import outputs
from .progress import counter

EXAMPLE = "minivit compare-maps cat.jpg --weights deit_tiny.safetensors -o cat-maps.png"


def arguments(parser):
    parser.add_argument("image", metavar="IMAGE", help="an image file")
    options.model(parser)
    parser.add_argument("--layer", type=int, metavar="L", help="a block, from 0 (default: the last)")
    parser.add_argument(
        "--class", dest="target", metavar="C", help="a class: index or label (default: the most probable)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="a .png file (default: IMAGE-maps.png)")
    options.as_json(parser)


def run(args):
    from ..viz import plots

    [place] = outputs([args.image], "maps", args.output)
    model = options.read_model(args)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # on first use it reports that it builds a font cache
    plot = plots.compare(model, args.image, args.target, args.layer, args.size, counter("maps"))
    plot.save(place)
    shown = plot.shown
    if args.json:
        told = {"image": args.image, "model": model.config.name, "output": str(place)}
        return options.print_json({**told, **shown.numbers()})
    scores = shown.settings["scores"]
    print(Table(("map", "deletion", "untrained"), [{"map": name, **score} for name, score in scores.items()]))
    said = "\n".join(textwrap.fill(text, 120) for text in (shown.scale, shown.caution))
    print(f"\n{said}\n\n{Path(place)}: for {shown.settings['label']}")
