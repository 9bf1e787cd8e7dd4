"""Pooling in NumPy."""

import numpy as np


def pool(x, how, prefix):
    # x (B,N,D) -> (B,D) or, unpooled, (B,N,D); prefix: tokens in front that are not patches
    if how == "token":
        return x[:, 0]
    if how == "gap":
        return x[:, prefix:].mean(1)
    return x


def pool_backward(dy, tokens, how, prefix):
    # dy (B,D) or, unpooled, (B,N,D), tokens N -> dx (B,N,D)
    if "unpooled" in how:
        return dy
    dx = np.zeros((len(dy), tokens, dy.shape[-1]), dy.dtype)
    if how == "token":
        dx[:, 0] = dy
    else:
        dx[:, prefix:] = dy[:, None] / (tokens - prefix)
    return dx
