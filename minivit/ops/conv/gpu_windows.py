"""The windows of a convolution on the GPU: where their numbers lie, and how a product's kernels fetch them.

A convolution is a matrix product whose left side, a row per window (im2col), is never made: the reader of the product
finds number i of window `row` in the map.  The size of the map is part of the kernel, so the divisions that find it are
by constants.
"""

from dataclasses import dataclass
from functools import cache

from ...gpu.compat import device, float32, uint32
from ...gpu.intrinsics import copy_async, load4, shared_address
from .ref import padding


@dataclass(frozen=True)
class Windows:
    """The side×side windows, `stride` apart, of a map (B,h,w,c) with SAME padding."""

    height: int
    width: int
    channels: int
    side: int
    stride: int

    @property
    def down(self):
        return -(-self.height // self.stride)

    @property
    def across(self):
        return -(-self.width // self.stride)

    @property
    def inputs(self):
        """Numbers of a window."""
        return self.side**2 * self.channels


@cache
def finding(windows):
    """The device function (row, cell) -> whether that cell of window `row` is inside the map, and which pixel it is.

    rows count the windows of all images, cells those of a window, pixels those of all maps.
    """
    h, w, stride, side = (uint32(n) for n in (windows.height, windows.width, windows.stride, windows.side))
    area, across = uint32(windows.down * windows.across), uint32(windows.across)
    top, left = (uint32(padding(length, windows.side, windows.stride)[0]) for length in (windows.height, windows.width))

    @device
    def find(row, cell):
        image, place = uint32(row // area), uint32(row % area)
        line = uint32(place // across * stride + cell // side - top)  # above the first it wraps, to more than h
        column = uint32(place % across * stride + cell % side - left)
        return uint32(line < h) * uint32(column < w), uint32((image * h + line) * w + column)

    @device
    def itself(row, cell):
        return uint32(1), uint32(row)

    return itself if windows.side == windows.stride == 1 else find


@cache
def reading(windows):
    """`load_x` of linear v3: four numbers of a window, zeros outside of the map and of the matrix."""
    find, c = finding(windows), uint32(windows.channels)

    @device
    def one(x, row, i, rows, columns):
        if row < rows and i < columns:
            inside, pixel = find(row, uint32(i // c))
            if inside:
                return x[uint32(pixel * c + i % c)]
        return float32(0)

    @device
    def together(x, row, i, rows, columns):
        if row < rows and i < columns:
            inside, pixel = find(row, uint32(i // c))
            if inside:
                return load4(x, uint32(pixel * c + i % c))
        return float32(0), float32(0), float32(0), float32(0)

    @device
    def one_by_one(x, row, i, rows, columns):
        return (
            one(x, row, i, rows, columns), one(x, row, uint32(i + uint32(1)), rows, columns),
            one(x, row, uint32(i + uint32(2)), rows, columns), one(x, row, uint32(i + uint32(3)), rows, columns),
        )  # fmt: skip

    return one_by_one if windows.channels % 4 else together


@cache
def copying(windows):
    """`copy_x` of linear v4 from a map in two halves (gpu_halves.py): eight of a window on their way to shared memory.

    The columns of a window: cell by cell, its rounded numbers and what rounding left, both to be multiplied by the
    rounded weights; then, once more, the rounded numbers of every cell, for what rounding left of the weights.
    `windows.channels` is a multiple of eight, so eight neighbours are of one cell.
    """
    find, c, cells = finding(windows), uint32(windows.channels), uint32(windows.side**2)

    @device
    def copy(x, xs, place, row, i, rows, columns):
        both = uint32(cells * uint32(2) * c)
        once = uint32(i - both)
        cell = uint32(i // uint32(uint32(2) * c) if i < both else once // c)
        number = uint32(i % uint32(uint32(2) * c) if i < both else once % c)
        inside, pixel = find(row, cell)
        inside = uint32(inside * uint32(row < rows) * uint32(i < columns))
        copy_async(shared_address(xs, place), x, uint32(pixel * uint32(2) * c + number), inside * uint32(16))

    return copy
