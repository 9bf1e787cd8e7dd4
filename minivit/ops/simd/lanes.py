"""What is done with vectors in registers, lane by lane and across lanes."""

from llvmlite import ir

from .language import types, vec, vector_function
from .target import W
from .vector import I32, VF, VI, call, first, splat


@vector_function((types.float32,), vec)
def filled(builder, number):
    """A vector with that number in every lane."""
    return splat(builder, number)


@vector_function((vec, vec, vec), vec)
def fma(builder, a, b, c):
    """a·b + c, in one instruction where the CPU has it."""
    return call(builder, f"llvm.fmuladd.v{W}f32", VF, a, b, c)


@vector_function((vec, vec), vec)
def smaller(builder, a, b):
    """min(a, b); a NaN in b stays."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


@vector_function((vec, vec), vec)
def larger(builder, a, b):
    """max(a, b); a NaN in b stays."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@vector_function((vec, types.intp, types.float32), vec)
def first_lanes(builder, v, count, other):
    """The first `count` lanes of v; the rest filled with a number."""
    return builder.select(first(builder, count), v, splat(builder, other))


def _reduce(builder, v, combine):
    half = W // 2
    while half:
        other = [(i + half) % W for i in range(W)]
        v = combine(v, builder.shuffle_vector(v, v, ir.Constant(VI, other)))
        half //= 2
    return builder.extract_element(v, I32(0))


@vector_function((vec,), types.float32)
def sum_of(builder, v):
    """The sum of all lanes, always in the same order."""
    return _reduce(builder, v, builder.fadd)


@vector_function((vec,), types.float32)
def largest_of(builder, v):
    return _reduce(builder, v, lambda a, b: larger.emit(builder, a, b))


@vector_function((vec,), vec)
def power_of_two(builder, shifted):
    """2ⁿ of `shifted` = n + 1.5·2²³, for whole n in −126…127: the last bits are n, and become the exponent."""
    bits = builder.add(builder.bitcast(shifted, VI), ir.Constant(VI, [127] * W))
    return builder.bitcast(builder.shl(bits, ir.Constant(VI, [23] * W)), VF)
