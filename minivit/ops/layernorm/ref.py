"""LayerNorm in NumPy."""

import numpy as np


def layernorm(x, scale, bias, eps):
    # x (...,D), scale (D,), bias (D,) -> (...,D)
    centred = x - x.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * scale + bias
