"""Arguments that several commands share, and how they are read."""

import argparse
import json
from dataclasses import replace

from .. import tiers
from ..config import POLICIES, POOLS
from ..errors import InputError
from ..lit import LitModel
from ..loading import BUNDLED, load


def model(parser):
    """--model / --weights and what goes with them."""
    weights(parser)
    parser.add_argument(
        "--labels", metavar="FILE", help="class labels: one per line, or JSON (default: the checkpoint's)"
    )
    parser.add_argument("--pool", choices=POOLS, help="what becomes the feature, where the file does not say")


def weights(parser, model=BUNDLED, otherwise="%(default)s"):
    """--model / --weights, and how pictures are prepared and computed; `otherwise` says in words what `model` is."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--weights", metavar="PATH", help="checkpoint: official .npz, Hugging Face folder, timm .safetensors"
    )
    source.add_argument(
        "--model",
        metavar="NAME",
        default=model,
        help=f"name of a checkpoint in the weights folders, or 'demo' (default: {otherwise})",
    )
    parser.add_argument(
        "--preprocess", choices=POLICIES, help="resize and normalise like this (default: the checkpoint's)"
    )
    parser.add_argument(
        "--crop", type=float, metavar="F", help="share of a picture's side that is kept (default: the checkpoint's)"
    )
    parser.add_argument("--size", type=size, metavar="HxW", help="image size in pixels, such as 384 or 224x320")
    parser.add_argument("--heads", type=int, metavar="H", help="attention heads, where the file does not say")
    tier(parser)


def vocabulary(parser):
    """--vocabulary of a LiT model."""
    parser.add_argument(
        "--vocabulary",
        metavar="FILE",
        help="word pieces of a LiT model (default: the .txt or .model beside its weights)",
    )


def tier(parser):
    parser.add_argument("--tier", choices=tiers.TIERS, default="ref", help="what computes (default: %(default)s)")
    parser.add_argument(
        "--dtype", default="float32", metavar="D", help="its weights: float32, int8, … (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads of tier cpu (default: one per CPU)")


def as_json(parser):
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def read_model(args, lit=False):
    """The model of --weights or --model; a LiT model only for the commands that can do without classes."""
    given = {name: getattr(args, name, None) for name in ("heads", "pool", "labels", "vocabulary")}
    given = {name: value for name, value in given.items() if value is not None}
    source = args.weights or args.model
    model = load(source, args.tier, args.dtype, preprocess=args.preprocess, threads=args.threads, **given)
    plain = model.tower if isinstance(model, LitModel) else model
    if plain is not model and not lit:
        raise InputError(f"{source} is a LiT model, which has no classes: use zeroshot, embed, search or trace")
    if args.crop is not None:
        policy = replace(plain.config.preprocess, resize=None, crop_fraction=args.crop)
        plain.config = replace(plain.config, preprocess=policy)
    return model


def size(text):
    """ "384" -> (384, 384); "224x320" -> (224, 320), height first."""
    try:
        height, _, width = text.lower().replace("×", "x").partition("x")
        found = int(height), int(width or height)
    except ValueError:
        found = (0, 0)
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected pixels such as 384 or 224x320 (height x width)")
    return found


def print_json(value):
    """One JSON document; a list gets one line per item."""
    if isinstance(value, list):
        print("[" + ",\n ".join(json.dumps(item, ensure_ascii=False) for item in value) + "]")
    else:
        print(json.dumps(value, ensure_ascii=False, indent=2))
