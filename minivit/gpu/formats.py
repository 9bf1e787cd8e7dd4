"""The number formats of tier "gpu", as kernels read and write them: in memory as named, in registers float32.

A kernel is made for one format.  It binds what it needs to names of its own, because that is all Numba can see:

    load, store = format.load, format.store
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import halves
from . import intrinsics as i
from .compat import device, float32, uint16


@dataclass(frozen=True)
class Format:
    name: str
    bytes: int
    number: Any  # the element type of shared arrays
    signature: str  # the type of a flat array, in the signature of a kernel
    memory: Any  # the NumPy dtype of such an array
    load: Any  # (array, i) -> float32
    store: Any  # (array, i, float32)
    load4: Any  # (array, i) -> four float32 at once; i a multiple of 4
    store4: Any  # (array, i, a, b, c, d)
    store2: Any  # (array, i, a, b): two at once, i even
    pack: Any = None  # halves only: (low, high) -> word
    unpack: Any = None  # word -> (low, high)
    mma: Any = None  # the tensor-core product of this format
    encode: Any = halves.same  # on the host: float32 array -> array of `memory`, …
    decode: Any = halves.same  # …and back

    def __repr__(self):
        return self.name

    @property
    def fast(self):
        """Whether approximate functions (tanh, exp, division) are good enough."""
        return self.bytes == 2


@device
def _load(array, at):
    return array[at]


@device
def _store(array, at, value):
    array[at] = value


def _half(name):
    widen, narrow, pack, unpack, mma = (
        getattr(i, f"{what}_{name}") for what in ("widen", "narrow", "pack", "unpack", "mma")
    )
    encode, decode = getattr(halves, f"narrow_{name}"), getattr(halves, f"widen_{name}")
    load2_words, store2_words, store_word = i.load2_words, i.store2_words, i.store_word

    @device
    def load(array, at):
        return widen(array[at])

    @device
    def store(array, at, value):
        array[at] = narrow(value)

    @device
    def load4(array, at):
        low, high = load2_words(array, at)
        a, b = unpack(low)
        c, d = unpack(high)
        return a, b, c, d

    @device
    def store4(array, at, a, b, c, d):
        store2_words(array, at, pack(a, b), pack(c, d))

    @device
    def store2(array, at, a, b):
        store_word(array, at, pack(a, b))

    return Format(
        name, 2, uint16, "uint16[::1]", np.uint16, load, store, load4, store4, store2, pack, unpack, mma, encode, decode
    )


#: float32 as float32; the others as uint16, because no kernel ever calculates in them
FLOAT32 = Format("float32", 4, float32, "float32[::1]", np.float32, _load, _store, i.load4, i.store4, i.store2)
FLOAT16, BFLOAT16 = _half("float16"), _half("bfloat16")
FORMATS = {format.name: format for format in (FLOAT32, FLOAT16, BFLOAT16)}
