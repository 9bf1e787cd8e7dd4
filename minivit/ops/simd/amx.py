"""Tile registers (Intel AMX): a product of whole small matrices in one instruction.

There are eight, of 16 rows of 64 bytes.  `tdpbf16ps c, a, b` adds the product of 16 × 32 and 32 × 16 numbers in
bfloat16 to 16 × 16 sums in float32, in 16 cycles: 8 times what two AVX-512 units multiply in that time, in float32.
`tdpbusd` does so for 16 × 64 and 64 × 16 bytes, in int32.  The layouts are those of tile.py: 16 rows of a chunk of `a`
are the rows of one register, 16 items of 16 columns of `b` those of another.

float32 goes through them in three parts.  A float32 is exactly the sum of three bfloat16, each 2⁻⁸ or less of the one
before: x = x₀ + x₁ + x₂.  Of the nine products of x·w the six below count; the others are 2⁻²⁴ of x·w, what float32
itself rounds away.  Six instructions of eightfold speed are still faster than one.

Numbers of registers are part of the instructions, so they are dealt out here, not by LLVM.
"""

import ctypes
import sys

from llvmlite import ir

from .dots import BF16_DOT, BFLOAT16, DOTS, FLOAT16, FLOAT32, INT8
from .language import intrinsic, signature, types, vector_function
from .target import FEATURES, VECS
from .vector import I8, I64, call, pointer

#: rows of a tile register; a tile of sums is 2 × VECS registers, the others hold the factors
HIGH = 16
LOAD, LOAD_ONCE = "llvm.x86.tileloadd64", "llvm.x86.tileloaddt164"  # the second not into the first-level cache
VOID = ir.VoidType()


def _granted():
    """Linux saves 8 KB more per thread that uses these registers, so a process must ask for them: arch_prctl(2)."""
    arch_prctl, request, tile_data = 158, 0x1023, 18
    return sys.platform == "linux" and ctypes.CDLL(None).syscall(arch_prctl, request, tile_data) == 0


AMX = BF16_DOT and {"amx-tile", "amx-bf16", "amx-int8"} <= FEATURES and _granted()

#: kinds of products of float32 rows in three parts: weights in float32, or in float16
SPLIT, SPLIT_HALF = 6, 7
PARTS = 3
#: parts of a and b that are multiplied; neighbours share a factor, which stays in its registers, and a is loaded once
PAIRS = ((0, 2), (0, 0), (0, 1), (1, 1), (1, 0), (2, 0))

#: kinds of numbers that tile registers multiply, and the instruction
_BFLOAT = "llvm.x86.tdpbf16ps"
MULTIPLY = {BFLOAT16: _BFLOAT, SPLIT: _BFLOAT, SPLIT_HALF: _BFLOAT, INT8: "llvm.x86.tdpbusd"} if AMX else {}


def how(kind):
    """In words: how this CPU multiplies that kind of numbers."""
    if AMX and kind in (FLOAT32, FLOAT16):
        return "as three bfloat16 each, 16 × 16 sums in six instructions, in tile registers (AMX)"
    if kind in MULTIPLY:
        return "16 × 16 sums in one instruction, in tile registers (AMX)"
    return "weights widened to float32" if kind == BFLOAT16 and not BF16_DOT else DOTS[kind].__doc__


@intrinsic
def shape_registers(typing_context):
    """Make all eight of this thread's tile registers 16 rows of 64 bytes; nothing without AMX."""

    def codegen(context, builder, sig, args):
        if AMX:
            rows = bytes([1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[HIGH] * 8, *[0] * 8])  # palette, widths, heights
            block = ir.Constant(ir.ArrayType(I8, 64), bytearray(rows))
            place = ir.GlobalVariable(builder.module, block.type, builder.module.get_unique_name("tile_registers"))
            place.linkage, place.global_constant, place.initializer = "internal", True, block
            call(builder, "llvm.x86.ldtilecfg", VOID, builder.bitcast(place, I8.as_pointer()))
        return context.get_dummy_value()

    return signature(types.void), codegen


def emit_tile(builder, loop, kind, rows, fetch, a, b, c, row, vector, chunks, add):
    """The micro-kernel of tile.py, of 16 or 32 rows."""
    steps, parts = Steps(kind, rows), PARTS if kind == SPLIT else 1
    steps.start(builder, c, row, vector, add)
    with loop(builder, chunks, {}) as (chunk, _):
        fetch(chunk)
        a_chunk = builder.add(a, builder.mul(chunk, I64(2 * HIGH * 64 * parts)))
        b_chunk = builder.add(b, builder.mul(chunk, I64(HIGH * VECS * 64 * parts)))
        steps.add(builder, a_chunk, b_chunk)
    steps.end(builder, c, row, vector)


class Steps:
    """IR of what is done with a tile: sums into registers, a chunk of products added, sums to memory.

    A chunk of SPLIT is three chunks of each factor, one per part.
    """

    def __init__(self, kind, rows):
        self.multiply, self.high, self.pairs = MULTIPLY[kind], rows // HIGH, PAIRS if kind == SPLIT else ((0, 0),)
        self.load_a = LOAD_ONCE if kind == SPLIT else LOAD
        self.sums = {(m, j): I8(VECS * m + j) for m in range(self.high) for j in range(VECS)}
        self.lefts, self.rights = [I8(4 + m) for m in range(self.high)], [I8(6 + j) for j in range(VECS)]

    def start(self, builder, c, row, vector, add):
        for register in self.sums.values():
            call(builder, "llvm.x86.tilezero", VOID, register)
        with builder.if_then(add):
            for register, place in self._places(builder, c, row, vector):
                call(builder, LOAD, VOID, register, place, builder.mul(row, I64(4)))

    def add(self, builder, a, b):
        left = right = None  # the parts that are in the registers
        for p, q in self.pairs:
            for m in range(self.high) if p != left else ():
                place = pointer(builder, a, I64((2 * p + m) * HIGH * 64), I8, 1)
                call(builder, self.load_a, VOID, self.lefts[m], place, I64(64))
            for j in range(VECS):
                if q != right:
                    place = pointer(builder, b, I64((HIGH * VECS * q + j) * 64), I8, 1)
                    call(builder, LOAD, VOID, self.rights[j], place, I64(VECS * 64))
                for m in range(self.high):
                    call(builder, self.multiply, VOID, self.sums[m, j], self.lefts[m], self.rights[j])
            left, right = p, q

    def end(self, builder, c, row, vector):
        for register, place in self._places(builder, c, row, vector):
            call(builder, "llvm.x86.tilestored64", VOID, register, place, builder.mul(row, I64(4)))

    def _places(self, builder, c, row, vector):
        for (m, j), register in self.sums.items():
            place = builder.add(builder.mul(row, I64(HIGH * m)), builder.mul(vector, I64(j)))
            yield register, pointer(builder, c, place, I8)


def make_steps(rows):
    """Functions for kernels, of a tile of 16 or 32 rows × WIDE sums, in parts: start(c, add), add(a, b), end(c)."""
    steps, row, vector = Steps(SPLIT, rows) if AMX else None, I64(VECS * HIGH), I64(HIGH)

    @vector_function((types.intp, types.boolean), types.void)
    def start(builder, c, add):
        if AMX:
            steps.start(builder, c, row, vector, add)

    @vector_function((types.intp, types.intp), types.void)
    def add(builder, a, b):
        if AMX:
            steps.add(builder, a, b)

    @vector_function((types.intp,), types.void)
    def end(builder, c):
        if AMX:
            steps.end(builder, c, row, vector)

    return start, add, end
