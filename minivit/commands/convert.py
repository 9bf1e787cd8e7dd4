"""Write a checkpoint in another layout (official .npz, Hugging Face, timm): the same numbers to the bit."""

from ..config import POLICIES, POOLS
from ..convert import PLANS, convert
from . import options
from .progress import counter

EXAMPLE = "minivit convert ViT-B_16.npz vit-base --to hf"


def arguments(parser):
    parser.add_argument("source", metavar="SRC", help="a checkpoint file or folder, or the name of one")
    parser.add_argument("destination", metavar="DST", help="a new .npz file, or a new folder for hf and timm")
    parser.add_argument("--to", required=True, choices=PLANS, help="the layout: npz (vit_jax), hf or timm")
    parser.add_argument("--labels", metavar="FILE", help="class labels: one per line, or JSON (default: SRC's own)")
    parser.add_argument("--heads", type=int, metavar="H", help="attention heads, where SRC does not say")
    parser.add_argument("--pool", choices=POOLS, help="what becomes the feature, where SRC does not say")
    parser.add_argument("--preprocess", choices=POLICIES, help="how it reads pictures, where SRC does not say")
    parser.add_argument(
        "--as-is", action="store_true", help="write the arrays even if the layout cannot state GELU, eps, images …"
    )
    parser.add_argument("--force", action="store_true", help="replace DST if it is there")
    options.as_json(parser)


def run(args):
    given = {"heads": args.heads, "pool": args.pool, "preprocess": args.preprocess and POLICIES[args.preprocess]}
    report = convert(
        *(args.source, args.destination, args.to, args.labels, args.force, args.as_is),
        *(counter("arrays compared"),),
        **{name: value for name, value in given.items() if value is not None},
    )
    if args.json:
        options.print_json(report)
        return
    print(f"{report['model']}: {report['arrays']} arrays, {report['parameters']:,} parameters, {report['to']}")
    for path, size in report["files"].items():
        print(f"  {path} ({size:,} bytes)")
    for note in report["notes"]:
        print(f"note: {note}")
