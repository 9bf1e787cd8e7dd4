"""Measure tier "gpu" beside PyTorch on the same card: every rung of the ladders, and whole models.

    python benchmarks/gpu.py -o benchmarks/results/h200.json
    NUMBA_ENABLE_CUDASIM=1 python benchmarks/gpu.py --tiny -o /tmp/try.json      tries the script, measures nothing

Outputs are compared with float64 before anything is timed.  A rung is recorded as a CUDA graph of several runs, so that
Python's part of a launch does not count; PyTorch's runs are queued one behind the other, between two events.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from importlib import import_module, metadata

import gpu_cases
import numpy as np
import torch
from gpu_torch import library, torch_model

from minivit import config, params, tiers
from minivit.check.verdict import HYBRID
from minivit.files import replacing
from minivit.gpu import compat, machine
from minivit.gpu.arrays import on_device
from minivit.gpu.formats import FLOAT32, FORMATS
from minivit.model import Model

ROUNDS = 9  # the median counts
TOLERANCE = {"float32": 2e-5, "float16": 1e-2, "bfloat16": 1e-2}
TORCH = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape, np.float32)


def inputs_of(case, image):
    """The arrays and other arguments of a case's op."""
    if case.op == "linear":
        rows, inputs, outputs = case.shape
        return [numbers(rows, inputs), numbers(inputs, outputs, seed=1) / inputs**0.5, numbers(outputs, seed=2)], ()
    if case.op == "attention":
        return [numbers(*case.shape, seed=i) for i in range(3)], ()
    if case.op == "patch_embed":
        images, side, D = case.shape
        return [numbers(images, image, image, 3), numbers(side, side, 3, D, seed=1) / 28, numbers(D, seed=2)], ()
    if case.op == "conv":
        images, rows, channels, k, outputs = case.shape
        w = numbers(k, k, channels, outputs, seed=1) / (k * channels**0.5)
        return [numbers(images, rows, rows, channels), w], (1,)
    if case.op in ("groupnorm", "max_pool"):
        images, rows, channels = case.shape
        arrays = [numbers(images, rows, rows, channels), numbers(channels, seed=1), numbers(channels, seed=2)]
        return (arrays, (32, 1e-6)) if case.op == "groupnorm" else (arrays[:1], (3, 2))
    x, width = numbers(*case.shape), case.shape[1]
    if case.op == "layernorm":
        return [x, numbers(width, seed=1), numbers(width, seed=2)], (1e-6,)
    return [x], ("tanh",) if case.op == "gelu" else ()


def conv_inputs(x, w, rung):
    """A map and weights as a stem gives them to that rung: uploaded, and in two halves already."""
    gpu_halves = import_module("minivit.ops.conv.gpu_halves")
    return [gpu_halves.in_two_halves(x, w.format) if rung == "v3" else x, gpu_halves.weights(w)]


def rung_of(case):
    folder = {"patch_embed": "patches"}.get(case.op, case.op)
    return import_module(f"minivit.ops.{folder}.gpu").LADDER[case.rung]


def seconds_of(run):
    """Seconds of one run on the device, the median of several rounds."""
    memory = compat.Pool()
    with memory:
        run()
        first = once(run)
        repeats = max(1, min(50, int(0.02 / max(first, 1e-6))))
        if compat.SIMULATED:
            return first
        launch, _ = compat.record(lambda: several(run, repeats))
        return statistics.median(once(launch) / repeats for _ in range(ROUNDS))


def several(run, repeats):
    for _ in range(repeats):
        run()  # each result goes before the next comes, and gives it its memory


def once(run):
    compat.synchronise()
    start = time.perf_counter()
    run()
    compat.synchronise()
    return time.perf_counter() - start


def torch_seconds(run):
    """The same of PyTorch."""

    def wait():
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    def timed(repeats):
        wait()
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        wait()
        return (time.perf_counter() - start) / repeats

    timed(3)
    repeats = max(1, min(50, int(0.02 / timed(1))))
    return statistics.median(timed(repeats) for _ in range(ROUNDS))


def measure_case(case, image):
    arrays, extra = inputs_of(case, image)
    half = FORMATS[case.dtype]
    kinds = {"attention": [half] * 3, "patch_embed": [FLOAT32, half, FLOAT32], "conv": [FLOAT32, half]}
    given = [on_device(x, kind) for x, kind in zip(arrays, kinds.get(case.op, [half, half, FLOAT32]), strict=False)]
    theirs = library(case.op, [torch.from_numpy(np.asarray(x)).to(DEVICE, TORCH[case.dtype]) for x in given])
    truth = library(case.op, [torch.from_numpy(np.asarray(x)).double().to(DEVICE) for x in given])()
    if case.op == "conv":
        given = conv_inputs(*given, case.rung)
    function = rung_of(case)
    found = np.asarray(function(*given, *extra), np.float64)
    refuse_wrong(case.key, found, truth.double().cpu().numpy().reshape(found.shape), TOLERANCE[case.dtype])
    mine, library_seconds = seconds_of(lambda: function(*given, *extra)), torch_seconds(theirs)
    row = {
        "case": case.key,
        "ms": 1e3 * mine,
        "library_ms": 1e3 * library_seconds,
        "of_library": library_seconds / mine,
    }
    return {**row, "speed": gpu_cases.speed(case, mine), "library": gpu_cases.speed(case, library_seconds)}


def refuse_wrong(name, found, truth, tolerance):
    error = np.abs(found - truth).max() / np.abs(truth).max()
    if not error <= tolerance:
        sys.exit(f"{name}: wrong by {error:.1e} of the largest number, allowed {tolerance:.0e}; nothing is timed")


def measure_model(settings, dtype, batch):
    """A whole forward pass: minivit by graph, PyTorch eager and compiled, images and logits on the device."""
    mine = Model(settings, params.seeded(settings), tiers.load("gpu", dtype))
    images = numbers(batch, *settings.image, 3)
    theirs = torch_model(settings, params.seeded(settings)).to(DEVICE, TORCH[dtype]).eval()
    small = images[:2]
    with torch.inference_mode():
        truth = torch_model(settings, params.seeded(settings)).double()(torch.from_numpy(small).double()).numpy()
    allowed = TOLERANCE[dtype] * (1 if dtype == "float32" else 2)  # the weights themselves are rounded
    if (settings.family, dtype) == ("hybrid", "float32"):
        allowed = HYBRID
    refuse_wrong(f"{settings.name} {dtype}", mine.run(small).astype(np.float64), truth, allowed)
    mine.run(images)
    graphs = mine.ops.run.graphs
    launch = next(reversed(graphs.values())).launch if graphs else lambda: mine.run(images)
    pixels = torch.from_numpy(images).to(DEVICE, TORCH[dtype])

    def eager():
        with torch.inference_mode():
            return theirs(pixels)

    row = {"model": settings.name, "dtype": dtype, "batch": batch}
    row |= {"ms": 1e3 * statistics.median(once(launch) for _ in range(ROUNDS)), "eager_ms": 1e3 * torch_seconds(eager)}
    if DEVICE == "cuda":
        compiled = torch.compile(theirs, mode="max-autotune" if batch == 1 else None)

        def optimised():
            with torch.inference_mode():
                return compiled(pixels)

        row["compiled_ms"] = 1e3 * torch_seconds(optimised)
    return row


def copy_bandwidth(tiny):
    """GB/s of a copy that does not fit the cache, read and written bytes together."""
    source = torch.zeros(1 << (12 if tiny else 29), device=DEVICE)
    target = torch.empty_like(source)
    return 2 * source.nbytes / torch_seconds(lambda: target.copy_(source)) / 1e9


def save(report, path):
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def facts():
    versions = {name: metadata.version(name) for name in ("numpy", "numba")}
    return {"python": platform.python_version(), "torch": torch.__version__, **versions, **machine.lines()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", default="benchmarks/results/gpu.json")
    parser.add_argument("--versions", action="store_true", help="print them, and measure nothing")
    parser.add_argument("--tiny", action="store_true", help="sizes that a simulator can do")
    chosen = parser.parse_args()
    if chosen.versions:
        print("\n".join(f"{name}: {value}" for name, value in facts().items()))
        return
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    report = {
        "machine": facts(),
        "copy_gbytes": copy_bandwidth(chosen.tiny),
        "tiny": chosen.tiny,
        "rows": [],
        "models": [],
    }
    cases, models, image = gpu_cases.CASES, gpu_cases.MODELS, 224
    if chosen.tiny:
        cases, image = gpu_cases.tiny_cases(), 8
        models = [(settings, dtype, 1, 0) for settings in gpu_cases.tiny_models() for dtype in ("float32", "bfloat16")]
    for case in cases:
        report["rows"].append(measure_case(case, image))
        print(json.dumps(report["rows"][-1], ensure_ascii=False), flush=True)
        save(report, chosen.output)
    for model, dtype, batch, _ in models:
        settings = model if chosen.tiny else config.variant(model)
        report["models"].append(measure_model(settings, dtype, batch))
        print(json.dumps(report["models"][-1]), flush=True)
        save(report, chosen.output)


if __name__ == "__main__":
    main()
