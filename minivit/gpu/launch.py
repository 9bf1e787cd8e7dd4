"""From a Python function to a kernel that runs: on a GPU through numba-cuda, in the simulator as it is."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import compat


@dataclass(frozen=True)
class Kernel:
    """A kernel and what its compilation needs.  `kernel.launch(grid, *arguments)` runs it."""

    function: object
    signature: str  # the types of its arguments, "float32[::1], uint32"
    threads: object  # per block: a number or (x, y)
    fast: bool = False  # approximate functions allowed: for halves

    @property
    def name(self):
        return self.function.__name__

    @property
    def threads_in_all(self):
        return self.threads if isinstance(self.threads, int) else self.threads[0] * self.threads[1]

    def launch(self, grid, *arguments):
        """Run `grid` blocks, a number or (x, y[, z]).  Arguments: flat device arrays, and numbers."""
        compat.launch(self, grid, arguments)

    @cached_property
    def numbers(self):
        """What makes each argument the number that the signature says; None for arrays."""
        kinds = [kind.strip() for kind in self.signature.split(",")]
        return [None if kind.endswith("]") else np.dtype(kind).type for kind in kinds]

    @cached_property
    def compiled(self):
        return compat.compiled(self)


def kernel(signature, threads, fast=False):
    """Make a Kernel of the function below: `@kernel("float32[::1], uint32", threads=256)`."""
    return lambda function: Kernel(function, signature, threads, fast)


@dataclass(frozen=True)
class Checked:
    """An entry of KERNELS in an op's gpu.py: a kernel whose machine code is inspected (machine_code.py).

    shows: opcodes that must occur, such as "HMMA"; last: the last rung of its ladder, which must not spill registers.
    """

    name: str
    kernel: Kernel
    shows: tuple = ()
    last: bool = False
