"""Compile the kernels of tier "cpu" ahead of time, so that the first image does not wait for them."""

import time

from .. import tiers
from . import options

EXAMPLE = "minivit warmup"


def arguments(parser):
    options.as_json(parser)


def run(args):
    tiers.load("cpu")  # says why, if the tier cannot work here
    from ..ops.simd import kernel

    start = time.perf_counter()
    kernel.warmup()
    seconds, folder = time.perf_counter() - start, kernel.cache_folder()
    if args.json:
        options.print_json({"kernels": len(kernel.KERNELS), "seconds": seconds, "folder": folder and str(folder)})
    else:
        where = f"kept in {folder}" if folder else "not kept, because no folder can be written"
        print(f"{len(kernel.KERNELS)} kernels are ready, {where} ({seconds:.1f} s)")
