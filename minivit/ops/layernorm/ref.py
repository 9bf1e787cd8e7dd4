"""LayerNorm in NumPy."""

import numpy as np


def layernorm(x, scale, bias, eps):
    # x (...,D), scale (D,), bias (D,) -> (...,D)
    centred = x - x.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * scale + bias


def layernorm_backward(dy, x, scale, eps):
    # dy, x (...,D), scale (D,) -> dx (...,D), dscale (D,), dbias (D,)
    normal = x - x.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt(np.square(normal).mean(-1, keepdims=True) + eps)
    normal *= inverse
    rows = tuple(range(dy.ndim - 1))
    product = dy * normal
    dscale, dbias = product.sum(rows), dy.sum(rows)
    product *= scale
    dx = dy * scale
    # what would shift or stretch x changes nothing: the mean and the component along `normal` are taken out
    normal *= product.mean(-1, keepdims=True)
    dx -= dx.mean(-1, keepdims=True)
    dx -= normal
    dx *= inverse
    return dx, dscale, dbias
