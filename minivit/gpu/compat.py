"""The one place that knows about numba-cuda: how it is imported, what its versions lack, what stands in for it.
(Beside it, linking.py knows how to compile without a GPU.)

Kernels import `cuda`, `math`, `float32`, `uint16` and `uint32` from here.  With NUMBA_ENABLE_CUDASIM=1 in the
environment these are the simulator's (sim.py), and neither Numba nor a GPU is needed; otherwise they are numba-cuda's.
"""

import weakref
from contextlib import contextmanager
from importlib import metadata
from inspect import signature

import numpy as np

from ..errors import InputError
from .mode import SIMULATED

MOST_BLOCKS = 65535  # along the second and third axis of a grid

if SIMULATED:
    from . import sim
    from .sim_cuda import cuda, math

    float32, uint16, uint32 = np.float32, np.uint16, np.uint32
else:
    import math

    if not hasattr(np, "row_stack"):  # numba-cuda 0.30 asks for it while compiling; NumPy 2.5 took it away
        np.row_stack = np.vstack
    try:
        metadata.version("numba-cuda")
        from numba import cuda, float32, uint16, uint32
    except metadata.PackageNotFoundError as error:
        raise InputError(
            "tier 'gpu' needs numba-cuda: pip install 'minivit[cuda]' (driver 580 or newer) or 'minivit[cuda12]' (525)"
        ) from error
    except ImportError as error:  # such as: Numba needs NumPy 2.4 or less
        raise InputError(f"tier 'gpu': Numba cannot be imported ({str(error).strip().splitlines()[0]})") from error

__all__ = ["SIMULATED", "cuda", "device", "float32", "math", "uint16", "uint32"]


def device(function=None, *, fast=False):
    """Mark a function that kernels call: `@device` or `@device(fast=True)`.  It is always inlined.

    fast: approximate tanh, exp and division, and no special care for infinities; too rough for float32 models.
    """
    if function is None:
        return lambda function: device(function, fast=fast)
    if SIMULATED:
        return function
    return cuda.jit(function, fastmath=fast, **_known(device=True, forceinline=True))


def _known(**options):
    # older versions of numba-cuda lack some, and kernels are right without them
    return {name: value for name, value in options.items() if name in signature(cuda.jit).parameters}


def compiled(kernel):
    """A launch.Kernel for this machine's GPU."""
    return cuda.jit(f"void({kernel.signature})", fastmath=kernel.fast, **_known(launch_bounds=kernel.threads_in_all))(
        kernel.function
    )


_stream = 0  # the default stream, or the builder of a graph that records launches
_pool = None  # the Pool that memory comes from, if any


def launch(kernel, grid, arguments):
    """Run a launch.Kernel."""
    if not isinstance(grid, int) and max(grid[1:]) > MOST_BLOCKS:
        raise InputError(
            f"{kernel.name}: {max(grid[1:])} blocks along an axis, at most {MOST_BLOCKS}; use fewer images"
        )
    arguments = [value if kind is None else kind(value) for kind, value in zip(kernel.numbers, arguments, strict=True)]
    if SIMULATED:
        sim.run(kernel.function, grid, kernel.threads, kernel.signature, arguments)
    else:
        kernel.compiled[grid, kernel.threads, _stream](*arguments)


class Pool:
    """Device memory that is used again: asking the driver for it takes longer than a small kernel.

    `with pool:` arrays come from here; when one is not needed any more, the next of its size gets its memory.
    """

    def __init__(self):
        self.free = {}

    def __enter__(self):
        global _pool
        self.before, _pool = _pool, self

    def __exit__(self, *error):
        global _pool
        _pool = self.before

    def take(self, count, dtype):
        size = count * np.dtype(dtype).itemsize
        waiting = self.free.setdefault(size, [])
        memory = waiting.pop() if waiting else cuda.device_array(size, np.uint8)
        array = memory.view(dtype)
        weakref.finalize(array, waiting.append, memory)  # launches are in order, so it may be reused at once
        return array


def empty(count, dtype):
    """A flat device array of `count` numbers; in the simulator full of NaN."""
    if SIMULATED:
        return sim.poisoned(count, dtype)
    return _pool.take(count, dtype) if _pool else cuda.device_array(count, dtype)


def upload(array):
    """A flat device array with the numbers of another one."""
    array = np.ascontiguousarray(array).reshape(-1)
    return array.copy() if SIMULATED else cuda.to_device(array)


def copy_to(target, array):
    """Fill a flat device array with the numbers of another flat one, on the host or on the device."""
    target.copy_to_device(array)


def download(array):
    """The numbers of a flat device array, on the host."""
    return array.copy() if SIMULATED else array.copy_to_host()


class NoGraph(Exception):
    """Launches cannot be recorded here, and why: versions of numba-cuda and cuda-core that do not know graphs."""


def record(run):
    """(launch, result): what `run` launches, as one graph that `launch()` replays, and what `run` gave."""
    try:
        from cuda.core import Device

        device = Device()
        device.set_current()
        builder = device.create_graph_builder().begin_building()
        with _launching_on(builder):
            result = run()
        graph = builder.end_building().complete()
    except InputError:
        raise
    except Exception as error:  # of several libraries; `run` itself has run before
        raise NoGraph(f"{type(error).__name__}: {error}".splitlines()[0]) from error
    return lambda: graph.launch(device.default_stream), result


@contextmanager
def _launching_on(stream):
    global _stream
    before, _stream = _stream, stream
    try:
        yield
    finally:
        _stream = before


def synchronise():
    """Wait until everything that was launched is done."""
    if not SIMULATED:
        cuda.synchronize()


def multiprocessors():
    """How many blocks can run side by side; in the simulator as many as on an H100."""
    return 132 if SIMULATED else cuda.get_current_device().MULTIPROCESSOR_COUNT


def free_memory():
    """Bytes of device memory that are free; in the simulator as many as on an H100."""
    return 80 << 30 if SIMULATED else cuda.current_context().get_memory_info().free


def refuse_what_cannot_run(dtype):
    """InputError, one line, if this machine cannot run tier "gpu" in that dtype."""
    if not SIMULATED:
        from .machine import facts, problem

        found = problem(facts(), dtype)
        if found:
            raise InputError(f"tier 'gpu': {found}")
