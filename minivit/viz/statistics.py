"""What attention does in numbers: how far, how broadly, to what, and how much of it counts.  Arrays in, arrays out."""

import numpy as np


def distance(probs, prefix, grid, patch):
    """Mean attention distance in pixels: d_h = mean_i Σ_j A_ij·|x_i − x_j| / Σ_j A_ij, i and j patches.

    x are the centres of the patches; what goes to tokens in front of them has no distance and is left out.
    Source: ViT, arXiv:2010.11929, fig. 7 right.
    """
    # probs (B,H,N,N), grid (rows,columns), patch in pixels -> (B,H)
    A = probs[..., prefix:, prefix:]
    centres = patch * np.stack(np.divmod(np.arange(grid[0] * grid[1]), grid[1]), -1).astype(np.float64)
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1)
    travelled = np.einsum("bhij,ij->bhi", A, apart)
    return (travelled / np.maximum(A.sum(-1), np.finfo(A.dtype).tiny)).mean(-1)


def entropy(probs):
    """How broadly each token looks: −Σ_j A_ij log A_ij, from 0 (at one token) to log N (at all alike)."""
    # probs (B,H,N,N) -> (B,H,N)
    return -(probs * np.log(np.maximum(probs, np.finfo(probs.dtype).tiny))).sum(-1)


def received(probs):
    """How much each token is looked at by the average token: mean_i A_ij, which sums to one over j."""
    # probs (B,H,N,N) -> (B,H,N)
    return probs.mean(-2)


def sink_mass(probs, sinks):
    """The share of all attention that ends in some tokens: Σ_{j in sinks} mean_i A_ij.  Source: arXiv:2309.17453."""
    # probs (B,H,N,N), sinks bool (N,) or (B,N) -> (B,H)
    return (received(probs) * np.atleast_2d(sinks)[:, None]).sum(-1)


def norms(stream):
    """The length of each token's vector: ‖z_i‖."""
    # stream (B,N,D) -> (B,N)
    return np.linalg.norm(stream, axis=-1)


def high_norm(stream, prefix, times=3):
    """Patches whose ‖z_i‖ is over `times` the image's median patch: the "artefacts" of Darcet et al., arXiv:2309.16588.

    They tend to hold facts about the whole image instead of their place, so maps that point at them mislead.  The paper
    draws the line at a norm of its own per model; a ratio to the median needs none.
    """
    # stream (B,N,D) -> bool (B,N), False for the prefix
    length = norms(stream)
    found = length > times * np.median(length[:, prefix:], axis=-1, keepdims=True)
    found[:, :prefix] = False
    return found


def norm_weighted(probs, v, w_out):
    """How long the vector is that token j really adds to token i: ‖A_ij v_j W_O^h‖ = A_ij ‖v_j W_O^h‖.

    A token may be looked at much and say nothing.  Source: Kobayashi et al., arXiv:2004.10102.
    """
    # probs (B,H,N,N), v (B,H,N,K), w_out (H·K,D) -> (B,H,N,N)
    heads, width = v.shape[1], v.shape[-1]
    said = np.einsum("bhjk,hkd->bhjd", v, w_out.reshape(heads, width, -1))
    return probs * np.linalg.norm(said, axis=-1)[:, :, None]
