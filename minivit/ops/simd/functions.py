"""exp, tanh, erf and the two GELUs of a vector: polynomials, because the C library's take one number at a time."""

from .lanes import fma, larger, power_of_two, smaller
from .language import njit

SHIFT = 12582912.0  # 1.5·2²³


@njit(forceinline=True)
def exp2(x):
    # 2ˣ = 2ⁿ · 2ᶠ, n whole and |f| ≤ ½: a polynomial in f (minimax, relative error 2e-9), n into the exponent's bits
    x = smaller(127.0, larger(-126.0, x))
    shifted = x + SHIFT  # has no digits left after the point: x rounded to a whole number
    f = x - (shifted - SHIFT)
    p = fma(f, 1.535336188319500e-4, 1.339887440266574e-3)
    p = fma(p, f, 9.618437357674640e-3)
    p = fma(p, f, 5.550332471162809e-2)
    p = fma(p, f, 2.402264791363012e-1)
    p = fma(p, f, 6.931472028550421e-1)
    return fma(p, f, 1.0) * power_of_two(shifted)


@njit(forceinline=True)
def exp(x):
    return exp2(x * 1.44269504)


@njit(forceinline=True)
def gelu_tanh(x):
    # x/2·(1 + tanh u) = x / (1 + exp(−2u)), u = √(2/π)·(x + 0.044715·x³); the constants hold −2·log2(e)
    return x / (exp2(x * fma(x * x, -0.1029432397, -2.3022081985)) + 1.0)


@njit(forceinline=True)
def gelu_erf(x):
    # x/2·(1 + erf(x/√2))
    return x * 0.5 * (erf(x * 0.70710678) + 1.0)


@njit(forceinline=True)
def erf(x):
    # the ratio of polynomials of ops/gelu/ref.py
    z = smaller(3.925, larger(-3.925, x))
    s = z * z
    p = fma(fma(fma(s, 2.0460809e-06, 0.00028483711), s, 0.0037722633), s, 0.052768422)
    p = fma(fma(p, s, 0.19058706), s, 1.1283791)
    q = fma(fma(fma(s, 3.8047991e-05, 0.0011637881), s, 0.014982627), s, 0.11417996)
    q = fma(fma(q, s, 0.50223612), s, 1.0)
    return z * p / q


@njit(forceinline=True)
def gelu_tanh_slope(x):
    # d/dx of x·g(x), g = 1/(1 + exp(−2u)):  g + x·g·(1 − g)·2u′, u′ = √(2/π)·(1 + 3·0.044715·x²)
    square = x * x
    g = 1.0 / (exp2(x * fma(square, -0.1029432397, -2.3022081985)) + 1.0)
    return fma(x * g * (1.0 - g), fma(square, 0.2140644488, 1.5957691216), g)


@njit(forceinline=True)
def gelu_erf_slope(x):
    # Φ(x) + x·φ(x)
    return fma(x * 0.3989422804, exp2(x * x * -0.7213475204), 0.5 * erf(x * 0.70710678) + 0.5)
