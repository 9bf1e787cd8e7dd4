"""Prepended tokens in NumPy."""

import numpy as np


def prepend(patches, prefix):
    # patches (B,G,D), prefix (1,T,D) -> (B,T+G,D); every image gets the same ones
    return np.concatenate([np.broadcast_to(prefix, (len(patches), *prefix.shape[1:])), patches], axis=1)
