"""Measure tier "gpu" beside PyTorch on the same card: every rung of the ladders, and whole models.

    python benchmarks/gpu.py -o benchmarks/results/h200.json
    python benchmarks/gpu.py -o benchmarks/results/h200.json models      only that part: models, ladders or compiled
    NUMBA_ENABLE_CUDASIM=1 python benchmarks/gpu.py --tiny -o try.json   tries the script, measures nothing

Every figure is written when it is there, and a figure that the file has is not measured again: a run that was cut off
goes on where it stopped.  Outputs are compared with float64 before anything is timed.  A rung is recorded as a CUDA
graph of several runs, so that Python's part of a launch does not count; PyTorch's runs are queued one behind the other.
"""

import argparse
import json
import platform
import sys
import time
from importlib import import_module, metadata
from pathlib import Path

import gpu_cases
import numpy as np
import torch
from gpu_models import compiled_ms, measure_model
from gpu_timing import DEVICE, TOLERANCE, TORCH, copy_bandwidth, numbers, refuse_wrong, seconds_of, torch_seconds
from gpu_torch import library

from minivit import config
from minivit.files import replacing
from minivit.gpu import machine
from minivit.gpu.arrays import on_device
from minivit.gpu.formats import FLOAT32, FORMATS


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


def save(report, path):
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def facts():
    versions = {name: metadata.version(name) for name in ("numpy", "numba")}
    return {"python": platform.python_version(), "torch": torch.__version__, **versions, **machine.lines()}


def started(path, tiny):
    """The report that is there already, if it is of this machine; else a new one."""
    machine_now = facts()
    if Path(path).exists():
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        told = [{name: of[name] for name in of if name != "memory"} for of in (report["machine"], machine_now)]
        if report["tiny"] == tiny and told[0] == told[1]:
            return report
        print(f"{path} is of another machine: all is measured again", flush=True)
    return {"machine": machine_now, "copy_gbytes": copy_bandwidth(tiny), "tiny": tiny, "rows": [], "models": []}


def ladders(report, tiny):
    """Pairs (name, function that gives a row) of the cases that the report lacks."""
    done = {row["case"] for row in report["rows"]}
    for case in gpu_cases.tiny_cases() if tiny else gpu_cases.CASES:
        if case.key not in done:
            yield case.key, lambda case=case: report["rows"].append(measure_case(case, 8 if tiny else 224))


def chosen_models(tiny):
    if tiny:
        return [(settings, dtype, 1) for settings in gpu_cases.tiny_models() for dtype in ("float32", "bfloat16")]
    return [(config.variant(name), dtype, batch) for name, dtype, batch, _ in gpu_cases.MODELS]


def models(report, tiny):
    done = {(row["model"], row["dtype"], row["batch"]) for row in report["models"]}
    for settings, dtype, batch in chosen_models(tiny):
        if (settings.name, dtype, batch) not in done:
            what = settings, dtype, batch
            yield f"{settings.name} {dtype} {batch}", lambda what=what: report["models"].append(measure_model(*what))


def compiled(report, tiny):
    """torch.compile takes a minute for a model: last, and of hybrids not at all."""
    rows = {(row["model"], row["dtype"], row["batch"]): row for row in report["models"]}
    for settings, dtype, batch in chosen_models(tiny):
        row, what = rows.get((settings.name, dtype, batch), {"compiled_ms": None}), (settings, dtype, batch)
        if "compiled_ms" not in row and settings.family == "vit" and DEVICE == "cuda":
            yield (
                f"{settings.name} {dtype} {batch}, compiled",
                lambda row=row, what=what: row.update(compiled_ms=compiled_ms(*what)),
            )


PARTS = {"models": models, "ladders": ladders, "compiled": compiled}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("-o", "--output", default="benchmarks/results/gpu.json")
    parser.add_argument("--versions", action="store_true", help="print them, and measure nothing")
    parser.add_argument("--tiny", action="store_true", help="sizes that a simulator can do")
    chosen = parser.parse_args()
    if chosen.versions:
        print("\n".join(f"{name}: {value}" for name, value in facts().items()))
        return
    if unknown := set(chosen.parts) - set(PARTS):
        sys.exit(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    report, failed = started(chosen.output, chosen.tiny), []
    for part in chosen.parts or PARTS:
        for name, measure in PARTS[part](report, chosen.tiny):
            start = time.perf_counter()
            try:
                measure()
                save(report, chosen.output)
            except Exception as error:  # of one case, by whatever library: the others are worth measuring
                failed.append(name)
                print(f"FAILED {name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)
            print(f"{time.perf_counter() - start:6.1f} s  {name}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
