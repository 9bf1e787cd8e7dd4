"""Prepended tokens in NumPy."""

import numpy as np


def prepend(patches, prefix):
    # patches (B,G,D), prefix (1,T,D) -> (B,T+G,D); every image gets the same ones
    return np.concatenate([np.broadcast_to(prefix, (len(patches), *prefix.shape[1:])), patches], axis=1)


def prepend_backward(dy, prefix):
    # dy (B,T+G,D), prefix (1,T,D) -> dpatches (B,G,D), dprefix (1,T,D): every image used the same tokens
    T = prefix.shape[1]
    return dy[:, T:], dy[:, :T].sum(0, keepdims=True)
