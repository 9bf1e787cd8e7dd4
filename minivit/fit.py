"""Which published checkpoint is the best that fits: the memory and the time that somebody has, and what each needs."""

import re
from dataclasses import dataclass

from . import cost, params, registry
from .errors import InputError

BYTES = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
HOW = "expected memory, time for one image, or both, such as '2 GB, 50 ms'"
DTYPES = ("float32", "bfloat16", "int8")  # the most exact first


@dataclass(frozen=True)
class Limits:
    """What a model may take; infinite where nothing was said."""

    bytes: float = float("inf")
    seconds: float = float("inf")

    def __str__(self):
        size = f"{self.bytes / 1e9:.4g} GB" if self.bytes >= 1e9 else f"{self.bytes / 1e6:.4g} MB"
        known = {size: self.bytes, f"{1e3 * self.seconds:.4g} ms": self.seconds}
        return " and ".join(text for text, value in known.items() if value < float("inf"))

    def allow(self, seconds, size):
        return seconds <= self.seconds and size <= self.bytes


def limits(text):
    """Limits from words: "2 GB, 50 ms", "500MB", "20ms".  Raises InputError for anything else."""
    found = {}
    for part in filter(None, re.split(r"\s*[,;]\s*|(?<=[a-zµ])\s+", text.strip().lower())):
        number, unit = re.fullmatch(r"([\d.]*)\s*(.*)", part, re.DOTALL).groups()
        kind, units = ("bytes", BYTES) if unit in BYTES else ("seconds", SECONDS)
        try:
            value = float(number) * units[unit]
        except (ValueError, KeyError):
            raise InputError(f"--fit {text!r}: {part!r} is not a number and one of {_units()}; {HOW}") from None
        if value <= 0:
            raise InputError(f"--fit {text!r}: {part!r} leaves nothing; {HOW}")
        if kind in found:
            raise InputError(f"--fit {text!r}: {part!r} is the second limit of its kind; {HOW}")
        found[kind] = value
    if not found:
        raise InputError(f"--fit {text!r}: {HOW}")
    return Limits(**found)


def _units():
    return "kB, MB, GB, MiB, GiB, us, ms, s"


def candidates():
    """A row for every published checkpoint with a known accuracy, the best first; those that several publish once."""
    found = {}
    for entry in registry.entries():
        if entry.config is not None and entry.accuracy is not None:
            found.setdefault((entry.config, entry.accuracy), []).append(entry)
    rows = [{**_row(same[0]), "also": [entry.name for entry in same[1:]]} for same in found.values()]
    return sorted(rows, key=lambda row: (-row["accuracy"], row["parameters"]))


def _row(entry):
    config = entry.config
    return {
        "checkpoint": entry.name,
        "model": config.name,
        "image": entry.image,
        "accuracy": entry.accuracy,
        "measured_by": "authors" if entry.top1 else "timm" if entry.timm_top1 else "authors, zero-shot",
        "parameters": params.count(config),
        "gflops": cost.flops(config) / 1e9,
        **{f"{dtype}_mb": cost.weight_bytes(config, dtype) / 1e6 for dtype in DTYPES},
        "licence": entry.licence,
        "config": config,
    }


def estimate(rows, speeds, limit):
    """The rows with the dtype, time and memory that are estimated for each, and whether that fits.

    speeds: {dtype: speed.Speed}, the preferred dtype first: the first that fits counts, or else the last.
    """
    estimated = []
    for row in rows:
        for dtype, speed in speeds.items():
            seconds, size = speed.seconds(row["config"]), speed.bytes(row["config"], dtype)
            if limit.allow(seconds, size):
                break
        known = {"dtype": dtype, "ms": 1e3 * seconds, "memory_mb": size / 1e6}
        estimated.append({**row, **known, "fits": limit.allow(seconds, size), "measured": False})
    return estimated


def measure(rows, speeds, limit, wanted, run, say=lambda text: None):
    """The rows, with estimates replaced by measurements where it matters, from the best on until `wanted` fit.

    A model is run if its estimated memory fits and its estimated time is at most twice what it may be; of models that
    compute the same, one.  run(config, dtype) -> (seconds, bytes); say: called with a line for people before each.
    """
    found, known = [], {}
    for row in rows:
        config = row["config"]
        for dtype, speed in speeds.items() if sum(row["fits"] for row in found) < wanted else ():
            if not limit.allow(speed.seconds(config) / 2, speed.bytes(config, dtype)):
                continue
            key = row["parameters"], row["gflops"], dtype
            if key not in known:
                say(f"running {row['model']} at {row['image']} pixels in {dtype} …")
                known[key] = run(config, dtype)
            row = {**row, **_measured(config, dtype, *known[key], limit)}
            if row["fits"]:
                break
        found.append(row)
    return found


def _measured(config, dtype, seconds, size, limit):
    tower = config.img if config.family == "lit" else config  # what was run
    size += cost.weight_bytes(config, dtype) - cost.weight_bytes(tower, dtype)
    known = {"dtype": dtype, "ms": 1e3 * seconds, "memory_mb": size / 1e6}
    return {**known, "fits": limit.allow(seconds, size), "measured": True}


def nothing(rows, limit):
    """The InputError that says what the most modest checkpoints need."""
    least = min(rows, key=lambda row: row["memory_mb"])
    fastest = min(rows, key=lambda row: row["ms"])
    return InputError(
        f"no published checkpoint fits in {limit}: the smallest, {least['checkpoint']}, takes "
        f"{least['memory_mb']:.0f} MB, the fastest, {fastest['checkpoint']}, {fastest['ms']:.3g} ms"
    )
