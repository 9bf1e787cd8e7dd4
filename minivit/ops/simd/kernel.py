"""Kernels: compiled once per machine, kept on disk, checked when they are read back.

    @kernel
    def scale(work, x, n, factor: float): …      # every argument is an integer or an address, unless it says `float`

The first call compiles (seconds, with a line on stderr) or reads the compiled code; `warmup` does that for all kernels.
Numba makes the kernel's LLVM IR; what is kept is the object file that LLVM makes of that.  Reading it back takes
milliseconds, and neither Numba's compiler nor its 60 MB.

Kernels come in groups, which are compiled together: who needs one of a group will soon need the rest of it.
"""

import ctypes
import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from functools import cache
from pathlib import Path

import llvmlite
import numba
from llvmlite import binding as llvm
from numba import float32, intp, njit, void

from ...files import replacing
from .amx import AMX
from .target import CPU, FEATURES, TRIPLE, machine

KERNELS = []
SEAL = "seal.json"


class Kernel:
    """A function that is compiled when it is first called."""

    def __init__(self, function, group):
        self.function, self.name, self.group, self._compiled = function, function.__name__, group, None
        parameters = inspect.signature(function).parameters.values()
        self._kinds = [float32 if p.annotation is float else intp for p in parameters]
        KERNELS.append(self)

    def ready(self):
        """The compiled function."""
        return self._compiled or self.compile()

    def compile(self):
        """Compile, or read what was compiled before.  A cache that cannot be read is removed and built again."""
        folder = cache_folder()
        if self.is_kept(folder):
            try:
                self._compiled = self._load((folder / f"{self.name}.o").read_bytes())
                return self._compiled
            except (OSError, RuntimeError) as error:
                _discard(folder, error)
        _compile_missing(folder, self.group)
        return self._compiled

    def is_kept(self, folder):
        return folder is not None and (folder / f"{self.name}.o").exists()

    def build(self, folder):
        """Compile, and keep the object file."""
        code = self._object()
        if folder is not None:
            with replacing(folder / f"{self.name}.o") as temporary:
                temporary.write_bytes(code)
        self._compiled = self._load(code)

    def _object(self):
        # Numba's own wrappers, for calls from Python, are left out: their symbols are those of Numba's library
        options = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        dispatcher = njit(void(*self._kinds), **options)(self.function)
        ((signature, compiled),) = dispatcher.overloads.items()
        module = llvm.parse_assembly(dispatcher.inspect_llvm(signature))
        module.get_function(compiled.fndesc.llvm_func_name).name = self.name
        return machine().emit_object(module)

    def _load(self, code):
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine())
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        address = engine.get_function_address(self.name)
        if not address:
            raise RuntimeError(f"there is no {self.name} in it")
        kinds = [ctypes.c_float if kind is float32 else ctypes.c_ssize_t for kind in self._kinds]
        pointer, nothing = ctypes.POINTER(ctypes.c_void_p), (ctypes.c_void_p(), ctypes.c_void_p())
        call = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, *kinds)(address)  # lets other Python threads run

        def run(*arguments, engine=engine):  # the machine code lives as long as its engine
            # Numba's convention: where to put the result (none) and an exception; kernels raise flags instead (team.py)
            if call(*nothing, *arguments):
                raise RuntimeError(f"kernel {self.name} failed")

        return run


def kernel_of(group):
    """Decorator for the kernels of one of the groups "vit", "hybrid", "mixer" and "learning"."""
    return lambda function: Kernel(function, group)


kernel, learning_kernel = kernel_of("vit"), kernel_of("learning")


@cache
def cache_folder():
    """Where compiled kernels are kept: one folder per version of the sources, of Numba and of the CPU; None if nowhere.

    The first of NUMBA_CACHE_DIR, the user's cache folder and the system's temporary folder that can be written.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    given = os.environ.get("NUMBA_CACHE_DIR")
    places = [given] if given else []
    for place in (*places, Path(home) / "minivit", Path(tempfile.gettempdir()) / f"minivit-{user}"):
        folder = Path(place) / f"kernels-{_key()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        _check_seal(folder)
        return folder
    return None


def _key():
    """All that the machine code depends on: the sources of every kernel, the versions of the compilers, the CPU."""
    digest = hashlib.sha256()
    for part in (numba.__version__, llvmlite.__version__, sys.version, TRIPLE, CPU, str(AMX), *sorted(FEATURES)):
        digest.update(part.encode() + b"\0")
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        if not source.name.startswith(("ref", "gpu")):  # no kernel of this tier comes from those
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _check_seal(folder):
    """Machine code that was changed on disk must not run: compare every file with the checksums of the seal."""
    seal = folder / SEAL
    try:
        expected = json.loads(seal.read_bytes()) if seal.exists() else {}
        for name, digest in expected.items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise ValueError(f"{name} has changed")
    except (OSError, ValueError, AttributeError) as error:
        _discard(folder, error)


def _seal(folder):
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.o")}
    with replacing(folder / SEAL) as temporary:
        temporary.write_text(json.dumps(digests))


def _discard(folder, error):
    warnings.warn(f"the kernel cache {folder} is damaged ({error}); the kernels are compiled again", stacklevel=2)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


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
        _seal(folder)


def warmup():
    """Have every kernel compiled, or read from the cache."""
    for one in KERNELS:
        one.ready()
