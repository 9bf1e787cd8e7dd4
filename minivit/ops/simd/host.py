"""What this CPU can do, as LLVM says it: never found out by trying, because a wrong guess is a crash.

LLVM and Numba take a quarter of a second and 80 MB to answer, so the answer is kept beside the kernels, for as long as
nothing changes that it depends on.
"""

import json
import os
import platform
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from ...files import replacing
from .cache import checksum, writable

#: settings of Numba that change the answer
SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX")
#: … as can its own file of settings
CONFIG = Path(".numba_config.yaml")
#: what Linux says about a CPU and its instructions
FACTS = ("vendor_id", "cpu family", "model", "stepping", "flags", "CPU implementer", "CPU part", "Features")


def versions():
    """What says the versions of Numba and llvmlite, without importing them: their files of that name.

    Raises ImportError if one of them is not installed.
    """
    found = []
    for package in ("numba", "llvmlite"):
        spec = find_spec(package)
        file = spec and spec.origin and Path(spec.origin).with_name("_version.py")
        if file and file.exists():
            found.append(file.read_text())
        else:
            found.append(import_module(package).__version__)
    return found


def answer():
    """[triple, name of the CPU, its features as "+avx2,-sse4a,…"], kept or asked for.

    Raises InputError if Numba's settings ask for instructions that this CPU does not have.
    """
    folder, facts = writable(), _facts()
    if folder is None or facts is None:
        return _ask()
    file = folder / f"cpu-{checksum(*facts)[:16]}.json"
    kept = _read(file)
    if kept is None:
        kept = _ask()
        with replacing(file) as temporary:
            temporary.write_text(json.dumps({"answer": kept, "checksum": checksum(*kept)}))
    return kept


def _ask():
    from .ask_llvm import ask

    return ask()


def _facts():
    """All that the answer depends on, as texts; None where the system does not say what its CPU is."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    said = sorted({line for line in lines if line.partition(":")[0].strip().startswith(FACTS)})
    settings = [f"{name}={os.environ.get(name)}" for name in SETTINGS]
    config = CONFIG.read_bytes() if CONFIG.exists() else b""
    return [*versions(), platform.machine(), *settings, config, *said] if said else None


def _read(file):
    """The answer that was kept there; None if there is none, or it is damaged."""
    try:
        found = json.loads(file.read_bytes())
        if found["checksum"] != checksum(*found["answer"]):
            raise ValueError("it has changed")
        return found["answer"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warnings.warn(f"{file} is damaged ({error}); LLVM is asked again what this CPU can do", stacklevel=2)
        return None
