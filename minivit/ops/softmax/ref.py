"""Softmax in NumPy."""

import numpy as np


def softmax(x):
    # x (...,N) -> (...,N)
    e = x - x.max(-1, keepdims=True)
    np.exp(e, out=e)  # in place: N×N numbers per head are the largest array of all
    e /= e.sum(-1, keepdims=True)
    return e


def softmax_backward(dp, p):
    # dp (...,N), p (...,N) the output of softmax -> dx (...,N)
    dx = dp - np.einsum("...j,...j->...", dp, p)[..., None]  # einsum: no second N×N array for the products
    dx *= p
    return dx
