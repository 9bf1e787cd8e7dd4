"""List the published models, or rank their checkpoints by accuracy under your memory and time (--fit "2 GB, 50 ms")."""

import sys
from functools import partial

from .. import cost, fit, registry, speed
from ..config import VARIANTS
from ..errors import InputError
from ..tables import Table
from . import options

EXAMPLE = 'minivit zoo --fit "2 GB, 50 ms" --png choice.png'
HIDDEN = ("trace_mb", "learning_mb", "tokens")  # of the list of models: in --json only
SHOWN = (
    *("checkpoint", "image", "accuracy", "dtype", "ms", "memory_mb", "float32_mb", "bfloat16_mb", "int8_mb"),
    *("parameters", "gflops", "licence"),
)


def arguments(parser):
    parser.add_argument(
        "--fit", metavar="LIMITS", help="memory, time per image or both: '2 GB, 50 ms', '500MB', '20ms'"
    )
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many that fit (default: %(default)s)")
    parser.add_argument("--tier", choices=("cpu", "ref"), default="cpu", help="what computes (default: %(default)s)")
    parser.add_argument("--dtype", choices=fit.DTYPES, help="its weights (default: the most exact that fits)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of tier cpu (default: one per CPU)")
    parser.add_argument("--measure", action="store_true", help="run the best ones here, with seeded weights")
    parser.add_argument("--again", action="store_true", help="measure this machine anew")
    parser.add_argument("--png", metavar="FILE", help="draw accuracy against time (without --fit: arithmetic)")
    options.as_json(parser)


def run(args):
    rows = _fitting(args) if args.fit else _models(args)
    if args.json:
        options.print_json(rows)


def _models(args):
    """The list of models; the chart is of their checkpoints."""
    if args.measure or args.again or args.dtype:
        raise InputError("--measure, --again and --dtype go with --fit")
    known = {}
    for entry in registry.entries():
        known.setdefault(entry.variant, []).append(entry)
    rows = [{**cost.summary(config), **_published(known.get(name, ()))} for name, config in VARIANTS.items()]
    if args.png:
        _draw(args, fit.candidates(), "gflops", "10⁹ operations per image (2 per multiply-add)")
    if not args.json:
        table = Table([name for name in rows[0] if name not in HIDDEN], rows)
        table.footer = (
            "\nAt 224×224 pixels, 1000 classes. gflops: one image, 2 per multiply-add. …_mb: the weights in tier cpu, "
            "in millions of bytes;\nactivations: alive at the worst moment of one image's forward pass. accuracy: the "
            "best of the published checkpoints on ImageNet,\nat any resolution. `minivit download --list` shows them, "
            "`minivit doctor` those on this machine."
        )
        print(table)
    return rows


def _published(entries):
    best = max((entry.accuracy for entry in entries if entry.accuracy is not None), default=None)
    return {"accuracy": best, "licence": next((entry.licence for entry in entries), None)}


def _fitting(args):
    limit, dtypes = fit.limits(args.fit), _dtypes(args)
    if args.top < 1:
        raise InputError(f"--top is {args.top}, expected a positive number")
    speeds = speed.of_this_machine(args.tier, dtypes, args.threads, args.again, _say)
    rows = fit.estimate(fit.candidates(), speeds, limit)
    if args.measure:
        measured = partial(_measure, args)
        rows = fit.measure(rows, speeds, limit, args.top, measured, _say)
    if args.png:
        at = 1e3 * limit.seconds if limit.seconds < float("inf") else None
        _draw(args, rows, "ms", f"ms per image, {_how(args)}", at, f"What fits in {limit}")
    chosen = [row for row in rows if row["fits"]][: args.top]
    if not chosen:
        raise fit.nothing(rows, limit)
    if not args.json:
        print(_table(args, chosen, limit, sum(row["fits"] for row in rows)))
    return [{name: value for name, value in row.items() if name != "config"} for row in chosen]


def _dtypes(args):
    if args.tier == "ref":
        if args.dtype not in (None, "float32"):
            raise InputError(f"tier ref works with float32 here, not with {args.dtype}")
        return ("float32",)
    return (args.dtype,) if args.dtype else fit.DTYPES


def _measure(args, config, dtype):
    return speed.alone(speed.measure, config, args.tier, dtype, args.threads)


def _table(args, rows, limit, count):
    table = Table(SHOWN, rows)
    measured = sum(row["measured"] for row in rows)
    known = f"{measured} of them measured" if measured else "estimated from its speed in small models (or --measure)"
    table.footer = (
        f"\n{len(rows)} of {count} checkpoints that fit in {limit}, by published accuracy on ImageNet. ms, memory_mb: "
        f"one image on this machine,\n{_how(args)}, {known}; memory with Python and its "
        "libraries. Other …_mb: the weights.\nint8 costs a little accuracy. LiT: zero-shot; only its images are timed."
    )
    return table


def _how(args):
    return f"tier {args.tier}" + (f", {args.threads} threads" if args.threads else "")


def _draw(args, rows, *how):
    from ..viz.choice import chart

    chart(rows, *how).save(args.png)
    _say(f"wrote {args.png}")


def _say(text):
    print(f"minivit: {text}", file=sys.stderr)
