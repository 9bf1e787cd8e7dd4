"""Say what a checkpoint file is: family, layout, configuration, parameters, dtype, and what to beware of."""

from .. import checkpoints
from . import options

EXAMPLE = "minivit inspect ViT-B_16.npz"


def arguments(parser):
    parser.add_argument("file", metavar="FILE", help="a checkpoint file, or a Hugging Face folder")
    options.as_json(parser)


def run(args):
    facts = checkpoints.describe(args.file)
    if args.json:
        options.print_json(facts)
        return
    for name, value in facts.items():
        for line in value if isinstance(value, list) else [value]:
            print(f"{name:>16}  {line}")
