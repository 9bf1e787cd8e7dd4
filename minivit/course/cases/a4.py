"""The whole ViT: the MLP, a block, the embedding, the model."""

from ... import params
from ...config import ViTConfig
from . import OPS, TAP, Spec, inside, sizes


def config_of(width=4, mlp=6, heads=2, **more):
    return ViTConfig("a small model", **{"patch": 2, "width": width, "blocks": 1, "heads": heads, "mlp": mlp, **more})


def tree(config, rng):
    return params.seeded(config, int(rng.integers(1 << 31)), float)


def part(name, B, N, **more):
    # inputs of a step of the first block: its parameters, x (B,N,D), the configuration
    def make(rng):
        config = config_of(**more)
        p = tree(config, rng)["blocks"][0]
        p = p[name] if name else p
        return p, rng.standard_normal((B, N, config.width)), config, OPS, TAP

    return make


def odd_part(name, **more):
    def make(rng):
        B, N, K, M = sizes(rng, 4, 2, 7)
        return part(name, B, N, width=3 * K, heads=3, mlp=M, eps=0.1, **more)(rng)

    return make


def embed(B, height, width, **more):
    def make(rng):
        config = config_of(**{"image": (6, 4), "position_resize": "bilinear", **more})
        return tree(config, rng)["embed"], rng.standard_normal((B, height, width, 3)), config, OPS, TAP

    return make


def odd_embed(rng):
    a, b = sizes(rng, 2, 4, 11)
    return embed(3, a, b, prefix=2)(rng)


def model(B, height, width, **more):
    def make(rng):
        config = config_of(**{"image": (6, 4), "classes": 3, **more})
        return tree(config, rng), rng.standard_normal((B, height, width, 3)), config, OPS, TAP

    return make


def odd_model(rng):
    a, b = sizes(rng, 2, 4, 11)
    return model(2, a, b, blocks=3, gelu="erf", eps=0.1)(rng)


SPECS = {
    "A4.1": Spec(
        {
            "one token": part("mlp", 1, 1),
            "GELU by its definition": part("mlp", 1, 3, gelu="erf"),
            "GELU by its approximation": part("mlp", 1, 3, gelu="tanh"),
            "odd sizes": odd_part("mlp"),
        },
        inside=inside.logits,
    ),
    "A4.2": Spec(
        {
            "one token": part("", 1, 1),
            "several tokens": part("", 1, 4),
            "odd sizes, large eps": odd_part(""),
        },
        inside=inside.logits,
    ),
    "A4.3": Spec(
        {
            "no token in front": embed(1, 6, 4, prefix=0, pool="gap"),
            "a class token": embed(1, 6, 4),
            "several images": embed(3, 6, 4),
            "larger than trained": embed(1, 8, 10),
            "odd sizes, two tokens in front": odd_embed,
        },
        inside=inside.logits,
    ),
    "A4.4": Spec(
        {
            "one block": model(1, 6, 4),
            "two blocks": model(1, 6, 4, blocks=2),
            "three blocks, several images": model(3, 6, 4, blocks=3),
            "odd sizes": odd_model,
        },
        inside=inside.logits,
    ),
}
