"""Time minivit on this machine: every tier and dtype, each alone in its process.

Times are for seeded weights of a published size.  They tell how this machine does, not how minivit compares with
others: benchmarks/compare.py runs other engines beside it.
"""

import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from .. import params, tiers
from ..config import variant
from ..errors import InputError
from ..model import Model
from ..tables import Table
from . import options

EXAMPLE = "minivit bench --models Ti/16 S/16 --batches 1 8 --threads 2"


def arguments(parser):
    parser.add_argument("--models", nargs="+", default=["Ti/16"], metavar="NAME", help="default: Ti/16")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], metavar="B", help="default: 1 8")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of tier cpu (default: one per CPU)")
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="runs of each (default: %(default)s)")
    options.as_json(parser)


def run(args):
    if min(args.batches) < 1 or args.runs < 1:
        raise InputError("--batches and --runs: expected positive numbers")
    if args.threads is not None:
        tiers.load("cpu", threads=args.threads)  # refuses before anything is timed
    configs = [variant(name) for name in args.models]
    rows = []
    for config in configs:
        for batch in args.batches:
            for tier, dtype in _engines():
                print(f"timing {config.name}, batch {batch}: {tier} {dtype} …", file=sys.stderr)
                seconds = _alone(
                    _measure, config, tier, dtype, args.threads if tier == "cpu" else None, batch, args.runs
                )
                rows.append(_row(config, tier, dtype, batch, seconds))
            reference = rows[-len(_engines())]["median_ms"]
            for row in rows[-len(_engines()) :]:
                row["times_faster"] = reference / row["median_ms"]
    options.print_json(rows) if args.json else print(Table(rows[0], rows))


def _engines():
    """(tier, dtype) of all that this machine can run."""
    available = [tier for tier in tiers.TIERS if not tiers.obstacle(tier)]
    return [(tier, dtype) for tier in available for dtype in tiers.TIERS[tier] if dtype != "float64"]


def _row(config, tier, dtype, batch, seconds):
    per_image = [1e3 * s / batch for s in seconds]
    best = min(per_image)
    return {
        **{"model": config.name, "batch": batch, "tier": tier, "dtype": dtype},
        **{"median_ms": statistics.median(per_image), "best_ms": best, "images_per_s": 1e3 / best},
    }


def _alone(function, *args):
    """The result of a function run in a fresh process: thread pools of the tiers would disturb each other."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(function, *args).result()


def _measure(config, tier, dtype, threads, batch, runs):
    model = Model(config, params.seeded(config), tiers.load(tier, dtype, threads))
    images = np.random.default_rng(0).standard_normal((batch, *config.image, config.channels), dtype=np.float32)
    model.run(images)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        model.run(images)
        seconds.append(time.perf_counter() - start)
    return seconds
