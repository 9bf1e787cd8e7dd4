"""Arrays on the device, with the few operations that the models use: +, /, reshape, transpose, indexing, rows.

Shapes and views live on the host and cost nothing, numbers stay on the device: models/vit.py runs on these arrays as it
is written.  `np.asarray(x)` brings the numbers back, as float32.
"""

import math

import numpy as np

from ..errors import InputError
from . import compat
from .elementwise import AXES, add, gather, look_up, scale
from .formats import FLOAT32

LARGEST = 2**32 - 1  # kernels count elements in 32 bits
ALIGNED = 8  # elements: 128-bit accesses start at a multiple of that


class DeviceArray:
    """A view of a flat device array: element (i, j, …) is data[offset + i·strides[0] + j·strides[1] + …]."""

    __array_ufunc__ = None  # NumPy array + this: asks __radd__, instead of taking this apart
    dtype = np.dtype(np.float32)  # what NumPy sees; `format` says what lies in memory
    output = None  # of a parameter: the format of what its op computes; None: like the op's input (parameters.py)

    def __init__(self, data, format, shape, strides=None, offset=0):
        self.data, self.format, self.offset = data, format, offset
        self.shape = tuple(int(length) for length in shape)
        self.strides = row_by_row(self.shape) if strides is None else tuple(strides)

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    nbytes = property(lambda self: self.size * self.format.bytes)

    def __repr__(self):
        return f"<{self.format} array {self.shape} on the device>"

    def __len__(self):
        return self.shape[0]

    @property
    def contiguous(self):
        """Whether the elements lie row by row without gaps (axes of length 1 do not matter)."""
        pairs = zip(self.shape, self.strides, row_by_row(self.shape), strict=True)
        return all(length == 1 or stride == dense for length, stride, dense in pairs)

    @property
    def flat(self):
        """The flat device array that a kernel takes, starting at the first element; for contiguous arrays."""
        whole = self.offset == 0 and self.size == self.data.size
        return self.data if whole else self.data[self.offset : self.offset + self.size]

    def __array__(self, dtype=None, copy=None):
        # the whole buffer comes back; the view is taken on the host
        numbers = self.format.decode(compat.download(self.data))[self.offset :]
        strides = [stride * numbers.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(numbers, self.shape, strides)
        return np.array(view, dtype or np.float32)

    def reshape(self, *shape):
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        if -1 in shape:
            rest = math.prod(length for length in shape if length != -1)
            shape = tuple(self.size // rest if length == -1 else length for length in shape)
        if math.prod(shape) != self.size:
            raise InputError(f"cannot reshape {self.shape} to {tuple(shape)}")
        x = dense(self)
        return DeviceArray(x.data, x.format, shape, offset=x.offset)

    def transpose(self, *axes):
        shape, strides = [self.shape[a] for a in axes], [self.strides[a] for a in axes]
        return DeviceArray(self.data, self.format, shape, strides, self.offset)

    def swapaxes(self, a, b):
        axes = list(range(self.ndim))
        axes[a], axes[b] = axes[b], axes[a]
        return self.transpose(*axes)

    def __getitem__(self, index):
        """Integers and slices of step 1, as NumPy; or an array of integers, for rows."""
        if isinstance(index, np.ndarray):
            return rows(self, index)
        index = index if isinstance(index, tuple) else (index,)
        offset, shape, strides = self.offset, [], []
        for axis, (length, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            chosen = index[axis] if axis < len(index) else slice(None)
            if isinstance(chosen, slice):
                start, stop, step = chosen.indices(length)
                if step != 1:
                    raise InputError("arrays on the device are sliced with step 1")
                offset, shape, strides = offset + start * stride, [*shape, max(stop - start, 0)], [*strides, stride]
            elif not isinstance(chosen, int):
                raise InputError(f"arrays on the device are indexed by numbers and slices, not by {chosen!r}")
            elif -length <= chosen < length:
                offset += chosen % length * stride
            else:
                raise IndexError(f"index {chosen} of an axis of length {length}")
        return DeviceArray(self.data, self.format, shape, strides, offset)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __add__(self, other):
        # the same shapes, or one that repeats over axes of the other, such as (1,N,D) and (B,N,D)
        x, y = sorted((dense(self), on_device(other)), key=lambda array: array.size, reverse=True)
        trailing = [*y.shape]
        while trailing and trailing[0] == 1:
            trailing.pop(0)
        repeats_whole = tuple(trailing) == x.shape[x.ndim - len(trailing) :]
        y = dense(y if repeats_whole else repeated(y, x.shape))
        out = empty(x.shape, FLOAT32 if FLOAT32 in (x.format, y.format) else x.format)
        add(x.format, y.format, out.format).launch(blocks(x.size), x.flat, y.flat, out.flat, x.size, y.size)
        return out

    __radd__ = __add__

    def __mul__(self, factor):
        x = dense(self)
        out = empty(x.shape, x.format)
        scale(x.format).launch(blocks(x.size), x.flat, out.flat, x.size, float(factor))
        return out

    __rmul__ = __mul__

    def __truediv__(self, divisor):
        # by a number; or by an array that lies on the host, where the result then is too
        return np.asarray(self) / divisor if isinstance(divisor, np.ndarray) else self * (1 / divisor)


def row_by_row(shape):
    strides, step = [], 1
    for length in reversed(shape):
        strides, step = [step, *strides], step * length
    return tuple(strides)


def blocks(count, threads=256):
    """How many blocks of that many threads it takes for one thread per element."""
    return max(1, -(-count // threads))


def empty(shape, format):
    """An array on the device whose numbers are still to be written (NaN in the simulator)."""
    count = math.prod(shape)
    if count > LARGEST:
        raise InputError(f"an array of shape {tuple(shape)} has more than 2³² numbers; use fewer images at a time")
    return DeviceArray(compat.empty(count, format.memory), format, shape)


def on_device(x, format=FLOAT32):
    """x itself if it is on the device, otherwise a copy there, in that format."""
    if isinstance(x, DeviceArray):
        return x
    x = np.asarray(x, np.float32)
    return DeviceArray(compat.upload(format.encode(x)), format, x.shape)


def repeated(x, shape):
    """A view in which x repeats along its axes of length 1, as NumPy's broadcast_to."""
    missing = len(shape) - x.ndim
    lengths, strides = (1,) * missing + x.shape, (0,) * missing + tuple(x.strides)
    if missing < 0 or any(length not in (1, wanted) for length, wanted in zip(lengths, shape, strict=True)):
        raise InputError(f"cannot add an array of shape {x.shape} to one of shape {shape}")
    strides = [0 if length == 1 else stride for length, stride in zip(lengths, strides, strict=True)]
    return DeviceArray(x.data, x.format, shape, strides, x.offset)


def rows(table, numbers):
    # table (V,…), numbers (…) integers on the host -> (…,…): those rows of the table
    table, numbers = dense(table), np.asarray(numbers)
    if numbers.dtype.kind not in "iu" or (numbers.size and not 0 <= numbers.min() <= numbers.max() < len(table)):
        raise IndexError(f"expected the numbers of rows, 0 to {len(table) - 1}")
    out = empty((*numbers.shape, *table.shape[1:]), table.format)
    chosen, width = compat.upload(numbers.astype(np.uint32)), table.size // max(len(table), 1)
    look_up(table.format).launch(blocks(out.size), table.flat, chosen, out.flat, out.size, width)
    return out


def dense(x, format=None):
    """x with its numbers row by row from an aligned address, in that format (None: its own): itself, or a copy."""
    format = format or x.format
    if x.contiguous and x.format == format and x.offset % ALIGNED == 0:
        return x
    if x.ndim > AXES:
        raise InputError(f"arrays on the device have at most {AXES} axes, not {x.ndim}")
    out, missing = empty(x.shape, format), AXES - x.ndim
    gather(x.format, format).launch(
        blocks(x.size), x.data, out.flat, x.size, x.offset, *(1,) * missing, *x.shape, *(0,) * missing, *x.strides
    )
    return out
