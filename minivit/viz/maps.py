"""From attention to maps over the picture: arrays in, arrays out.

Attention is A = softmax(q kᵀ / √D_h) (arXiv:2010.11929, eq. 6): row i of A says how much of each token's value goes
into token i, and sums to one.  A map is such a row with the patches put back in their places.  Nothing is rescaled:
what a map lacks to a sum of one went to the tokens in front of the patches (class, distillation).

Token `query` is 0 … N−1, prefix first; patch (row, column) is token prefix + row·columns + column.  The views:

    maps.py        query_map, key_map, mean_query_map, readout_map: who looks where; merge_heads, mass_mask, per_block
    statistics.py  distance, entropy, received, sink_mass, norms, high_norm, norm_weighted: one number per head or token
    flow.py        rollout, relevance (and …_steps, block by block), gradient_weighted: (B,N,N) over all blocks
    lens.py        logit_lens, patch_lens: the head applied to the stream of any block
    attribution.py attribute: the logits as a sum over embedding, heads, MLPs and biases
    similarity.py  position_similarity, patch_filters, token_pca, cosine_map, cka: vectors compared
    faithful.py    knock_out, deletion, insertion, randomisation: is it true?  These run the model
    explain.py     MAPS and explain: seven maps of a model by name, ready to draw; class_gradients: ∂logit/∂tensor

Of these, lens, attribution, faithful and explain take a Model; the others take arrays only.
"""

import numpy as np

from ..errors import InputError, nearest

MERGES = ("mean", "max", "min", "entropy")


def query_map(probs, query, prefix, grid):
    """Where one token looks: map[r,c] = A[query, prefix + r·columns + c].  Source: DINO, arXiv:2104.14294, fig. 1."""
    # probs (...,N,N), grid (rows,columns) -> (...,rows,columns)
    return _on_grid(probs[..., query, :], prefix, grid)


def key_map(probs, key, prefix, grid):
    """Who looks at one token: map[r,c] = A[prefix + r·columns + c, key], a column of A, which need not sum to one."""
    # probs (...,N,N), grid (rows,columns) -> (...,rows,columns)
    return _on_grid(probs[..., :, key], prefix, grid)


def mean_query_map(probs, prefix, grid):
    """Where the patches look on average: the mean of their query maps, for models that have no class token to ask."""
    # probs (...,N,N), grid (rows,columns) -> (...,rows,columns)
    return _on_grid(probs[..., prefix:, :].mean(-2), prefix, grid)


def readout_map(probs, config, grid):
    """Where that looks which becomes the image's feature: ("class token", map) or, without one, ("mean patch", map).

    Takes rollout and relevance too.  Of a distilled DeiT it is the class token, though its logits also read token 1.
    """
    # probs (...,N,N), grid (rows,columns) -> str, (...,rows,columns)
    if config.prefix and config.pool != "gap":
        return "class token", query_map(probs, 0, config.prefix, grid)
    return "mean patch", mean_query_map(probs, config.prefix, grid)


def merge_heads(by_head, how="mean"):
    """One map of all heads, of MERGES.  mean, max, min: patch by patch (max and min no longer sum to what A gave).

    entropy: the mean weighted by w_h = log G − entropy of head h over the G patches, so that heads that look
    everywhere count little: Σ_h w_h map_h / Σ_h w_h.  This weighting is ours; no paper vouches for it.
    """
    # by_head (...,H,rows,columns), not negative -> (...,rows,columns)
    if how not in MERGES:
        raise InputError(f"heads cannot be merged by {how!r}{nearest(how, MERGES)}")
    if how != "entropy":
        return {"mean": np.mean, "max": np.max, "min": np.min}[how](by_head, axis=-3)
    tiny, patches = np.finfo(np.float64).tiny, by_head.shape[-2] * by_head.shape[-1]
    p = by_head / np.maximum(by_head.sum((-2, -1), keepdims=True), tiny)
    entropy = -(p * np.log(np.maximum(p, tiny))).sum((-2, -1), keepdims=True)
    weights = np.maximum(np.log(patches) - entropy, 0) + 1e-12  # heads all alike: the plain mean
    return (weights * by_head).sum(-3) / weights.sum(-3)


def mass_mask(values, mass=0.6):
    """The fewest patches that hold that share of a map's sum, as True.  Source: DINO, arXiv:2104.14294, fig. 4 (60 %).

    Patches are taken from the largest on, until their sum is at least mass · Σ map.
    """
    # values (...,rows,columns), not negative -> bool (...,rows,columns)
    flat = values.reshape(*values.shape[:-2], -1).astype(np.float64)
    order = np.argsort(-flat, axis=-1, kind="stable")
    largest_first = np.take_along_axis(flat, order, -1)
    before = largest_first.cumsum(-1) - largest_first
    mask = np.empty(flat.shape, bool)
    np.put_along_axis(mask, order, before < mass * flat.sum(-1, keepdims=True), -1)
    return mask.reshape(values.shape)


def per_block(trace, tensor="attn.probs"):
    """That tensor of every block, first block first: what rollout and relevance take."""
    return [trace[f"block{i}.{tensor}"] for i in range(trace.config.blocks)]


def _on_grid(rows, prefix, grid):
    # rows (...,N) -> (...,rows,columns)
    return rows[..., prefix:].reshape(*rows.shape[:-1], *grid)
