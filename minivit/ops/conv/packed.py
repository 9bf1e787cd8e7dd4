"""Weights of a convolution as the CPU's kernels want them: standardised and packed, once."""

import numpy as np

from ..linear import packed
from ..linear.packed import PackedMatrix
from . import ref


class StandardisedLater:
    """Weights (k,k,c,O) as they are stored.  What a convolution sees of them is made when it is first asked for, and
    kept.

    It stays in float32 in models of every dtype: GroupNorm, layer after layer, stretches what rounding has shifted.  In
    bfloat16, the features of a seeded R50+B/16 are off by a quarter, in float32 by 1e-4; and only 8 of its 99 million
    parameters are here.
    """

    def __init__(self, w):
        self.raw, self.shape = np.array(w, np.float32), w.shape
        self._settings = self._ready = None

    def unpacked(self):
        """The weights that are learned, (k,k,c,O)."""
        return self.raw

    def standardised(self, eps, eps_on):
        """A PackedMatrix."""
        if self._settings != (eps, eps_on):
            self._ready, self._settings = PackedMatrix(ref.standardise(self.raw, eps, eps_on)), (eps, eps_on)
        return self._ready


def store(name, value, dtype):
    """One parameter of a model as kernels read it: weights of convolutions apart, all others as packed.store does."""
    if name.startswith("stem.") and name.endswith(".w"):
        return StandardisedLater(value)
    return packed.store(name, value, dtype)
