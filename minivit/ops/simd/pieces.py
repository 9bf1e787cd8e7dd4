"""GELU in pieces: 32 polynomials, whose coefficients are looked up.

AVX-512 picks 16 numbers out of the 32 of two registers, in one instruction; a pair of registers holds a coefficient of
all pieces.  Piece i, from −15 to 14, is for x within step/2 of i·step.  Left of them all GELU is 0, right of them x.

Degree 5 is as precise as float32, and takes half as long as exp or erf and a division.  Degree 2 is for numbers that
are rounded to 8 bits afterwards: its error is at most 1e-4, while bfloat16 rounds what is near 1 by up to 2e-3.
"""

import math
from functools import cache

import numpy as np
from llvmlite import ir

from .functions import SHIFT, gelu_erf, gelu_tanh
from .lanes import fma, larger, smaller
from .language import vec, vector_function
from .target import W
from .vector import VF, VI, call

FIRST, LAST = -16, 15


def in_pieces(f, step, degree, otherwise):
    """The function f of a number, of vectors; `otherwise` where a register does not hold 16 numbers."""
    if W != 16:
        return otherwise

    @vector_function((vec,), vec)
    def pieces(builder, x):
        low, high, inverse, shift, back, size = (
            ir.Constant(VF, [v] * W) for v in (FIRST * step, LAST * step, 1 / step, SHIFT, -SHIFT, -step)
        )
        inside = smaller.emit(builder, high, larger.emit(builder, low, x))
        shifted = fma.emit(builder, inside, inverse, shift)  # its last bits are a whole number, the piece
        x = fma.emit(builder, builder.fadd(shifted, back), size, x)  # from the middle of the piece
        i, y = builder.bitcast(shifted, VI), None
        for first, second in reversed(tables(f, step, degree)):
            c = call(builder, "llvm.x86.avx512.vpermi2var.ps.512", VF, first, i, second)
            y = c if y is None else fma.emit(builder, y, x, c)
        return y

    return pieces


@cache
def tables(f, step, degree):
    """The pair of registers of each coefficient, from that of 1 on."""
    rows = {i: around(f, i * step, step, degree) for i in range(FIRST + 1, LAST)}
    rows[FIRST] = [0.0] * (degree + 1)
    rows[LAST] = [LAST * step, 1.0, *[0.0] * (degree - 1)]
    found = [rows[i if i <= LAST else i - 32] for i in range(32)]  # by the last 5 bits of i, also of a negative one
    return [[ir.Constant(VF, [row[k] for row in half]) for half in (found[:W], found[W:])] for k in range(degree + 1)]


def around(f, middle, step, degree):
    """Coefficients of the polynomial in t that is f(middle + t) for |t| ≤ step/2, at the Chebyshev points exactly."""

    def values(t):
        return [f(middle + float(v)) for v in t]

    series = np.polynomial.Chebyshev.interpolate(values, degree, [-step / 2, step / 2])
    return [float(v) for v in series.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]).coef]


def _erf(x):
    return x / 2 * math.erfc(-x / math.sqrt(2))


def _tanh(x):
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


gelu_erf, gelu_erf_short = in_pieces(_erf, 0.375, 5, gelu_erf), in_pieces(_erf, 0.28, 2, gelu_erf)
gelu_tanh, gelu_tanh_short = in_pieces(_tanh, 0.375, 5, gelu_tanh), in_pieces(_tanh, 0.28, 2, gelu_tanh)
