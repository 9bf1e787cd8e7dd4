"""Write the features of images to an .npz file: class token, mean of the patches, every token."""

import numpy as np

from ..files import write_npz
from . import options

EXAMPLE = "minivit features a.jpg b.jpg --weights deit_tiny.safetensors -o features.npz"


def arguments(parser):
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    options.model(parser)
    parser.add_argument("-o", "--output", default="features.npz", metavar="FILE", help="default: %(default)s")
    options.as_json(parser)


def run(args):
    model = options.read_model(args)
    each = [model.features(image, args.size) for image in args.images]
    arrays = {name: np.concatenate([features[name] for features in each]) for name in each[0]}
    write_npz(args.output, {**arrays, "images": np.array(args.images)})
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    if args.json:
        options.print_json({"output": args.output, "model": model.config.name, "arrays": shapes})
    else:
        print(f"{args.output}: " + ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in shapes.items()))
