"""From attention to maps over the picture: arrays in, arrays out.

Attention is A = softmax(q kᵀ / √D_h) (arXiv:2010.11929, eq. 6): row i of A says how much of each token's value goes
into token i, and sums to one.  A map is such a row with the patches put back in their places.  Nothing is rescaled:
what a map lacks to a sum of one went to the tokens in front of the patches (class, distillation).
"""


def query_map(probs, query, prefix, grid):
    """Where one token looks: map[r,c] = A[query, prefix + r·columns + c].  Source: DINO, arXiv:2104.14294, fig. 1."""
    # probs (B,H,N,N), grid (rows,columns) -> (B,H,rows,columns)
    return _on_grid(probs[:, :, query], prefix, grid)


def mean_query_map(probs, prefix, grid):
    """Where the patches look on average: the mean of their query maps, for models that have no class token to ask."""
    # probs (B,H,N,N), grid (rows,columns) -> (B,H,rows,columns)
    return _on_grid(probs[:, :, prefix:].mean(2), prefix, grid)


def readout_map(probs, config, grid):
    """Where that looks which becomes the image's feature: ("class token", map) or, without one, ("mean patch", map)."""
    # probs (B,H,N,N), grid (rows,columns) -> str, (B,H,rows,columns)
    if config.prefix and config.pool != "gap":
        return "class token", query_map(probs, 0, config.prefix, grid)
    return "mean patch", mean_query_map(probs, config.prefix, grid)


def _on_grid(rows, prefix, grid):
    # rows (B,H,N) -> (B,H,rows,columns)
    return rows[:, :, prefix:].reshape(*rows.shape[:2], *grid)
