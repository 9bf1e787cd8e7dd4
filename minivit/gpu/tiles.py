"""What the kernels of matrix products share: the epilogue, loads that stop at the border, the choice of a tile size."""

from dataclasses import dataclass
from functools import cache

from ..errors import InputError
from . import compat
from .compat import cuda, device, float32, uint32
from .formats import FLOAT32
from .intrinsics import load4


def signature(format, output, source=None):
    """The types of a product's arguments: x (in `source` format, if another), w, b, residual -> y; M, N, K."""
    arrays = (source or format, format, FLOAT32, FLOAT32, output)
    return ", ".join([*(array.signature for array in arrays), "uint32", "uint32", "uint32"])


def grid(rows, columns, height, width, *_):
    """Blocks for a matrix in tiles; neighbouring blocks share rows, which then stay in the cache."""
    return -(-columns // width), -(-rows // height)


def each(count, threads):
    """How many of `count` accesses each thread of a block makes.  Raises InputError if they do not come out even."""
    if count % threads:
        raise InputError(f"{threads} threads cannot share {count} accesses evenly; choose another tile")
    return count // threads


@dataclass(frozen=True)
class Epilogue:
    """What happens to a sum before it is written, for nothing: it is in a register already."""

    bias: bool = True  # + b
    gelu: str | None = None  # then GELU, "tanh" or "erf"
    residual: bool = False  # then + what the stream held before


@cache
def finish(epilogue, fast):
    """The device function (sum, b, residual, index of the output, column) -> the number to write."""
    from ..ops.gelu.gpu import activation

    has_bias, has_residual, gate = epilogue.bias, epilogue.residual, activation(epilogue.gelu, fast)

    @device(fast=fast)
    def finish(total, b, residual, at, column):
        if has_bias:
            total += b[column]
        total = gate(total)
        if has_residual:
            total += residual[at]
        return total

    return finish


@cache
def load_four(aligned):
    """Four float32 of a row, zeros where they lie outside of the matrix.

    aligned: rows have a multiple of four numbers, so four are inside or outside together, and come in one access.
    """

    @device
    def together(x, row, column, rows, columns):
        if row < rows and column < columns:
            return load4(x, row * columns + column)
        return float32(0), float32(0), float32(0), float32(0)

    @device
    def one_by_one(x, row, column, rows, columns):
        a, b, c, d = float32(0), float32(0), float32(0), float32(0)
        at = row * columns + column
        if row < rows:
            if column < columns:
                a = x[at]
            if column + 1 < columns:
                b = x[at + 1]
            if column + 2 < columns:
                c = x[at + 2]
            if column + 3 < columns:
                d = x[at + 3]
        return a, b, c, d

    return together if aligned else one_by_one


@cache
def share(depth, in_parts):
    """The device function (M, N, K) -> the first inner term of a block, where it stops, and where its result starts.

    in_parts: the third axis of the grid shares the terms out, in steps of `depth`; the results (parts,M,N) are to be
    added up.  Otherwise a block has them all.
    """

    @device
    def all_of_them(M, N, K):
        return uint32(0), K, uint32(0)

    @device
    def part(M, N, K):
        number, parts = uint32(cuda.blockIdx.z), uint32(cuda.gridDim.z)
        steps = uint32((K + uint32(depth - 1)) // uint32(depth))
        terms = uint32((steps + parts - uint32(1)) // parts * uint32(depth))
        start = uint32(number * terms)  # maybe past the end: then there is nothing to do
        return start, min(K, uint32(start + terms)), uint32(number * M * N)

    return part if in_parts else all_of_them


def choose(tiles, rows, columns):
    """The largest tile (height, width, …) that gives every multiprocessor a block, else the smallest."""
    for tile in tiles:
        if -(-rows // tile[0]) * -(-columns // tile[1]) >= compat.multiprocessors():
            return tile
    return tiles[-1]
