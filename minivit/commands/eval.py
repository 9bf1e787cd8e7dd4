"""Measure how well a model names the pictures of a data set: accuracy, per-class table, confusion matrix, time."""

from .. import data
from ..errors import InputError
from ..evaluate import evaluate, match_classes
from ..tables import Table
from . import options
from .progress import counter

EXAMPLE = "minivit eval --weights cifar10_vit.safetensors --data cifar-10-batches-py --plot confusion.png"


def arguments(parser):
    options.model(parser)
    parser.add_argument(
        "--data",
        required=True,
        metavar="PATH",
        help="folder with test/<class>/*.jpg, CIFAR-10, MNIST, packed .npz, or 'shapes'",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only N pictures, evenly spread (default: all)")
    parser.add_argument("--batch", type=int, default=32, metavar="B", help="pictures at a time (default: %(default)s)")
    parser.add_argument("--plot", metavar="FILE", help="draw the confusion matrix as PNG")
    options.as_json(parser)


def run(args):
    if args.batch < 1 or (args.limit is not None and args.limit < 1):
        raise InputError("--batch and --limit: expected positive numbers")
    model = options.read_model(args)
    dataset = data.load(args.data, train=False)
    classes = match_classes(model, dataset.classes)
    if not model.labels and len(dataset.classes) == model.config.classes:
        model.labels = dataset.classes
    result = evaluate(model, dataset.test, classes, args.batch, args.limit, args.size, counter("pictures"))
    if args.json:
        options.print_json({**summary(result), "per_class": result.per_class()})
    else:
        tell(result, model, dataset, args)
    if args.plot:
        from ..viz.confusion import confusion_figure

        confusion_figure(result.confusion, result.labels, f"{model.config.name} on {dataset.name}").save(args.plot)


def summary(result):
    """The totals of an Evaluation as a dict."""
    return {name: getattr(result, name) for name in ("top1", "top5", "images", "ms_per_image", "skipped")}


def tell(result, model, dataset, args):
    """Print the per-class table and the totals for people."""
    print(Table(("class", "images", "correct", "accuracy", "confused_with", "times"), result.per_class()))
    print(f"\n{model.config.name} on {dataset.name}: {result.images:,} pictures, {result.skipped} skipped")
    print(f"  top-1  {result.top1:.2%}\n  top-5  {result.top5:.2%}")
    print(
        f"  {result.ms_per_image:.2f} ms per picture in the model, {args.batch} at a time"
        f" (tier {model.ops.tier}, {model.ops.dtype}; without decoding and resizing)"
    )
