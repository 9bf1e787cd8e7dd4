"""How fast this machine is, measured on small seeded models, and what that says of the time that others take."""

import json
import math
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from . import __version__, cost, params, tiers
from .config import HybridConfig, Stem, ViTConfig
from .files import replacing
from .model import Model

#: What is measured: blocks of ViT-Ti/16 and ViT-B/16, several because int8 starts later, and a stem of three units
SMALL = ViTConfig("eight blocks of width 192", 16, 192, 8, 3, 768, classes=None)
LARGE = ViTConfig("eight blocks of width 768", 16, 768, 8, 12, 3072, classes=None)
STEM = HybridConfig("a stem of three units", 1, 192, 1, 3, 768, classes=None, stem=Stem((1, 1, 1)))
RUNS = 9


@dataclass(frozen=True)
class Speed:
    """A machine with one tier and dtype: operations per second in three models, bytes of a process without a model."""

    small: float
    large: float
    stem: float
    process: float

    def seconds(self, config):
        """The estimated time of one image.

        Blocks compute at a rate between those of the two measured widths, by the logarithm of theirs.
        """
        if config.family == "lit":
            config = config.img
        stem = cost.stem_flops(config.stem, *config.image, config.channels) if config.family == "hybrid" else 0
        share = math.log(config.width / SMALL.width) / math.log(LARGE.width / SMALL.width)
        rate = self.small + (self.large - self.small) * min(max(share, 0), 1)
        return stem / self.stem + (cost.flops(config) - stem) / rate

    def bytes(self, config, dtype):
        """The estimated memory of a process that reads one image at a time: itself, the weights, the activations."""
        return self.process + cost.weight_bytes(config, dtype) + cost.activation_bytes(config)


def of_this_machine(tier, dtypes, threads=None, again=False, say=lambda text: None):
    """{dtype: Speed}, from the cache folder, or measured in a few seconds and kept there.

    again: measure even what is known; say: called with a line for people before each measurement.
    """
    machine = _machine(tier, threads)
    known = {} if again else _kept(machine)
    for dtype in dtypes:
        if dtype not in known:
            say(f"measuring how fast this machine is, once: tier {tier}, {dtype} …")
            for config in (SMALL, STEM):  # whoever comes first may compile kernels, which takes memory of its own
                alone(measure, config, tier, dtype, threads, 1)
            known[dtype] = _speed(
                *(alone(measure, config, tier, dtype, threads, RUNS) for config in (SMALL, LARGE, STEM)), dtype
            )
    _keep(machine, known)
    return {dtype: known[dtype] for dtype in dtypes}


def _speed(small, large, stem, dtype):
    # each (seconds, bytes)
    fast, slow = cost.flops(SMALL) / small[0], cost.flops(LARGE) / large[0]
    in_stem = cost.stem_flops(STEM.stem, *STEM.image)
    rest = (cost.flops(STEM) - in_stem) / fast
    process = small[1] - cost.weight_bytes(SMALL, dtype) - cost.activation_bytes(SMALL)
    return Speed(fast, slow, in_stem / max(stem[0] - rest, stem[0] / 10), process)


def alone(function, *args):
    """The result of a function in a fresh process: nothing else shares its memory, caches and threads."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(function, *args).result()


def measure(config, tier, dtype, threads=None, runs=RUNS):
    """(median seconds of one image, most bytes that this process held) with seeded weights; of LiT the image tower."""
    if config.family == "lit":
        config = config.img
    model = Model(config, params.drawn(config), tiers.load(tier, dtype, threads))
    image = np.random.default_rng(0).standard_normal((1, *config.image, config.channels), dtype=np.float32)
    model.run(image)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        model.run(image)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), peak_bytes()


def peak_bytes():
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux ru_maxrss starts from the peak of the process that started this one
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    try:
        import resource
    except ModuleNotFoundError:  # Windows: the usual size of a process with NumPy and Numba
        return 250_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# ---- the cache -------------------------------------------------------------------------------------------------------


def cache_file():
    """Where the measurements are kept."""
    home = os.environ.get("MINIVIT_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minivit"
    return (Path(home) if home else cache) / "speed.json"


def _machine(tier, threads):
    return " · ".join(map(str, (__version__, platform.machine(), _cpu(), os.cpu_count(), tier, threads or "all")))


def _cpu():
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _everything():
    try:
        found = json.loads(cache_file().read_bytes())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):  # none yet, or damaged: it is only a cache
        return {}


def _kept(machine):
    try:
        return {dtype: Speed(**{k: float(v) for k, v in row.items()}) for dtype, row in _everything()[machine].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _keep(machine, speeds):
    content = {**_everything(), machine: {dtype: asdict(speed) for dtype, speed in speeds.items()}}
    try:
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        with replacing(cache_file()) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
    except (OSError, ValueError):  # a folder that cannot be written: the next call measures again
        pass
