"""GELU in NumPy, both kinds."""

import math

import numpy as np

CHUNK = 1 << 14  # numbers at a time: the temporaries stay in the cache instead of filling fresh pages: twice as fast


def gelu(x, kind):
    # x (...) -> (...); kind "tanh" | "erf"
    formula = {"tanh": gelu_tanh, "erf": gelu_erf}[kind]
    y = np.empty(x.size, x.dtype)
    for i in range(0, x.size, CHUNK):
        y[i : i + CHUNK] = formula(x.reshape(-1)[i : i + CHUNK])
    return y.reshape(x.shape)


def gelu_backward(dy, x, kind):
    # dy (...), x (...) -> dx (...)
    slope = {"tanh": gelu_tanh_slope, "erf": gelu_erf_slope}[kind]
    dx = np.empty(x.size, x.dtype)
    for i in range(0, x.size, CHUNK):
        np.multiply(dy.reshape(-1)[i : i + CHUNK], slope(x.reshape(-1)[i : i + CHUNK]), out=dx[i : i + CHUNK])
    return dx.reshape(x.shape)


def gelu_tanh(x):
    # x (...) -> (...)
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + np.tanh(inner))


def gelu_tanh_slope(x):
    # x (...) -> (...)
    square = x * x
    t = np.tanh(math.sqrt(2 / math.pi) * x * (1 + 0.044715 * square))
    inner_slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * square)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner_slope


def gelu_erf(x):
    # x (...) -> (...)
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


def gelu_erf_slope(x):
    # x (...) -> (...); Φ(x) + x φ(x), with φ the normal density
    return 0.5 * (1 + erf(x * math.sqrt(0.5))) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def erf(x):
    # x (...) -> (...); NumPy has none.  float64: the C library's, one number at a time, for truth; float32: for speed
    if x.dtype == np.float64:
        return np.frompyfunc(math.erf, 1, 1)(x).astype(np.float64)
    x = np.clip(x, -3.925, 3.925)  # beyond, erf rounds to ±1 in float32
    square = x * x
    return x * _polynomial(_ERF_P, square) / _polynomial(_ERF_Q, square)


# erf(x)/x on |x| < 3.925 as a ratio of polynomials in x², fitted for least relative error: 1.9e-8
_ERF_P = (1.1283791, 0.19058706, 0.052768422, 0.0037722633, 0.00028483711, 2.0460809e-06)
_ERF_Q = (1.0, 0.50223612, 0.11417996, 0.014982627, 0.0011637881, 3.8047991e-05)


def _polynomial(coefficients, x):
    # x (...) -> (...); Horner's rule, lowest power first
    y = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        y *= x
        y += np.float32(c)
    return y
