"""One head by hand: scores, softmax, values; heads apart and together; the whole layer."""

from ...config import ViTConfig
from . import OPS, TAP, Spec, distribution, inside, several, sizes


def pair(*shape):
    return lambda rng: (rng.standard_normal(shape), rng.standard_normal(shape))


def odd_pair(rng):
    return pair(*sizes(rng, 4, 2, 7))(rng)


def attend(*shape):
    return lambda rng: (*(rng.standard_normal(shape) for _ in range(3)), OPS, TAP)


def odd_attend(rng):
    return attend(*sizes(rng, 4, 2, 7))(rng)


def mix(B, H, N, K):
    return lambda rng: (distribution(rng, B, H, N, N), rng.standard_normal((B, H, N, K)))


def odd_mix(rng):
    return mix(*sizes(rng, 4, 2, 7))(rng)


def split(B, N, heads, K):
    return lambda rng: (rng.standard_normal((B, N, 3 * heads * K)), heads)


def odd_split(rng):
    return split(*sizes(rng, 4, 2, 7))(rng)


def merge(*shape):
    return lambda rng: (rng.standard_normal(shape),)


def odd_merge(rng):
    return merge(*sizes(rng, 4, 2, 7))(rng)


def layer(B, N, heads, K):
    D = heads * K

    def make(rng):
        def linear(inputs, outputs):
            return {"w": rng.standard_normal((inputs, outputs)), "b": rng.standard_normal(outputs)}

        config = ViTConfig("a layer", 2, D, 1, heads, D)
        return {"qkv": linear(D, 3 * D), "out": linear(D, D)}, rng.standard_normal((B, N, D)), config, OPS, TAP

    return make


def odd_layer(rng):
    return layer(*sizes(rng, 4, 2, 6))(rng)


SPECS = {
    "A3.1": Spec(
        {
            "one token, K = 1": pair(1, 1, 1, 1),
            "one token, K = 4": pair(1, 1, 1, 4),
            "two heads": pair(1, 2, 1, 4),
            "several tokens": pair(1, 1, 3, 4),
            "as many tokens as K": pair(1, 1, 4, 4),
            "odd sizes": odd_pair,
        },
        inside=inside.logits,
    ),
    "A3.2": Spec(
        {
            "one token: only the value counts": attend(1, 1, 1, 4),
            "two tokens": attend(1, 1, 2, 4),
            "several heads": attend(1, 3, 4, 2),
            "as many tokens as K": attend(1, 2, 4, 4),
            "odd sizes": odd_attend,
        },
        inside=inside.logits,
    ),
    "A3.3": Spec(
        {
            "one token": mix(1, 1, 1, 3),
            "several tokens": mix(1, 1, 4, 3),
            "as many tokens as K": mix(1, 2, 4, 4),
            "odd sizes": odd_mix,
        },
        inside=inside.logits,
    ),
    "A3.4": Spec(
        {
            "one token, one head": split(1, 1, 1, 2),
            "one token, two heads": split(1, 1, 2, 2),
            "several tokens, one head": split(1, 3, 1, 2),
            "several images": split(2, 3, 2, 2),
            "odd sizes": odd_split,
        },
        call=several,
        inside=inside.logits,
    ),
    "A3.5": Spec(
        {
            "one token, one head": merge(1, 1, 1, 3),
            "one token, two heads": merge(1, 2, 1, 3),
            "several tokens, two heads": merge(1, 2, 3, 3),
            "odd sizes": odd_merge,
        },
        inside=inside.logits,
    ),
    "A3.6": Spec(
        {
            "one token, one head": layer(1, 1, 1, 3),
            "several tokens, one head": layer(1, 4, 1, 3),
            "one token, two heads": layer(1, 1, 2, 3),
            "odd sizes": odd_layer,
        },
        inside=inside.logits,
    ),
}
