"""The canonical parameter tree: one nested dict of arrays, whatever file the numbers came from.

    embed    w (P,P,channels,D)  b (D)  prefix (1,prefix,D)  position (1,N,D)
    stem     of hybrids: conv {w (7,7,3,·)}, norm {scale, bias}, stages: lists of units, each {conv1 {w}, norm1, …}
    blocks   a list of L dicts:  ln1 {scale, bias}   attn {qkv {w (D,3D), b}, out {w (D,D), b}}
                                 ln2 {scale, bias}   mlp {fc1 {w (D,M), b}, fc2 {w (M,D), b}}
             (of a Mixer: token_mlp {fc1 {w (N,S), b}, fc2 {w (S,N), b}} in the place of attn)
    norm     {scale, bias}                                     the final LayerNorm (of BERT: that of the embeddings)
    representation {w (D,R), b}, head {w, b (C)}, head_distill {w, b}     where the config has them
             (of masked image modelling: embed.mask (1,1,D), decoder {w (D,O), b} in the place of a head)

LiT has two such trees, img and txt, and similarity {t (1)}, the logarithm of its temperature.  Its text tower embeds by
tables: embed  tokens (V,D)  position (1,Q,D), in BERT (Q,D)  segment (S,D).
Matrices are (in, out): a layer is ``x @ w + b``.  Flat names join the path with dots: "blocks.3.attn.qkv.w".
"""

import math

import numpy as np


def shapes(config):
    """{flat name: shape} of every parameter of a config, in reading order.  The one list that loaders check against."""
    return {"vit": _vit, "masked": _masked, "hybrid": _hybrid, "mixer": _mixer, "lit": _lit}[config.family](config)


def _vit(config):
    D = config.width
    found = _embed(config)
    if config.prefix:
        found["embed.prefix"] = (1, config.prefix, D)
    found["embed.position"] = (1, config.tokens, D)
    mixing = {**_linear("attn.qkv", D, 3 * D, bias=config.qkv_bias), **_linear("attn.out", D, D)}
    return found | _blocks(config, mixing) | _norm("norm", D) | _heads(config)


def _masked(config):
    decoder = _linear("decoder", config.width, config.patch**2 * config.channels)
    return {**_vit(config), "embed.mask": (1, 1, config.width), **decoder}


def _mixer(config):
    N, S = config.tokens, config.token_mlp
    mixing = {**_linear("token_mlp.fc1", N, S), **_linear("token_mlp.fc2", S, N)}
    head = _linear("head", config.width, config.classes) if config.classes else {}
    return _embed(config) | _blocks(config, mixing) | _norm("norm", config.width) | head


def _hybrid(config):
    stem = config.stem
    found = {"stem.conv.w": (7, 7, config.channels, stem.width), **_norm("stem.norm", stem.width)}
    for name, inner, outer, inputs, projected in stem.layers():
        kernels = {"conv1": (1, 1, inputs, inner), "conv2": (3, 3, inner, inner), "conv3": (1, 1, inner, outer)}
        if projected:
            kernels["proj"] = (1, 1, inputs, outer)
        for conv, shape in kernels.items():
            found[f"stem.{name}.{conv}.w"] = shape
            found |= _norm(f"stem.{name}.{conv.replace('conv', 'norm').replace('proj', 'proj_norm')}", shape[-1])
    return found | _vit(config)


def _lit(config):
    img = {f"img.{name}": shape for name, shape in shapes(config.img).items()}
    txt = {f"txt.{name}": shape for name, shape in _text(config.txt).items()}
    return {**img, **txt, "similarity.t": (1,)}


def _text(config):
    D, Q = config.width, config.positions
    mixing = {**_linear("attn.qkv", D, 3 * D), **_linear("attn.out", D, D)}
    tables = {"embed.tokens": (config.vocabulary, D), "embed.position": (1, Q, D)}
    if config.kind == "bert":
        tables |= {"embed.position": (Q, D), "embed.segment": (config.segments, D)}
    return tables | _norm("norm", D) | _blocks(config, mixing) | _linear("head", D, config.out)


def _embed(config):
    return {
        "embed.w": (config.patch, config.patch, config.patch_channels, config.width),
        "embed.b": (config.width,),
    }


def _blocks(config, mixing):
    # mixing: what stands between the two norms of a block, where tokens meet
    D, M = config.width, config.mlp
    mlp = {**_linear("mlp.fc1", D, M), **_linear("mlp.fc2", M, D)}
    block = {**_norm("ln1", D), **mixing, **_norm("ln2", D), **mlp}
    return {f"blocks.{i}.{name}": shape for i in range(config.blocks) for name, shape in block.items()}


def _heads(config):
    D, found = config.width, {}
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
    return _with_lists(tree)


def _with_lists(node):
    if not isinstance(node, dict):
        return node
    children = {name: _with_lists(child) for name, child in node.items()}
    numbered = children and all(name.isdigit() for name in children)
    return [children[str(i)] for i in range(len(children))] if numbered else children


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
    return nest(dict(drawn(config, seed, dtype)))


def drawn(config, seed=0, dtype=np.float32):
    """The same as pairs (flat name, array), each drawn when its turn comes."""
    rng = np.random.default_rng(seed)
    for name, shape in shapes(config).items():
        leaf = name.rsplit(".", 1)[1]
        z = rng.standard_normal(shape)
        if leaf == "w":
            z /= math.sqrt(math.prod(shape[:-1]))
        elif leaf == "scale":
            z = 1 + 0.1 * z
        else:
            z *= 0.1 if leaf in ("b", "bias") else 0.3
        yield name, z.astype(dtype)
