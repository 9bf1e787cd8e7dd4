"""List every published variant: sizes, parameters, arithmetic and memory (224×224 pixels, 1000 classes, float32)."""

from ..config import VARIANTS
from ..cost import summary
from ..tables import Table
from . import options

EXAMPLE = "minivit zoo --json"


def arguments(parser):
    options.as_json(parser)


def run(args):
    rows = [summary(config) for config in VARIANTS.values()]
    if args.json:
        options.print_json(rows)
        return
    table = Table(rows[0], rows)
    table.footer = (
        "\ngflops: one image, 2 per multiply-add. activations: alive at the worst moment of a forward pass, batch 1. "
        "trace: every tensor kept.\nThese are configurations; `minivit doctor` lists the weights found on this machine."
    )
    print(table)
