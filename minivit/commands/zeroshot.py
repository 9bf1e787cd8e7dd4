"""Name what is in an image by labels of your own, with a LiT model: no training, any words.

Every label is put into a sentence, and the image is compared with the sentences.
"""

import os
from collections import Counter
from pathlib import Path

from ..errors import InputError
from ..lit import PROMPTS, LitModel
from . import options
from .look import outputs
from .progress import counter

DRAWN = 40  # labels of a bar chart; more cannot be read
EXAMPLE = 'minivit zeroshot cat.jpg --labels "a cat, a dog" --weights LiT-B16B.npz -o cat.png'


def arguments(parser):
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument(
        "--labels",
        dest="choices",
        required=True,
        metavar="LABELS",
        help='"a cat, a dog", with commas in between, or a file with one label per line',
    )
    parser.add_argument(
        "--prompts",
        metavar="P",
        help="sentences with {} for the label: 'official' for the eight of LiT, or a file with one per line"
        " (default: the label alone)",
    )
    options.weights(parser)
    options.vocabulary(parser)
    parser.add_argument(
        "--top", type=int, default=20, metavar="K", help="how many labels to show (default: %(default)s)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="bar chart: a .png file, or a folder for several images (default: IMAGE-zeroshot.png)",
    )
    options.as_json(parser)


def run(args):
    if args.top < 1:
        raise InputError(f"--top {args.top}: expected a positive number")
    labels, prompts = read_labels(args.choices), read_prompts(args.prompts)
    places = outputs(args.images, "zeroshot", args.output)
    model = lit_model(args)
    classes = model.embed_labels(labels, prompts, counter("sentences"))
    answers = []
    for image, place in zip(args.images, places, strict=True):
        found = model.compare(image, classes, labels, args.top, args.size)
        draw(image, found, model.config.name, place)
        if not args.json:
            print(f"{image}  ({model.config.name}, {model.ops.tier} {model.ops.dtype}; {place})")
            print(*(f"  {p}" for p in found), sep="\n")
        top = [{"label": p.label, "logit": p.logit, "probability": p.probability} for p in found]
        answers.append({"image": image, "model": model.config.name, "output": str(place), "top": top})
    if args.json:
        options.print_json(answers)


def lit_model(args):
    """The LiT model of the arguments.  Raises InputError for one without a text tower."""
    model = options.read_model(args, lit=True)
    if not isinstance(model, LitModel):
        raise InputError(f"{model.config.name} reads no texts; give a LiT model, such as --weights LiT-B16B.npz")
    return model


def read_labels(text):
    """The labels of a file, one per line, or those between the commas.  Raises InputError for none, and for twins."""
    labels = read_lines(text) if os.path.isfile(text) else [label.strip() for label in text.split(",")]
    if "" in labels or not labels:
        raise InputError(
            f"--labels {text!r}: a label is empty; expected names with commas in between, or a file of them"
        )
    twice = [label for label, times in Counter(labels).items() if times > 1]
    if twice:
        raise InputError(f"--labels: {twice[0]!r} is there twice, expected different labels")
    return labels


def read_prompts(name):
    """Sentences with {}: ("{}",) by default, the official ones, or those of a file, one per line."""
    if name is None:
        return ("{}",)
    if name == "official":
        return PROMPTS
    if not os.path.isfile(name):
        raise InputError(
            f"--prompts {name}: no such file; expected 'official' or a file with sentences like 'a photo of {{}}'"
        )
    return tuple(read_lines(name))


def read_lines(path):
    """The lines of a text file that are not empty.  Raises InputError if it has none, or cannot be read."""
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text file ({error})") from error
    if not (lines := [line for line in lines if line]):
        raise InputError(f"{path}: no lines, expected one text per line")
    return lines


def draw(image, found, name, place):
    """The image and a bar per label, as PNG."""
    from ..image import read_pixels
    from ..viz import panels

    found = found[:DRAWN]
    labels = [panels.short(p.label, 40) for p in found]
    bars = panels.bars(labels, [p.probability for p in found], "the labels that fit best", "probability")
    height = max(2.8, 0.8 + 0.24 * len(labels))
    picture = panels.picture(read_pixels(image), panels.short(name, 40))
    panels.row(picture, bars, height=height, widths=(1, 1.4)).save(place)
