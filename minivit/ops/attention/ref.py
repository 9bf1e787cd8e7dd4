"""Attention in NumPy, in its parts."""

import numpy as np


def scores(q, k):
    # q (B,H,N,K), k (B,H,N,K) -> (B,H,N,N); the query is scaled, not the product: N·K divisions instead of N·N
    return (q / np.sqrt(q.dtype.type(q.shape[-1]))) @ k.swapaxes(-1, -2)


def mix(probs, v):
    # probs (B,H,N,N), v (B,H,N,K) -> (B,H,N,K); row i is the average of the values, weighted by row i of probs
    return probs @ v


def scores_backward(dscores, q, k):
    # dscores (B,H,N,N), q, k (B,H,N,K) -> dq, dk (B,H,N,K)
    root = np.sqrt(q.dtype.type(q.shape[-1]))
    return dscores @ (k / root), dscores.swapaxes(-1, -2) @ (q / root)


def mix_backward(dz, probs, v):
    # dz (B,H,N,K), probs (B,H,N,N), v (B,H,N,K) -> dprobs (B,H,N,N), dv (B,H,N,K)
    return dz @ v.swapaxes(-1, -2), probs.swapaxes(-1, -2) @ dz
