"""Cross-entropy of the predicted with the wanted distribution:  loss = − mean over rows of Σ_c targets_c · log p_c.

logits (…,C), targets (…,C) -> one number      p = softmax(logits), never computed by itself: log p = z − log Σ exp z
targets: one-hot, or smoothed by a (arXiv:1512.00567): (1 − a) · one-hot + a / C, or any mixture of labels

backward: dlogits = (p · Σ targets − targets) / rows
The sum is one, up to the rounding of the targets.
"""
