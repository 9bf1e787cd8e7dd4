"""Attention through all blocks: where the information of an output token came from.  Arrays in, arrays out.

`probs` and `gradients` are lists, first block first, as maps.per_block gives them.  R (B,N,N): row i is output token i,
column j input token j; maps.readout_map and maps.query_map turn it into pictures.
"""

import numpy as np


def rollout(probs):
    """R = Â_L ⋯ Â_2 Â_1 with Â = (mean_h A + I) / row sums: attention and residual, block after block.

    Source: Abnar & Zuidema, arXiv:2005.00928, eq. 1.  Every row sums to one.
    """
    # probs: L × (B,H,N,N) -> (B,N,N)
    return list(rollout_steps(probs))[-1]


def rollout_steps(probs):
    """R after each block, from the first on: R_l = Â_l R_{l−1}, R_0 = I.  Yields L × (B,N,N), float64."""
    R = None
    for A in probs:
        A = A.mean(1, dtype=np.float64) + np.eye(A.shape[-1])  # I: the residual stream goes around attention
        A /= A.sum(-1, keepdims=True)
        R = A if R is None else A @ R
        yield R


def gradient_weighted(probs, gradient):
    """Ā = mean_h (∇A ⊙ A)⁺: attention that, if it grew, would raise the class's logit; ∇A is ∂logit/∂A of that block.

    Source: Chefer et al., arXiv:2103.15679, eq. 5.
    """
    # probs, gradient (B,H,N,N) -> (B,N,N)
    return np.maximum(gradient.astype(np.float64) * probs, 0).mean(1)


def relevance(probs, gradients):
    """R ← R + Ā R from the first block on, R = I at first: relevance of every input token for one class.

    Source: Chefer et al., arXiv:2103.15679, eq. 6.  R − I leaves out what every token is to itself, which shows
    only where patches are asked, not the class token.
    """
    # probs, gradients: L × (B,H,N,N), gradients of one logit -> (B,N,N)
    return list(relevance_steps(probs, gradients))[-1]


def relevance_steps(probs, gradients):
    """R after each block, from the first on.  Yields L × (B,N,N), float64."""
    R = np.eye(probs[0].shape[-1])
    for A, gradient in zip(probs, gradients, strict=True):
        R = R + gradient_weighted(A, gradient) @ R
        yield R
