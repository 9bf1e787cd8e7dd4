"""Vectors compared with vectors: positions, filters, tokens, whole layers.  Arrays in, arrays out."""

import numpy as np


def position_similarity(position, prefix, grid):
    """Cosine of every patch's position vector with every other's: [r,c,r',c'].  ViT, arXiv:2010.11929, fig. 7."""
    # position (1,N,D), grid (rows,columns) -> (rows,columns,rows,columns)
    E = _unit(position[0, prefix:].astype(np.float64))
    return (E @ E.T).reshape(*grid, *grid)


def cosine_map(tokens, query, prefix, grid):
    """Cosine of one token with every patch, from −1 to 1.  Source: Amir et al., arXiv:2112.05814."""
    # tokens (B,N,D), query 0 … N−1 -> (B,rows,columns)
    E = _unit(tokens.astype(np.float64))
    return np.einsum("bnd,bd->bn", E[:, prefix:], E[:, query]).reshape(-1, *grid)


def token_pca(tokens, prefix, grid):
    """The three main directions of the patches' vectors as red, green and blue, each from 0 (least) to 1 (most).

    All images of a batch share directions and colours, so that equal parts look alike.  Source: DINOv2,
    arXiv:2304.07193, fig. 1; Amir et al., arXiv:2112.05814.
    """
    # tokens (B,N,D) -> (B,rows,columns,3)
    x = tokens[:, prefix:].reshape(-1, tokens.shape[-1])
    directions, _ = principal(x, 3)
    directions = np.pad(directions, ((0, 3 - len(directions)), (0, 0)))  # one or two patches have fewer
    along = (x - x.mean(0)) @ directions.T
    along -= along.min(0)
    along /= np.maximum(along.max(0), np.finfo(np.float32).tiny)
    return along.reshape(len(tokens), *grid, 3)


def patch_filters(w, count=28):
    """The main directions of the D patch filters, as pictures, and their shares of the variance.  ViT, fig. 7 left."""
    # w (P,P,c,D) -> (count,P,P,c), (count,); fewer if there are fewer filters or pixels
    directions, shares = principal(w.reshape(-1, w.shape[-1]).T, count)
    return directions.reshape(-1, *w.shape[:3]), shares


def principal(x, count):
    """The `count` directions of largest variance (unit vectors), and the share of the variance along each.

    PCA: right singular vectors of x − mean.  A direction has no sign; its largest number is made positive.
    """
    # x (n,D) -> (count,D), (count,)
    x = x.astype(np.float64)
    _, s, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    v *= np.sign(np.take_along_axis(v, abs(v).argmax(1)[:, None], 1))
    return v[:count], (s**2 / max((s**2).sum(), np.finfo(np.float64).tiny))[:count]


def cka(x, y):
    """Linear CKA: ‖YᵀX‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F) of centred columns: 1 for X = Y up to rotation and scale, 0: unrelated.

    x and y describe the same n examples (images, or tokens); one that is the same for all of them is unrelated to any.
    Source: Kornblith et al., arXiv:1905.00414.
    """
    # x (n,p), y (n,q) -> float
    x, y = (z.astype(np.float64) - z.mean(0, dtype=np.float64) for z in (x, y))
    alone = overlap(x, x) * overlap(y, y)
    return float(overlap(x, y) / np.sqrt(alone)) if alone > 0 else 0.0


def overlap(x, y):
    """‖yᵀx‖²_F = Σ (x xᵀ ⊙ y yᵀ), by way of the smaller matrices."""
    # x (n,p), y (n,q) -> float
    if x.shape[1] * y.shape[1] <= len(x) ** 2:
        return np.square(y.T @ x).sum()
    return ((x @ x.T) * (y @ y.T)).sum()


def cka_table(layers, others=None):
    """CKA of every layer with every layer, or with those of another model.  Raghu et al., arXiv:2108.08810, fig. 1."""
    # layers: L × (n,p) -> (L,L); others: M × (n,q) -> (L,M)
    return np.array([[cka(x, y) for y in (layers if others is None else others)] for x in layers])


def _unit(x):
    # x (...,D) -> (...,D), each of length one (or zero)
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), np.finfo(np.float64).tiny)
