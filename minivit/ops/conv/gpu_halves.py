"""Numbers in two halves, x = rounded + rest, both float16 or bfloat16: tensor cores multiply them almost exactly.

GroupNorm, layer after layer, stretches what rounding has shifted: with maps and weights simply in bfloat16, the
features of an R50 are off by a third of their size, in float16 by a twentieth.  Two halves have 22 bits (bfloat16: 16),
and the features are off by 1e-5 (6e-4).  That costs three products instead of one:

    x · w = x₁w₁ + x₂w₁ + x₁w₂        x₂w₂ is smaller than what rounding the rest has lost

A map (B,h,w,c) becomes (B,h,w,2,c), channels filled up with zeros to a multiple of eight: as many bytes as in float32.
"""

from functools import cache, cached_property

import numpy as np

from ...gpu.arrays import DeviceArray, blocks, dense, empty, on_device
from ...gpu.compat import cuda, device, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.intrinsics import store2_words
from ...gpu.launch import Checked, kernel
from ...gpu.tiles import load_four
from . import ref

THREADS = 256


def filled_up(channels):
    """Channels of a map in two halves."""
    return -(-channels // 8) * 8


@cache
def putting(format, aligned):
    """The device function (y, row, column, width, four numbers): four channels of a pixel of a map, written.

    format FLOAT32: y (rows,width); another one: in two halves, y (rows,2,width).  aligned: width is a multiple of four.
    """
    store, store4, pack, unpack = format.store, format.store4, format.pack, format.unpack

    @device
    def four(y, row, column, width, a, b, c, d):
        store4(y, uint32(row * width + column), a, b, c, d)

    @device
    def one_by_one(y, row, column, width, a, b, c, d):
        at = uint32(row * width + column)
        store(y, at, a)
        if column + uint32(1) < width:
            store(y, at + uint32(1), b)
        if column + uint32(2) < width:
            store(y, at + uint32(2), c)
        if column + uint32(3) < width:
            store(y, at + uint32(3), d)

    @device
    def in_two(y, row, column, width, a, b, c, d):
        at, ab, cd = uint32(row * uint32(2) * width + column), pack(a, b), pack(c, d)
        store2_words(y, at, ab, cd)
        a1, b1 = unpack(ab)
        c1, d1 = unpack(cd)
        store2_words(y, uint32(at + width), pack(a - a1, b - b1), pack(c - c1, d - d1))

    if format is not FLOAT32:
        return in_two
    return four if aligned else one_by_one


@cache
def taking(format, aligned):
    """The device function (x, row, column, rows, width) -> four channels of a map that `putting` wrote."""
    load4 = format.load4

    @device
    def from_two(x, row, column, rows, width):
        at = uint32(row * uint32(2) * width + column)
        a, b, c, d = load4(x, at)
        e, f, g, h = load4(x, uint32(at + width))
        return a + e, b + f, c + g, d + h

    return load_four(aligned) if format is FLOAT32 else from_two


@cache
def halving(format, aligned):
    read, write = load_four(aligned), putting(format, True)

    @kernel(f"{FLOAT32.signature}, {format.signature}, {', '.join(['uint32'] * 4)}", THREADS)
    def in_two_halves(x, y, count, rows, channels, width):
        # x (rows,C) -> y (rows,2,width): count groups of four channels
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            row, column = uint32(i // (width // uint32(4))), uint32(i % (width // uint32(4)) * uint32(4))
            a, b, c, d = read(x, row, column, rows, channels)
            write(y, row, column, width, a, b, c, d)

    return in_two_halves


def in_two_halves(x, format):
    # x (B,h,w,c) -> (B,h,w,2,c filled up), of that format; itself if it has that form already
    if x.ndim == 5:
        return x
    x, width = dense(x, FLOAT32), filled_up(x.shape[-1])
    y, rows = empty((*x.shape[:3], 2, width), format), x.size // x.shape[-1]
    count = rows * width // 4
    halving(format, x.shape[-1] % 4 == 0).launch(
        blocks(count, THREADS), x.flat, y.flat, count, rows, x.shape[-1], width
    )
    return y


class Weights:
    """Weights (k,k,c,O) of a convolution as its kernels want them, made and uploaded when they are first asked for.

    They stay on the host in float32, whatever `format` they are multiplied in: see above.
    """

    def __init__(self, w, format):
        self.raw, self.shape, self.format = np.array(w, np.float32), w.shape, format
        self._settings = self._standardised = None

    def __array__(self, dtype=None, copy=None):
        return np.array(self.raw, dtype)

    def standardised(self, eps, eps_on):
        """What a convolution sees of them."""
        if self._settings != (eps, eps_on):
            exact = ref.standardise(self.raw.astype(np.float64), eps, eps_on)
            self._standardised, self._settings = Weights(exact, self.format), (eps, eps_on)
        return self._standardised

    @cached_property
    def plain(self):
        """(k·k·c,O) in `format`, each number once."""
        return on_device(self.raw.reshape(-1, self.shape[-1]), self.format)

    @cached_property
    def in_two(self):
        """(3·k·k·c,O): a row for each column of a window (gpu_windows.copying), c filled up."""
        k, _, c, outputs = self.shape
        w = np.zeros((k * k, filled_up(c), outputs), np.float32)
        w[:, :c] = self.raw.reshape(k * k, c, outputs)
        rounded = self.format.decode(self.format.encode(w))
        both = np.concatenate([rounded, rounded], axis=1)
        return on_device(np.concatenate([both.reshape(-1, outputs), (w - rounded).reshape(-1, outputs)]), self.format)


def weights(w, format=None):
    """w itself, or as Weights: a NumPy array, or an array on the device; format None: its own, or float32."""
    if isinstance(w, Weights):
        return w
    return Weights(np.asarray(w), format or (w.format if isinstance(w, DeviceArray) else FLOAT32))


KERNELS = [
    Checked("conv, a map in two halves", halving(BFLOAT16, True), ("LDG.E.128", "STG.E.64"), last=True),
    Checked("conv, a map of three channels in two halves", halving(BFLOAT16, False), ("STG.E.64",), last=True),
]
