"""The canonical parameter tree: one nested dict of arrays, whatever file the numbers came from.

    embed    w (P,P,channels,D)  b (D)  prefix (1,prefix,D)  position (1,N,D)
    blocks   a list of L dicts:  ln1 {scale, bias}   attn {qkv {w (D,3D), b}, out {w (D,D), b}}
                                 ln2 {scale, bias}   mlp {fc1 {w (D,M), b}, fc2 {w (M,D), b}}
    norm     {scale, bias}                                     the final LayerNorm
    representation {w (D,R), b}, head {w, b (C)}, head_distill {w, b}     where the config has them

Matrices are (in, out): a layer is ``x @ w + b``.  Flat names join the path with dots: "blocks.3.attn.qkv.w".
"""

import math

import numpy as np


def shapes(config):
    """{flat name: shape} of every parameter of a config, in reading order.  The one list that loaders check against."""
    D, M = config.width, config.mlp
    found = {"embed.w": (config.patch, config.patch, config.channels, D), "embed.b": (D,)}
    if config.prefix:
        found["embed.prefix"] = (1, config.prefix, D)
    found["embed.position"] = (1, config.tokens, D)
    for i in range(config.blocks):
        block = {
            **_norm("ln1", D),
            **_linear("attn.qkv", D, 3 * D, bias=config.qkv_bias),
            **_linear("attn.out", D, D),
            **_norm("ln2", D),
            **_linear("mlp.fc1", D, M),
            **_linear("mlp.fc2", M, D),
        }
        found.update({f"blocks.{i}.{name}": shape for name, shape in block.items()})
    found.update(_norm("norm", D))
    if config.representation:
        found.update(_linear("representation", D, config.representation))
    if config.classes:
        feature = config.representation or D
        found.update(_linear("head", feature, config.classes))
        if config.distilled_head:
            found.update(_linear("head_distill", feature, config.classes))
    return found


def _norm(name, width):
    return {f"{name}.scale": (width,), f"{name}.bias": (width,)}


def _linear(name, inputs, outputs, bias=True):
    return {f"{name}.w": (inputs, outputs), **({f"{name}.b": (outputs,)} if bias else {})}


def count(config):
    """Number of parameters (spec: vit_jax/models_test.py)."""
    return sum(math.prod(shape) for shape in shapes(config).values())


def nest(flat):
    """{"blocks.0.ln1.scale": a, …} -> {"blocks": [{"ln1": {"scale": a}}], …}; numbered children become lists."""
    tree = {}
    for name, value in flat.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    if "blocks" in tree:
        tree["blocks"] = [tree["blocks"][str(i)] for i in range(len(tree["blocks"]))]
    return tree


def flatten(tree, prefix=""):
    """The inverse of nest."""
    items = enumerate(tree) if isinstance(tree, list) else tree.items()
    flat = {}
    for name, value in items:
        if isinstance(value, (dict, list)):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def seeded(config, seed=0, dtype=np.float32):
    """A tree of random numbers, the same for the same seed: for demonstrations and tests, not for recognising anything.

    Matrices have variance 1/inputs, so that every tensor of the forward pass stays of order one.
    """
    rng = np.random.default_rng(seed)
    flat = {}
    for name, shape in shapes(config).items():
        leaf = name.rsplit(".", 1)[1]
        z = rng.standard_normal(shape)
        if leaf == "w":
            z /= math.sqrt(math.prod(shape[:-1]))
        elif leaf == "scale":
            z = 1 + 0.1 * z
        else:
            z *= 0.1 if leaf in ("b", "bias") else 0.3
        flat[name] = z.astype(dtype)
    return nest(flat)
