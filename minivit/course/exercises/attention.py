"""Attention by online softmax, in NumPy (Milakov, Gimelshein, arXiv:1805.02867; FlashAttention, arXiv:2205.14135)."""

import numpy as np


def online_attention(q, k, v, tile):
    # q, k, v (B,H,N,K) -> softmax(q kᵀ / √K) v (B,H,N,K), and log Σ exp of every row of q kᵀ / √K (B,H,N)
    q = q * q.shape[-1] ** -0.5
    largest = np.full(q.shape[:-1], -np.inf, q.dtype)
    total, z = np.zeros_like(largest), np.zeros_like(v)
    for start in range(0, k.shape[-2], tile):
        s = q @ k[..., start : start + tile, :].swapaxes(-1, -2)
        larger = np.maximum(largest, s.max(-1))
        shrink, e = np.exp(largest - larger), np.exp(s - larger[..., None])
        total = total * shrink + e.sum(-1)
        z = z * shrink[..., None] + e @ v[..., start : start + tile, :]
        largest = larger
    return z / total[..., None], largest + np.log(total)
