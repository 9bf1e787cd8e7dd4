"""Numerics that matter: softmax, LayerNorm, GELU."""

import numpy as np

from . import Spec, inside, normal, sizes


def fixed(*rows):
    return lambda rng: (np.array(rows, float),)


def odd(rng):
    return (3 * rng.standard_normal(sizes(rng, 3)),)


def norm(*shape, eps=1e-6, scale=1.0, bias=0.0, learned=False, plus=0.0, times=1.0):
    def make(rng):
        x, ones = times * rng.standard_normal(shape) + plus, np.ones(shape[-1])
        if learned:
            return x, rng.standard_normal(shape[-1]), rng.standard_normal(shape[-1]), eps
        return x, scale * ones, bias * ones, eps

    return make


def equal_numbers(rng):
    return np.full((2, 4), 3.0), np.ones(4), np.zeros(4), 1e-6


def odd_norm(rng):
    B, N, D = sizes(rng, 3, 3, 8)
    return norm(B, N, D, eps=0.1, learned=True)(rng)


GELU = {
    "zero": fixed(0.0),
    "one and minus one": fixed(1.0, -1.0),
    "small numbers": normal(40, times=0.01),
    "from −6 to 6": lambda rng: (np.linspace(-6, 6, 49),),
    "large numbers": fixed(30.0, -30.0),
    "odd sizes": odd,
}

SPECS = {
    "A2.1": Spec(
        {
            "a row of one": fixed([2.0]),
            "two equal numbers": fixed([1.0, 1.0]),
            "one row": fixed([1.0, 2.0, 4.0]),
            "two rows": fixed([1.0, 2.0, 4.0], [0.0, 0.5, -1.0]),
            "large numbers": fixed([1e4, 1e4 + 1, 1e4 - 2]),
            "very negative numbers": fixed([-1e4, -1e4 + 1, -1e4 - 2]),
            "rows of very different size": fixed([1e4, 1e4 + 1], [-1e4, -1e4 + 2]),
            "odd sizes": odd,
        },
        inside=inside.logits,
    ),
    "A2.2": Spec(
        {
            "one token": norm(1, 4),
            "several tokens": norm(5, 4, times=3.0),
            "far from zero": norm(3, 4, plus=100.0),
            "two numbers": norm(3, 2),
            "all numbers equal": equal_numbers,
            "large eps": norm(3, 4, eps=0.5),
            "scale zero, bias one": norm(3, 4, scale=0.0, bias=1.0),
            "scale two": norm(3, 4, scale=2.0),
            "learned scale and bias": norm(3, 4, learned=True),
            "odd sizes, large eps": odd_norm,
        },
        inside=inside.logits,
    ),
    "A2.3": Spec(GELU, inside=inside.logits),
    "A2.4": Spec(GELU, inside=inside.logits),
}
