"""Backprop without autograd: the backward of every op."""

import numpy as np

from . import Spec, distribution, inside, sizes


def linear(I, O, *rows):  # noqa: E741
    return lambda rng: (rng.standard_normal((*rows, O)), rng.standard_normal((*rows, I)), rng.standard_normal((I, O)))


def odd_linear(rng):
    return linear(*sizes(rng, 4))(rng)


def norm(*shape, eps=1e-6, scale=None):
    def make(rng):
        own = rng.standard_normal(shape[-1]) if scale is None else np.full(shape[-1], scale)
        return rng.standard_normal(shape), 2 * rng.standard_normal(shape) + 1, own, eps

    return make


def odd_norm(rng):
    return norm(*sizes(rng, 3, 3, 8), eps=0.1)(rng)


def gelu(kind, *shape, dy=None):
    def make(rng):
        x = 2 * rng.standard_normal(shape)
        return rng.standard_normal(shape) if dy is None else np.full(shape, dy), x, kind

    return make


def odd_gelu(rng):
    return gelu("erf", *sizes(rng, 3))(rng)


def softmax(*shape):
    return lambda rng: (rng.standard_normal(shape), distribution(rng, *shape))


def odd_softmax(rng):
    return softmax(*sizes(rng, 4))(rng)


def certain(rng):
    return rng.standard_normal((1, 3)), np.array([[0.0, 1.0, 0.0]])


def equal(rng):
    return np.ones((1, 4)), distribution(rng, 1, 4)


def scores(B, H, N, K):
    shape = B, H, N, K
    return lambda rng: (rng.standard_normal((B, H, N, N)), rng.standard_normal(shape), rng.standard_normal(shape))


def odd_scores(rng):
    return scores(*sizes(rng, 4))(rng)


def mix(B, H, N, K):
    shape = B, H, N, K
    return lambda rng: (rng.standard_normal(shape), distribution(rng, B, H, N, N), rng.standard_normal(shape))


def odd_mix(rng):
    return mix(*sizes(rng, 4))(rng)


def loss(*shape, times=1.0):
    return lambda rng: (times * rng.standard_normal(shape), distribution(rng, *shape))


def odd_loss(rng):
    return loss(*sizes(rng, 3))(rng)


SPECS = {
    "A6.1": Spec(
        {
            "one row, square": linear(3, 3, 1),
            "several rows": linear(3, 3, 4),
            "more outputs than inputs": linear(2, 5, 4),
            "odd sizes, two axes of rows": odd_linear,
        },
        inside=inside.gradients,
        gradients=("linear",),
    ),
    "A6.2": Spec(
        {
            "one token, scale one": norm(1, 4, scale=1.0),
            "one token, scale two": norm(1, 4, scale=2.0),
            "learned scale": norm(1, 4),
            "several tokens": norm(5, 4),
            "large eps": norm(3, 4, eps=0.5),
            "odd sizes, two axes of tokens": odd_norm,
        },
        inside=inside.gradients,
        gradients=("layernorm",),
    ),
    "A6.3": Spec(
        {
            "slope of the approximation": gelu("tanh", 20, dy=1.0),
            "slope of the definition": gelu("erf", 20, dy=1.0),
            "a gradient from above": gelu("tanh", 3, 4),
            "odd sizes": odd_gelu,
        },
        inside=inside.gradients,
        gradients=("gelu tanh", "gelu erf"),
    ),
    "A6.4": Spec(
        {
            "a row of one": softmax(1, 1),
            "the same gradient everywhere": equal,
            "a certain row": certain,
            "one row": softmax(1, 3),
            "square": softmax(3, 3),
            "odd sizes": odd_softmax,
        },
        inside=inside.gradients,
        gradients=("softmax",),
    ),
    "A6.5": Spec(
        {
            "K = 1": scores(1, 1, 3, 1),
            "K = 4": scores(1, 1, 3, 4),
            "as many tokens as K": scores(1, 2, 4, 4),
            "odd sizes": odd_scores,
        },
        inside=inside.gradients,
        gradients=("scores",),
    ),
    "A6.6": Spec(
        {
            "one token": mix(1, 1, 1, 3),
            "several tokens": mix(1, 1, 3, 2),
            "as many tokens as K": mix(1, 2, 4, 4),
            "odd sizes": odd_mix,
        },
        inside=inside.gradients,
        gradients=("mix",),
    ),
    "A6.7": Spec(
        {
            "one row": loss(1, 3),
            "several rows": loss(4, 3),
            "large logits": loss(3, 4, times=1e4),
            "two axes of rows": loss(2, 3, 4),
            "odd sizes": odd_loss,
        },
        inside=inside.gradients,
        gradients=("cross_entropy",),
    ),
}
