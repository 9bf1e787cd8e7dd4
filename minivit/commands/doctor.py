"""Say what this machine has: versions, threads, tiers and why one is missing, weights found."""

import os
import platform
from importlib import metadata

from .. import __version__, tiers
from ..loading import found_weights, weights_folders
from . import options

EXAMPLE = "minivit doctor --json"
PACKAGES = ("numpy", "pillow", "matplotlib", "safetensors", "pytest", "jupyter")


def arguments(parser):
    options.as_json(parser)


def run(args):
    facts = {
        "minivit": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "threads": os.cpu_count(),
        "tiers": {tier: f"available in {', '.join(dtypes)}" for tier, dtypes in tiers.TIERS.items()},
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


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
