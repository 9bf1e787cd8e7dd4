"""Cross-entropy in NumPy."""

import numpy as np

from ...errors import InputError


def cross_entropy(logits, targets):
    # logits (...,C), targets (...,C), a distribution per row -> the mean of −Σ targets · log p over all rows
    z = logits - logits.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return -(targets * log_p).sum(-1).mean()


def cross_entropy_backward(logits, targets):
    # logits (...,C), targets (...,C) -> dlogits (...,C): p − targets for each row, over the number of rows
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p *= targets.sum(-1, keepdims=True) / p.sum(-1, keepdims=True)  # float32 targets need not sum to one exactly
    p -= targets
    p /= logits.size // logits.shape[-1]
    return p


def one_hot(labels, classes, smoothing=0.0, dtype=np.float32):
    """Targets: 1 for the label and 0 for all others, or, smoothed, a bit less and a bit more (arXiv:1512.00567).

    Raises InputError for a label that is not one of the classes.
    """
    # labels (...) of whole numbers -> (...,C); (1 − smoothing) · one-hot + smoothing / C
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise InputError(f"labels should be whole numbers from 0 to {classes - 1}, got {labels.dtype}")
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise InputError(f"labels should be from 0 to {classes - 1}, got {outside[0]}")
    targets = np.full((*labels.shape, classes), smoothing / classes, dtype)
    np.put_along_axis(targets, labels[..., None], 1 - smoothing + smoothing / classes, axis=-1)
    return targets
