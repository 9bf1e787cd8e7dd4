"""An image is a sequence: patches, the patch embedding, the class token, positions."""

import numpy as np

from . import Spec, inside, sizes


def images(*shape, P):
    return lambda rng: (rng.standard_normal(shape), P)


def odd_images(rng):
    rows, columns, P, c = sizes(rng, 4, 1, 5)
    return rng.standard_normal((2, rows * P + P - 1, columns * P + P // 2, c)), P


def patches(B, height, width, c, P):
    return lambda rng: (rng.standard_normal((B, height // P * (width // P), P * P * c)), P, (B, height, width, c))


def odd_patches(rng):
    x, P = odd_images(rng)
    return patches(*x.shape, P)(rng)


def embedding(B, height, width, c, P, D, bias=True):
    def make(rng):
        x, w = rng.standard_normal((B, height, width, c)), rng.standard_normal((P, P, c, D))
        return x, w, rng.standard_normal(D) * bias

    return make


def odd_embedding(rng):
    (B, height, width, c), P = odd_images(rng)[0].shape, 2
    return embedding(B, height + P, width + P, c, P, 7)(rng)


def dark(rng):
    return np.zeros((1, 4, 4, 1)), rng.standard_normal((2, 2, 1, 3)), rng.standard_normal(3)


def tokens(B, G, D, T):
    return lambda rng: (rng.standard_normal((B, G, D)), rng.standard_normal((1, T, D)))


def odd_tokens(rng):
    return tokens(*sizes(rng, 3, 2, 7), 2)(rng)


def table(old, new, prefix, D, mode):
    return lambda rng: (rng.standard_normal((1, prefix + old[0] * old[1], D)), old, new, prefix, mode)


def odd_table(rng):
    a, b, c, d = sizes(rng, 4, 2, 7)
    return table((a, b), (c, d), 2, 3, "bicubic")(rng)


SPECS = {
    "A1.1": Spec(
        {
            "a single patch": images(1, 2, 2, 1, P=2),
            "patches of one pixel": images(1, 2, 3, 1, P=1),
            "patches side by side": images(1, 2, 6, 1, P=2),
            "patches below one another": images(1, 6, 2, 1, P=2),
            "a single patch in colour": images(1, 3, 3, 3, P=3),
            "higher than wide": images(1, 6, 4, 1, P=2),
            "pixels left over": images(1, 5, 8, 1, P=3),
            "odd sizes, in colour, several images": odd_images,
        },
        inside=inside.logits,
    ),
    "A1.2": Spec(
        {
            "a single patch": patches(1, 2, 2, 1, 2),
            "patches side by side": patches(1, 2, 6, 1, 2),
            "a single patch in colour": patches(1, 3, 3, 3, 3),
            "higher than wide": patches(1, 6, 4, 1, 2),
            "pixels left over": patches(1, 5, 8, 1, 3),
            "odd sizes, in colour, several images": odd_patches,
        },
        inside=inside.gradients,
    ),
    "A1.3": Spec(
        {
            "no bias, one patch, one colour": embedding(1, 2, 2, 1, 2, 3, bias=False),
            "a black image": dark,
            "in colour": embedding(1, 2, 2, 3, 2, 3, bias=False),
            "higher than wide": embedding(1, 6, 4, 2, 2, 3),
            "odd sizes, several images": odd_embedding,
        },
        inside=inside.logits,
    ),
    "A1.4": Spec(
        {
            "one patch, one token in front": tokens(1, 1, 2, 1),
            "several images": tokens(3, 4, 2, 1),
            "two tokens in front": tokens(1, 4, 3, 2),
            "odd sizes": odd_tokens,
        },
        inside=inside.logits,
    ),
    "A1.5": Spec(
        {
            "the same size": table((2, 3), (2, 3), 1, 2, "bilinear"),
            "twice as large, nothing in front": table((2, 2), (4, 4), 0, 1, "bilinear"),
            "the class token keeps its row": table((2, 2), (4, 4), 1, 2, "bilinear"),
            "higher than wide": table((3, 2), (5, 4), 1, 2, "bilinear"),
            "another recipe": table((3, 3), (5, 5), 1, 2, "corner_bilinear"),
            "odd sizes, two tokens in front": odd_table,
        },
        inside=inside.logits,
    ),
}
