"""Mimetic initialisation: attention begins the way trained attention looks (Trockman & Kolter, arXiv:2305.09828).

In trained transformers, W_q W_kᵀ is near a multiple of the identity (a token looks at tokens like itself), and
W_v W_out near a negative one.  So per head (query, key) and per block (value, out):

    W_q W_kᵀ ≈ 0.7 Z + 0.7 I          W_v W_out = 0.4 Z − 0.4 I          Z ~ N(0, 1/D)

split by the singular value decomposition U S Vᵀ into U √S and √S Vᵀ; of query and key, as many columns as a head has.
Positions are waves in both directions, so that near patches are alike.
"""

import math

import numpy as np
from threadpoolctl import threadpool_limits

from ..errors import InputError

#: of positions: a token's patch embedding is of order one
HEIGHT = 0.5


def mimetic(config, flat, rng):
    """Change the attention matrices and positions of the flat parameters {name: array}, in place.

    Raises InputError for a width that is not divisible by 4, and for a Mixer.
    """
    if config.family == "mixer":
        raise InputError(f"{config.name} has no attention that could look mimetic; use initial vit_jax (--initial)")
    if config.width % 4:
        raise InputError(f"mimetic positions need a width divisible by 4, the model's is {config.width}")
    with threadpool_limits(1, "blas"):  # the same bits on any number of threads
        for i in range(config.blocks):
            query, key, value, out = attention(config.width, config.heads, rng)
            flat[f"blocks.{i}.attn.qkv.w"][:] = np.concatenate([query, key, value], 1)
            flat[f"blocks.{i}.attn.out.w"][:] = out
    flat["embed.position"][0, config.prefix :] = HEIGHT * waves(*config.grid, config.width)


def attention(D, heads, rng):
    # -> query, key, value, out, each (D,D)
    K = D // heads
    pairs = [_factors(0.7, 0.7, D, K, rng) for _ in range(heads)]
    query, key = (np.concatenate(side, 1) for side in zip(*((left, right.T) for left, right in pairs), strict=True))
    return query, key, *_factors(0.4, -0.4, D, D, rng)


def _factors(noise, identity, D, rank, rng):
    # -> (D,rank), (rank,D) whose product is the best of that rank for  noise · Z + identity · I
    U, S, Vt = np.linalg.svd(noise * rng.standard_normal((D, D)) / math.sqrt(D) + identity * np.eye(D))
    root = np.sqrt(S[:rank])
    return U[:, :rank] * root, root[:, None] * Vt[:rank]


def waves(rows, columns, D):
    # -> (rows·columns,D): sine and cosine of the column, then of the row, wave lengths from 2π patches on
    frequency = 10_000.0 ** -(np.arange(D // 4) / (D // 4))
    row, column = np.mgrid[:rows, :columns].reshape(2, -1, 1) * frequency
    return np.concatenate([np.sin(column), np.cos(column), np.sin(row), np.cos(row)], 1)
