"""Arrays that count how often a kernel reads them, for lesson 11 and assignment A8."""

from contextlib import contextmanager

import numpy as np


class Counted(np.ndarray):
    """An array with `numbers_read`: every number that is taken out of it counts, each time."""

    numbers_read = 0

    def __getitem__(self, place):
        found = np.asarray(self)[place]
        self.numbers_read += np.size(found)
        return found

    def __setitem__(self, place, value):
        np.asarray(self)[place] = value


def counted(array):
    """The same numbers in the same memory, counting from 0."""
    return array.view(Counted)


@contextmanager
def counting_shared():
    """Inside, the shared arrays of simulated kernels count: gives the list that they are put into, block by block."""
    from ..gpu import sim_cuda

    made, real = [], sim_cuda.poisoned

    def poisoned(shape, dtype):
        made.append(counted(real(shape, dtype)))
        return made[-1]

    sim_cuda.poisoned = poisoned  # the name by which `cuda.shared.array` makes its arrays
    try:
        yield made
    finally:
        sim_cuda.poisoned = real
