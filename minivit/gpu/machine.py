"""What this machine has for tier "gpu", and the one line that says why it cannot run there."""

from importlib import metadata

from ..errors import InputError
from .mode import SIMULATED

#: distribution -> as what `minivit doctor` shows it
PACKAGES = ("numba-cuda", "cuda-core", "cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")
OLDEST = {12: 525, 13: 580}  # CUDA -> the driver it needs


def facts():
    """What is here: packages, toolkit (major), driver (major, minor), card, capability, memory, or an error."""
    found = {"packages": {name: _version(name) for name in PACKAGES if _version(name)}}
    toolkit = found["packages"].get("nvidia-cuda-nvrtc") or found["packages"].get("nvidia-cuda-nvrtc-cu12")
    found["toolkit"] = int(toolkit.split(".")[0]) if toolkit else None
    from .compat import cuda

    try:
        from numba.cuda.cudadrv.driver import driver

        found["driver"] = tuple(driver.get_version())
        device = cuda.get_current_device()
        name = device.name
        found["card"] = name.decode() if isinstance(name, bytes) else name
        found["capability"] = tuple(device.compute_capability)
        free, total = cuda.current_context().get_memory_info()
        found["memory"] = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    except Exception as error:  # whatever the driver says, `problem` puts it into one line
        found["error"] = " ".join(str(error).split()) or type(error).__name__
    return found


def problem(facts, dtype="float32"):
    """Why that machine cannot run tier "gpu" in that dtype, and what to do: one line, or None."""
    error, driver, toolkit = facts.get("error"), facts.get("driver"), facts.get("toolkit")
    if driver and toolkit and toolkit > driver[0]:
        older = f"pip install 'minivit[cuda{driver[0]}]', or " if driver[0] == 12 else ""
        return (
            f"the driver knows CUDA {driver[0]}.{driver[1]}, the packages are for CUDA {toolkit}: "
            f"{older}install driver {OLDEST.get(toolkit, 580)} or newer"
        )
    if error and not driver:
        return "no NVIDIA driver was found: install one (580 or newer), or use tier 'cpu'"
    if error and "capability" not in facts:
        return (
            f"the driver finds no GPU that it may use (is CUDA_VISIBLE_DEVICES right?); use tier 'cpu' ({error[:80]})"
        )
    if dtype != "float32" and facts["capability"] < (8, 0):
        major, minor = facts["capability"]
        return f"{facts['card']} (compute capability {major}.{minor}) has no tensor cores for {dtype}; use float32"
    return f"the GPU does not answer: {error[:100]}" if error else None


def lines():
    """What `minivit doctor` shows: {fact: text}; nothing if tier "gpu" is not installed."""
    if SIMULATED:
        return {"state": "simulated, because NUMBA_ENABLE_CUDASIM is set"}
    try:
        found = facts()
    except InputError:
        return {}
    shown = {**found["packages"], "driver": "CUDA {}.{}".format(*found["driver"]) if "driver" in found else "none"}
    if "card" in found:
        shown["card"] = f"{found['card']}, compute capability {'{}.{}'.format(*found['capability'])}"
        shown["memory"] = found.get("memory", "unknown")
    return {**shown, "state": problem(found, "bfloat16") or "ready"}


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
