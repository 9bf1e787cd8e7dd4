"""A weight matrix that is being learned: packed anew after every step, and its transpose beside it."""

import math

import numpy as np

from ..simd.arrays import aligned, round_up
from ..simd.dots import KINDS, TERMS
from ..simd.kernel import learning_kernel
from ..simd.stages import my_part
from ..simd.target import WIDE, W
from ..simd.team import team
from .gradient import pack_columns, pack_rows
from .packed import PackedMatrix


@learning_kernel
def pack_kernel(work, kind, w, inputs, outputs, panels, transposed, scratch, size):
    mine = my_part(work, scratch, size)
    pack_columns(work, 1, kind, w, inputs, outputs, panels, 0)
    pack_rows(work, 2, kind, w, inputs, outputs, transposed, mine)


def can_learn(dtype):
    """Whether matrices of that dtype can: float32 anywhere, bfloat16 where the CPU multiplies its pairs."""
    return dtype == "float32" or (dtype == "bfloat16" and TERMS[KINDS.index(dtype)] == 2)


class TrainedMatrix(PackedMatrix):
    """A PackedMatrix whose numbers change, and `transposed`, the fields of its transpose."""

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype, self.kind = shape, dtype, KINDS.index(dtype)
        self.inputs, self.outputs = math.prod(shape[:-1]), shape[-1]
        self.columns = aligned(0)
        self.panels, self.fields = self._room(self.inputs, self.outputs)
        self._transposed_panels, self.transposed = self._room(self.outputs, self.inputs)
        self.address = self.fields.ctypes.data

    def _room(self, inputs, outputs):
        items = round_up(inputs, TERMS[self.kind] * W) // TERMS[self.kind]
        panels = aligned(items * round_up(outputs, WIDE))
        return panels, np.array([self.kind, inputs, outputs, panels.ctypes.data, 0], np.int64)

    def pack(self, w):
        """Take over the numbers of w (I,O); returns itself."""
        team().run(
            pack_kernel, self.kind, np.ascontiguousarray(w, np.float32), self.inputs, self.outputs, self.panels,
            self._transposed_panels, scratch=self.outputs * WIDE,
        )  # fmt: skip
        return self


class Store:
    """Keeps each parameter of a model that learns: matrices packed, in memory that is used again at the next step."""

    def __init__(self):
        self._matrices = {}

    def __call__(self, name, value, dtype):
        if not name.endswith(".w") or name.startswith("stem."):  # weights of convolutions are standardised first
            return value
        if name not in self._matrices:
            self._matrices[name] = TrainedMatrix(value.shape, dtype if name.startswith("blocks.") else "float32")
        return self._matrices[name].pack(value)


def trained(w):
    """w as a TrainedMatrix; what is packed otherwise (rounded weights, perhaps) is unpacked for it."""
    if isinstance(w, TrainedMatrix):
        return w
    return TrainedMatrix(w.shape).pack(w.unpacked() if isinstance(w, PackedMatrix) else w)
