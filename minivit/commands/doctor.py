"""Say what this machine has: versions, threads, tiers and why one is missing, weights found."""

import os
import platform
from importlib import metadata

from .. import __version__, tiers
from ..errors import InputError
from ..gpu import machine
from ..loading import found_weights, weights_folders
from . import options

EXAMPLE = "minivit doctor --json"
PACKAGES = ("numpy", "numba", "pillow", "matplotlib", "safetensors", "huggingface_hub", "pytest", "jupyter")


def arguments(parser):
    options.as_json(parser)


def run(args):
    facts = {
        "minivit": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "cpus": os.cpu_count(),
        "tiers": {tier: _tier(tier) for tier in tiers.TIERS},
        "kernels": _kernels(),
        "gpu": machine.lines(),
        "weights_folders": [f"{folder}{'' if folder.is_dir() else ' (not there)'}" for folder in weights_folders()],
        "weights": [str(path) for path in found_weights()],
    }
    if args.json:
        options.print_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = [f"{key}: {text}" for key, text in value.items()]
        lines = value if isinstance(value, list) else [value]
        for i, line in enumerate(lines or ["none"]):
            print(f"{name.replace('_', ' ') if not i else '':>16}  {line}")


def _tier(tier):
    obstacle = tiers.obstacle(tier)
    return f"not available: {obstacle}" if obstacle else f"available in {', '.join(tiers.TIERS[tier])}"


def _kernels():
    """What tier cpu compiles for, and where it keeps that."""
    try:
        from ..ops.simd import amx, dots, kernel, target, team
    except (ImportError, InputError):
        return {}
    return {
        "compiled for": f"{target.CPU}, {target.W} float32 numbers per register",
        "float32": amx.how(dots.FLOAT32),
        "bfloat16": amx.how(dots.BFLOAT16),
        "int8": amx.how(dots.INT8),
        "threads": team.team().threads,
        "kept in": str(kernel.cache_folder() or "memory only: no folder can be written"),
    }


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
