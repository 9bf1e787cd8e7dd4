"""Machine code without a GPU: what machine_code.py needs of numba-cuda and NVIDIA's other packages (minivit[ptx])."""

import os
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from ..errors import InputError
from .compat import SIMULATED, cuda


def link(kernel, target):
    """A launch.Kernel as machine code for a compute capability, and what the assembler says about it.  Needs no GPU."""
    if SIMULATED:
        raise InputError("kernels are simulated in this process: unset NUMBA_ENABLE_CUDASIM to compile them")
    from cuda.bindings import nvjitlink

    with _pretending(target):
        code, _ = cuda.compile(
            kernel.function, f"void({kernel.signature})", device=False, abi="numba", cc=target, output="ltoir",
            launch_bounds=kernel.threads_in_all, fastmath=kernel.fast,
        )  # fmt: skip
    arch = "".join(map(str, target))
    linker = nvjitlink.create(3, [f"-arch=sm_{arch}", "-lto", "-Xptxas=-v"])
    nvjitlink.add_data(linker, nvjitlink.InputType.LTOIR, code, len(code), kernel.name)
    nvjitlink.complete(linker)
    cubin = bytearray(nvjitlink.get_linked_cubin_size(linker))
    nvjitlink.get_linked_cubin(linker, cubin)
    log = bytearray(nvjitlink.get_info_log_size(linker))
    nvjitlink.get_info_log(linker, log)
    nvjitlink.destroy(linker)
    return bytes(cubin), log.decode(errors="replace")


@contextmanager
def _pretending(target):
    # device functions ask the current device what to compile for: answer in its place
    from numba.cuda import dispatcher

    real, dispatcher.get_current_device = (
        dispatcher.get_current_device,
        lambda: SimpleNamespace(compute_capability=target),
    )
    try:
        yield
    finally:
        dispatcher.get_current_device = real


def tools_path():
    """Where NVIDIA's programs are: $PATH, and the folders of its Python packages."""
    try:
        import nvidia

        folders = [str(path) for root in nvidia.__path__ for path in Path(root).glob("*/bin")]
    except ImportError:
        folders = []
    return os.pathsep.join([*folders, os.environ.get("PATH", "")])
