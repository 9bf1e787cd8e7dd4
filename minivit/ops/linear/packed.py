"""A weight matrix as the CPU's kernels want it: packed once, when a model is loaded."""

import numpy as np

from ..simd.amx import AMX, SPLIT, SPLIT_HALF
from ..simd.arrays import aligned, round_up
from ..simd.dots import BFLOAT16, FLOAT16, FLOAT32, INT8, KINDS, TERMS
from ..simd.target import WIDE, W
from .panels import tall_of, terms_of

#: rows that are converted at a time: copies of whole matrices would be the peak of the memory that a model needs
ROWS = 64


class PackedMatrix:
    """A matrix (I,O) in panels (O/WIDE, I/terms, WIDE, terms), padded with zeros; `shape` is that of the original.

    `fields` is what kernels read: kind, I, O, the address of the panels, and for int8 that of (scale, sum) per column.
    in_parts: multiply float32 and float16 in tile registers, where the CPU has them.
    """

    def __init__(self, w, dtype="float32", in_parts=True):
        self.shape, self.dtype, kind = w.shape, dtype, KINDS.index(dtype)
        w = np.asarray(w, np.float32).reshape(-1, w.shape[-1])
        self.inputs, self.outputs = w.shape
        self.columns = aligned(0)
        if kind == INT8:
            w, self.columns = quantise(w)
        elif kind == FLOAT16:
            w = w.astype(np.float16)
        elif kind == BFLOAT16:
            w = to_bfloat16(w)
        self.kind = {FLOAT32: SPLIT, FLOAT16: SPLIT_HALF}.get(kind, kind) if AMX and in_parts else kind
        self.panels = pack(w, TERMS[kind], terms_of(self.kind) * W)
        self._locate()

    def _locate(self):
        addresses = self.panels.ctypes.data, self.columns.ctypes.data
        self.fields = np.array([self.kind, self.inputs, self.outputs, *addresses], np.int64)
        self.address = self.fields.ctypes.data

    def __setstate__(self, state):  # copied or unpickled: the numbers lie elsewhere now
        self.__dict__.update(state)
        self._locate()

    def unpacked(self):
        """The matrix (I,O) that the panels stand for, in float32."""
        count, items, terms, wide = self.panels.swapaxes(2, 3).shape
        w = self.panels.swapaxes(2, 3).reshape(count, items * terms, wide).swapaxes(0, 1).reshape(items * terms, -1)
        w = w[: self.inputs, : self.outputs]
        if self.dtype == "bfloat16":
            return (w.astype(np.uint32) << 16).view(np.float32)
        return w * self.columns[: self.outputs] if self.dtype == "int8" else w.astype(np.float32)

    @property
    def nbytes(self):
        return self.panels.nbytes + self.columns.nbytes


class LeftMatrix:
    """The transpose of a matrix (I,O) in panels of rows (O/tall, I/(terms·W), tall, W, terms), padded with zeros.

    For products where it stands on the left, of activations: see left.py.  It is multiplied in bfloat16 if that is the
    dtype and the CPU multiplies its pairs, otherwise in float32.
    """

    def __init__(self, w, dtype):
        self.kind = BFLOAT16 if dtype == "bfloat16" and TERMS[BFLOAT16] == 2 else FLOAT32
        self.inputs, self.outputs = w.shape
        chunk, tall = TERMS[self.kind] * W, tall_of(self.kind)
        rows = np.zeros((round_up(self.outputs, tall), round_up(self.inputs, chunk)), np.float32)
        rows[: self.outputs, : self.inputs] = w.T
        panels = rows.reshape(-1, tall, rows.shape[1] // chunk, chunk).swapaxes(1, 2)
        panels = to_bfloat16(np.ascontiguousarray(panels)) if self.kind == BFLOAT16 else panels
        self.panels = aligned(panels.size, panels.dtype).reshape(panels.shape)
        self.panels[...] = panels
        self._locate()

    def _locate(self):
        self.fields = np.array([self.kind, self.inputs, self.outputs, self.panels.ctypes.data], np.int64)
        self.address = self.fields.ctypes.data

    def __setstate__(self, state):  # copied or unpickled: the numbers lie elsewhere now
        self.__dict__.update(state)
        self._locate()


def store(name, value, dtype):
    """One parameter of a model as kernels read it: matrices packed, vectors in float32 on a cache line of their own."""
    if name.endswith(".w"):
        left = ".token_mlp." in name
        matrix = PackedMatrix(value, kept_as(name, dtype), in_parts=not left)
        if left:
            matrix.left = LeftMatrix(matrix.unpacked(), matrix.dtype)
        return matrix
    kept = aligned(value.size).reshape(value.shape)
    kept[...] = value
    return kept


def kept_as(name, dtype):
    """int8 models keep the patch embedding and the first block, the most sensitive by far, in bfloat16.

    DeiT-tiny, 100 photographs: error of the logits 0.040 instead of 0.045 (rms), same class for 99 instead of 97.
    So do Mixers their MLPs across tokens: 3 % of the numbers of B/16, and int8 is made for matrices on the right.
    """
    sensitive = name.startswith(("embed.", "blocks.0.")) or ".token_mlp." in name
    return "bfloat16" if dtype == "int8" and sensitive else dtype


def pack(w, terms, chunk):
    # w (I,O) -> (O/WIDE, I/terms, WIDE, terms): column panels, rows of a panel in groups of `terms`, I in whole chunks
    inputs, outputs = w.shape
    items, count = round_up(inputs, chunk) // terms, -(-outputs // WIDE)
    panels = aligned(count * items * WIDE * terms, w.dtype).reshape(count, items, WIDE, terms)
    for p in range(count):
        part = np.zeros((items * terms, WIDE), w.dtype)
        columns = w[:, p * WIDE : (p + 1) * WIDE]
        part[:inputs, : columns.shape[1]] = columns
        panels[p] = part.reshape(items, terms, WIDE).swapaxes(1, 2)
    return panels


def quantise(w):
    # w (I,O) -> int8 (I,O), and (2, O) float32: the scale of each column, and the sum of its int8 numbers
    scale = np.maximum(np.maximum(w.max(0), -w.min(0)), np.finfo(np.float32).tiny) / np.float32(127)
    whole = np.empty(w.shape, np.int8)
    for i in range(0, len(w), ROWS):
        np.rint(w[i : i + ROWS] / scale, out=whole[i : i + ROWS], casting="unsafe")
    columns = aligned(2 * w.shape[1])
    columns[:] = np.concatenate([scale, whole.sum(0, dtype=np.int64)])
    return whole, columns


def to_bfloat16(w):
    # float32 -> the upper 16 bits, rounded to nearest even
    rounded = np.empty(w.shape, np.uint16)
    for i in range(0, len(w), ROWS):
        bits = w[i : i + ROWS].view(np.uint32)
        rounded[i : i + ROWS] = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return rounded
