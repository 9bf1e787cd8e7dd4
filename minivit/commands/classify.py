"""Name what is in an image: the most probable classes."""

from ..errors import InputError
from . import options

EXAMPLE = "minivit classify cat.jpg --weights deit_tiny.safetensors --top 3"


def arguments(parser):
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    options.model(parser)
    parser.add_argument("--top", type=int, default=5, metavar="K", help="how many classes (default: %(default)s)")
    options.as_json(parser)


def run(args):
    if args.top < 1:
        raise InputError(f"--top {args.top}: expected a positive number")
    model = options.read_model(args)
    answers = []
    for image in args.images:
        predictions = model.classify(image, args.top, args.size)
        if not args.json:
            print(f"{image}  ({model.config.name}, {model.ops.tier} {model.ops.dtype})")
            print(*(f"  {p}" for p in predictions), sep="\n")
        top = [
            {"index": p.index, "label": p.label, "logit": p.logit, "probability": p.probability} for p in predictions
        ]
        answers.append({"image": image, "model": model.config.name, "tier": model.ops.tier, "top": top})
    if args.json:
        options.print_json(answers)
    elif not model.labels:
        print("The checkpoint has no names for its classes; --labels FILE gives them, one per line.")
