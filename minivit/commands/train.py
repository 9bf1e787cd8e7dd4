"""Train a Vision Transformer from scratch, or go on with a run that was interrupted.

The run's folder gets the recipe, a log, the curves, where the model looked while it learned, and the model itself:
best.safetensors and last.safetensors, which every other command reads.  Ctrl-C saves everything.
"""

from dataclasses import replace
from pathlib import Path

from ..config import variant
from ..errors import InputError
from ..train.presets import PIXELS, PRESETS
from ..train.run import train
from ..train.state import Settings
from . import options, recipes

EXAMPLE = "minivit train --data shapes --preset shapes --output run"
SIZES = ("patch", "width", "blocks", "heads", "mlp")


def arguments(parser):
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--output", metavar="RUN", help="a new folder for the run")
    where.add_argument("--resume", metavar="RUN", help="the folder of the run to go on with")
    recipes.data_and_tier(parser)
    parser.add_argument("--preset", choices=PRESETS, default="cifar10", help="the recipe (default: %(default)s)")
    recipes.arguments(parser)
    model = parser.add_argument_group("the model (default: that of the preset)")
    model.add_argument("--model", metavar="NAME", help="a published size, such as ViT-Ti/16; `minivit zoo` lists them")
    model.add_argument("--size", type=options.size, metavar="HxW", help="image size in pixels, such as 32 or 224x320")
    for name in SIZES:
        model.add_argument(f"--{name}", type=int, metavar="N", help="see `minivit zoo`")
    options.as_json(parser)


def run(args):
    recipes.report(resumed(args) if args.resume else started(args), args)


def started(args):
    """Start a run; returns its summary."""
    recipe = shaped(recipes.changed_by(args, PRESETS[args.preset]), args)
    source, pictures = recipes.dataset(args.data)
    computing = {"tier": args.tier or recipes.TIER, "dtype": args.dtype or recipes.DTYPES[0], "threads": args.threads}
    return train(recipe, pictures, args.output, data=source, resume=False, **computing)


def resumed(args):
    """Go on with a run; options that differ from those it was started with are refused."""
    kept = Settings.load(Path(args.resume))
    recipe = shaped(recipes.changed_by(args, kept.recipe), args)
    source, pictures = recipes.dataset(args.data or kept.data)
    computing = {"tier": args.tier or kept.tier, "dtype": args.dtype or kept.dtype, "threads": args.threads}
    return train(recipe, pictures, args.resume, data=source, start=kept.start, **computing)


def shaped(recipe, args):
    """The recipe with the model that the options say."""
    model = replace(variant(args.model), preprocess=PIXELS) if args.model else recipe.model
    sizes = {name: getattr(args, name) for name in SIZES if getattr(args, name) is not None}
    if model is None and (sizes or args.size):
        raise InputError(f"preset {args.preset!r} has no model whose sizes could be changed; choose a --model")
    for name in sizes:
        if not hasattr(model, name):
            raise InputError(f"--{name}: {model.name} has none")
    if sizes:
        kind = model.name.split("-")[0] if model.family == "mixer" else "ViT"
        model = replace(model, **sizes)
        model = replace(model, name=f"{kind}-{model.width}/{model.patch}")
    return replace(recipe, model=replace(model, image=args.size) if args.size else model)
