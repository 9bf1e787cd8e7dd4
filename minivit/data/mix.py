"""Two pictures in one, and a target that says how much of each: mixup (arXiv:1710.09412), cutmix (arXiv:1905.04899)."""

import numpy as np


def mix(images, targets, rng, mixup=0.0, cutmix=0.0):
    """A batch in which every picture is mixed with another one of it; targets in proportion.

    images (b,h,w,3), targets (b,C); mixup, cutmix: the α of Beta(α, α), from which the proportion is drawn, 0 for
    never; if both are given, a coin decides for each batch.  The batch is returned as it is if neither is given.
    """
    if not mixup and not cutmix:
        return images, targets
    cut = cutmix and (not mixup or rng.random() < 0.5)
    alpha = cutmix if cut else mixup
    share, partner = rng.beta(alpha, alpha), rng.permutation(len(images))
    if cut:
        images, share = _paste(images, images[partner], share, rng)
    else:
        images = _blend(images, images[partner], share)
    return images, _blend(targets, targets[partner], share)


def _blend(x, other, share):
    return x + (other - x) * x.dtype.type(share)


def _paste(images, others, share, rng):
    # a box with that share of the area, at a random place; what lies outside the picture is lost, so the share too
    _, h, w, _ = images.shape
    middle, half = rng.uniform(0, (h, w)), np.sqrt(share) * np.array([h, w]) / 2
    (top, left), (bottom, right) = (np.clip(np.rint(middle + side), 0, (h, w)).astype(int) for side in (-half, half))
    images = images.copy()
    images[:, top:bottom, left:right] = others[:, top:bottom, left:right]
    return images, (bottom - top) * (right - left) / (h * w)
