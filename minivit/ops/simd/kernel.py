"""Kernels: compiled once per machine, kept on disk, checked when they are read back.

    @kernel
    def scale(work, x, n, factor: float): …      # every argument is an integer or an address, unless it says `float`

The first call compiles (seconds, with a line on stderr) or reads the compiled code; `warmup` does that for all kernels.
Numba makes the kernel's LLVM IR; what is kept is the object file that LLVM makes of that.  Reading it back takes
milliseconds and, where linker.py can do it, neither Numba nor LLVM, which are 80 MB and a quarter of a second.

Kernels come in groups, which are compiled together: who needs one of a group will soon need the rest of it.
"""

import ctypes
import inspect
import sys
import time
from functools import cache
from pathlib import Path

from ...errors import InputError
from ...files import replacing
from . import linker
from .amx import AMX
from .cache import check_seal, checksum, discard, seal, writable
from .host import versions
from .target import CPU, FEATURES, TRIPLE

KERNELS = []


class Kernel:
    """A function that is compiled when it is first called."""

    def __init__(self, function, group):
        self.function, self.name, self.group, self._compiled = function, function.__name__, group, None
        parameters = inspect.signature(function).parameters.values()
        self._kinds = ["float32" if p.annotation is float else "intp" for p in parameters]
        KERNELS.append(self)

    def ready(self):
        """The compiled function."""
        return self._compiled or self.compile()

    def compile(self):
        """Compile, or read what was compiled before.  A cache that cannot be read is removed and built again."""
        folder = cache_folder()
        if self.is_kept(folder):
            try:
                self._compiled = self._callable((folder / f"{self.name}.o").read_bytes())
                return self._compiled
            except (OSError, RuntimeError) as error:
                discard(folder, error)
        _compile_missing(folder, self.group)
        return self._compiled

    def is_kept(self, folder):
        return folder is not None and (folder / f"{self.name}.o").exists()

    def build(self, folder):
        """Compile, and keep the object file."""
        try:
            from .compiler import object_file
        except ImportError as error:
            raise InputError(f"tier 'cpu' needs Numba ({error}): pip install numba, or use tier 'ref'") from error
        code = object_file(self.function, self._kinds, self.name)
        if folder is not None:
            with replacing(folder / f"{self.name}.o") as temporary:
                temporary.write_bytes(code)
        self._compiled = self._callable(code)

    def _callable(self, code):
        address, keep = load(code, self.name)
        if not address:
            raise RuntimeError(f"there is no {self.name} in it")
        kinds = [ctypes.c_float if kind == "float32" else ctypes.c_ssize_t for kind in self._kinds]
        pointer, nothing = ctypes.POINTER(ctypes.c_void_p), (ctypes.c_void_p(), ctypes.c_void_p())
        call = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, *kinds)(address)  # lets other Python threads run

        def run(*arguments, keep=keep):  # the machine code lives as long as what holds it
            # Numba's convention: where to put the result (none) and an exception; kernels raise flags (stages.py)
            if call(*nothing, *arguments):
                raise RuntimeError(f"kernel {self.name} failed")

        return run


def kernel_of(group):
    """Decorator for the kernels of one of the groups "vit", "hybrid", "mixer" and "learning"."""
    return lambda function: Kernel(function, group)


kernel, learning_kernel = kernel_of("vit"), kernel_of("learning")


def load(code, name):
    """An object file -> the address of its function of that name, and what keeps the code alive."""
    if linker.HERE:
        try:
            return linker.load(code, name)
        except linker.Unknown:
            pass  # LLVM knows more, and takes longer
    from . import mcjit

    return mcjit.load(code, name)


@cache
def cache_folder():
    """Where compiled kernels are kept: one folder per version of the sources, of Numba and of the CPU; None if nowhere.

    The first of NUMBA_CACHE_DIR, the user's cache folder and the system's temporary folder that can be written.
    """
    folder = writable(f"kernels-{_key()}")
    if folder is not None:
        check_seal(folder)
    return folder


def _key():
    """All that the machine code depends on: the sources of every kernel, the versions of the compilers, the CPU."""
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    # no kernel of this tier comes from the others' files
    texts = [source.read_bytes() for source in sources if not source.name.startswith(("ref", "gpu"))]
    return checksum(*versions(), sys.version, TRIPLE, CPU, str(AMX), *sorted(FEATURES), *texts)[:16]


def _compile_missing(folder, group):
    """Compile every kernel of a group that is not kept, with one line on stderr."""
    missing = [one for one in KERNELS if one.group == group and not one.is_kept(folder)]
    where = f"kept in {folder}" if folder else "not kept: no folder can be written"
    start = time.perf_counter()
    for i, one in enumerate(missing, 1):
        progress = f"minivit: compiling kernels for {CPU}, once ({where}): {i} of {len(missing)} …"
        print(f"\r{progress}" if sys.stderr.isatty() or i == 1 else f" {i} …", end="", file=sys.stderr, flush=True)
        one.build(folder)
    print(f" {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    if folder is not None:
        seal(folder)


def warmup():
    """Have every kernel compiled, or read from the cache."""
    for one in KERNELS:
        one.ready()
