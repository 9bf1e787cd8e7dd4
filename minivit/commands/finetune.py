"""Teach a trained model another set of classes: a new head, all parameters learn on, by the official recipe.

A model of the very same classes keeps its head and learns on.  The model may see larger pictures than before
(--size): its position table is resized, once, as its authors did it.
An interrupted run goes on with `minivit train --resume RUN`.
"""

from .. import checkpoints
from ..loading import find
from ..train.presets import PRESETS, changed
from ..train.run import train
from ..train.start import adapted
from . import options, recipes

EXAMPLE = (
    "minivit finetune deit_tiny.safetensors --data pets --output run --size 384 --batch 64 --steps 500 --warmup 50"
)


def arguments(parser):
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a checkpoint, or the name of one in the weights folders"
    )
    parser.add_argument("--output", required=True, metavar="RUN", help="a new folder for the run")
    recipes.data_and_tier(parser)
    parser.add_argument("--preset", choices=PRESETS, default="official", help="the recipe (default: %(default)s)")
    parser.add_argument(
        "--size", type=options.size, metavar="HxW", help="image size in pixels (default: the trained one)"
    )
    parser.add_argument("--heads", type=int, metavar="H", help="attention heads, where the file does not say")
    recipes.arguments(parser)
    options.as_json(parser)


def run(args):
    source, pictures = recipes.dataset(args.data)
    path = find(args.checkpoint)
    checkpoint = checkpoints.read(path, **({"heads": args.heads} if args.heads else {}))
    labels = checkpoint.labels
    config, tree = adapted(checkpoint.config, checkpoint.params(), pictures, args.size, labels)
    recipe = changed(recipes.changed_by(args, PRESETS[args.preset]), model=config)
    computing = {"tier": args.tier or recipes.TIER, "dtype": args.dtype or recipes.DTYPES[0], "threads": args.threads}
    begin = {"data": source, "tree": tree, "start": path.resolve()}
    summary = train(recipe, pictures, args.output, resume=False, **begin, **computing)
    recipes.report(summary, args)
