"""The single table of tensor names: every intermediate of the forward pass has one name, and only one.

Grammar: ``[block{i}.]part.tensor``.  The table stands in execution order; `of(config)` unrolls it for one model.
Shape letters are those of the shapes glossary: B images, N tokens, G patches, D width, H heads, K head width, M mlp
width, R representation width, S a Mixer's hidden width across tokens, C classes, h × w pixels (h/4: a quarter, rounded
up), c channels; "*" is N for unpooled models and nothing otherwise.
Symbols are those of arXiv:2010.11929, official paths those of vit_jax/models_vit.py.
"""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, replace

from .errors import InputError, nearest


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: str
    symbol: str
    official: str
    meaning: str
    exists: Callable = lambda config: True


_ATTENTION = "Transformer/encoderblock_{i}/MultiHeadDotProductAttention_1"
_MLP = "Transformer/encoderblock_{i}/MlpBlock_3"

BEFORE = (
    Tensor("image", "B h w c", "x", "(input)", "pixels after resizing and normalising"),
    Tensor("embed.patches", "B G D", "x_p E", "embedding", "one vector per patch, row by row"),
    Tensor(
        "embed.tokens", "B N D", "[x_class; x_p E]", "cls", "class token (and distillation token) put in front",
        exists=lambda config: config.prefix > 0,
    ),
    Tensor("embed.position", "1 N D", "E_pos", "Transformer/posembed_input", "position table at this resolution"),
    Tensor("embed.out", "B N D", "z_0", "Transformer/posembed_input", "tokens plus positions: the stream starts"),
)  # fmt: skip

BLOCK = (
    Tensor("ln1.out", "B N D", "LN(z_{l-1})", "Transformer/encoderblock_{i}/LayerNorm_0", "what attention reads"),
    Tensor("attn.q", "B H N K", "q", f"{_ATTENTION}/query", "queries, before the division by √K"),
    Tensor("attn.k", "B H N K", "k", f"{_ATTENTION}/key", "keys"),
    Tensor("attn.v", "B H N K", "v", f"{_ATTENTION}/value", "values"),
    Tensor("attn.scores", "B H N N", "q kᵀ / √D_h", _ATTENTION, "how well each query (row) fits each key (column)"),
    Tensor("attn.probs", "B H N N", "A", _ATTENTION, "softmax of the scores: every row sums to one"),
    Tensor("attn.z", "B H N K", "A v", _ATTENTION, "values averaged with those weights, per head"),
    Tensor("attn.out", "B N D", "MSA(LN(z_{l-1}))", f"{_ATTENTION}/out", "heads side by side, mixed by one matrix"),
    Tensor("resid_mid", "B N D", "z'_l", "Transformer/encoderblock_{i}", "residual stream after attention"),
    Tensor("ln2.out", "B N D", "LN(z'_l)", "Transformer/encoderblock_{i}/LayerNorm_2", "what the MLP reads"),
    Tensor("mlp.pre", "B N M", "LN(z'_l) W_1", f"{_MLP}/Dense_0", "hidden layer before GELU"),
    Tensor("mlp.act", "B N M", "GELU(LN(z'_l) W_1)", _MLP, "hidden layer after GELU"),
    Tensor("mlp.out", "B N D", "MLP(LN(z'_l))", f"{_MLP}/Dense_1", "what the MLP adds to the stream"),
    Tensor("resid_post", "B N D", "z_l", "Transformer/encoderblock_{i}", "residual stream after the block"),
)

STEM = (
    Tensor("stem.conv", "B h/2 w/2 {c}", "–", "conv_root", "7×7 convolution with standardised weights"),
    Tensor("stem.norm", "B h/2 w/2 {c}", "–", "gn_root", "…normalised by GroupNorm, before ReLU"),
    Tensor("stem.pool", "B h/4 w/4 {c}", "–", "(max_pool)", "…after ReLU: the largest of every 3×3"),
)
_UNIT = "block{stage}/unit{unit}"
UNIT = (
    Tensor("proj", "{out} {outer}", "–", f"{_UNIT}/conv_proj", "the input, projected to more channels"),
    Tensor("proj_norm", "{out} {outer}", "–", f"{_UNIT}/gn_proj", "…normalised"),
    Tensor("conv1", "{in} {inner}", "–", f"{_UNIT}/conv1", "1×1 convolution to few channels"),
    Tensor("norm1", "{in} {inner}", "–", f"{_UNIT}/gn1", "…normalised, before ReLU"),
    Tensor("conv2", "{out} {inner}", "–", f"{_UNIT}/conv2", "3×3 convolution"),
    Tensor("norm2", "{out} {inner}", "–", f"{_UNIT}/gn2", "…normalised, before ReLU"),
    Tensor("conv3", "{out} {outer}", "–", f"{_UNIT}/conv3", "1×1 convolution to many channels"),
    Tensor("norm3", "{out} {outer}", "–", f"{_UNIT}/gn3", "…normalised"),
    Tensor("out", "{out} {outer}", "–", _UNIT, "ReLU of the sum of both paths"),
)

_MIXER = "MixerBlock_{i}"
MIXER_BLOCK = (
    Tensor("ln1.out", "B N D", "LN(X)", f"{_MIXER}/LayerNorm_0", "what the MLP across tokens reads"),
    Tensor("token_mlp.in", "B D N", "LN(X)ᵀ", f"{_MIXER}/token_mixing", "…turned: one row per channel"),
    Tensor("token_mlp.pre", "B D S", "W_1 LN(X)", f"{_MIXER}/token_mixing/Dense_0", "hidden layer before GELU"),
    Tensor("token_mlp.act", "B D S", "σ(W_1 LN(X))", f"{_MIXER}/token_mixing", "hidden layer after GELU"),
    Tensor(
        "token_mlp.out", "B D N", "W_2 σ(W_1 LN(X))", f"{_MIXER}/token_mixing/Dense_1", "what tokens tell each other"
    ),
    Tensor("resid_mid", "B N D", "U", _MIXER, "residual stream after it, turned back"),
    Tensor("ln2.out", "B N D", "LN(U)", f"{_MIXER}/LayerNorm_1", "what the MLP across channels reads"),
    Tensor("mlp.pre", "B N M", "LN(U) W_3", f"{_MIXER}/channel_mixing/Dense_0", "hidden layer before GELU"),
    Tensor("mlp.act", "B N M", "σ(LN(U) W_3)", f"{_MIXER}/channel_mixing", "hidden layer after GELU"),
    Tensor("mlp.out", "B N D", "σ(LN(U) W_3) W_4", f"{_MIXER}/channel_mixing/Dense_1", "what the MLP adds"),
    Tensor("resid_post", "B N D", "Y", _MIXER, "residual stream after the block"),
)

_NORM = "Transformer/encoder_norm"
AFTER = (
    Tensor("final.norm", "B N D", "LN(z_L)", _NORM, "all tokens, normalised", lambda c: not c.norm_after_pool),
    Tensor("head.pooled", "B * D", "LN(z_L^0)", "(pool)", "the feature: class token, mean, or every token"),
    Tensor("final.norm", "B * D", "LN(mean z_L)", _NORM, "the pooled feature, normalised", lambda c: c.norm_after_pool),
    Tensor("head.pre_tanh", "B * R", "W y + b", "pre_logits", "representation layer", lambda c: c.representation),
    Tensor("head.representation", "B * R", "tanh(W y + b)", "pre_logits", "…and its tanh", lambda c: c.representation),
    Tensor("head.class_logits", "B C", "–", "(DeiT)", "logits from the class token", lambda c: c.distilled_head),
    Tensor("head.distill_logits", "B C", "–", "(DeiT)", "logits from the second token", lambda c: c.distilled_head),
    Tensor("logits", "B * C", "y", "head", "one score per class", lambda c: c.classes),
)  # fmt: skip


def of(config):
    """{name: Tensor} of one model, in execution order."""
    return {tensor.name: tensor for tensor in {"vit": _vit, "hybrid": _hybrid, "mixer": _mixer}[config.family](config)}


def _vit(config):
    blocks = [_inside(f"block{i}", tensor) for i in range(config.blocks) for tensor in BLOCK]
    return [tensor for tensor in (*BEFORE, *blocks, *AFTER) if tensor.exists(config)]


def _hybrid(config):
    image, *others = _vit(config)
    stem = [replace(tensor, shape=tensor.shape.format(c=config.stem.width)) for tensor in STEM]
    for name, inner, outer, _, projected in config.stem.layers():
        _, stage, unit = name.split(".")
        out = 4 * 2 ** int(stage)
        before = out // 2 if projected and int(stage) else out
        sizes = {"in": f"B h/{before} w/{before}", "out": f"B h/{out} w/{out}", "inner": inner, "outer": outer}
        for tensor in UNIT[0 if projected else 2 :]:
            tensor = _inside(f"stem.stage{stage}.unit{unit}", replace(tensor, shape=tensor.shape.format(**sizes)))
            stem.append(replace(tensor, official=tensor.official.format(stage=int(stage) + 1, unit=int(unit) + 1)))
    return [image, *stem, *others]


def _mixer(config):
    before = (BEFORE[0], replace(BEFORE[1], official="stem"))
    blocks = [_inside(f"block{i}", tensor) for i in range(config.blocks) for tensor in MIXER_BLOCK]
    norm, pooled, *_, logits = AFTER
    after = (replace(norm, official="pre_head_layer_norm", exists=lambda _: True), pooled, logits)
    return [tensor for tensor in (*before, *blocks, *after) if tensor.exists(config)]


def _inside(part, tensor):
    return replace(tensor, name=f"{part}.{tensor.name}")


def expand(patterns, config):
    """The names that a pattern such as "block*.attn.probs" (or several, or a comma-separated list) stands for.

    Raises InputError, with the nearest names, for a pattern that matches nothing: an empty result would be silent.
    """
    known = of(config)
    if isinstance(patterns, str):
        patterns = [p.strip() for p in patterns.split(",")]
    wanted = set()
    for pattern in patterns:
        matched = fnmatch.filter(known, pattern)
        if not matched:
            raise InputError(
                f"{config.name} has no tensor {pattern!r}{nearest(pattern, known)} (`minivit trace` lists them)"
            )
        wanted.update(matched)
    return [name for name in known if name in wanted]


def shape(tensor, config, batch=1, image=None):
    """The shape in numbers, for a batch of images of (height, width) pixels (default: the trained size)."""
    height, width = image or config.image
    rows, columns = config.grid_of(height, width)
    G = rows * columns
    sizes = {
        **config.letters,
        "B": batch,
        "h": height,
        "w": width,
        "c": config.channels,
        "G": G,
        "N": config.prefix + G,
    }
    per_token = ["N"] if "unpooled" in config.pool else []
    letters = [letter for axis in tensor.shape.split() for letter in (per_token if axis == "*" else [axis])]
    return tuple(_number(letter, sizes) for letter in letters)


def _number(letter, sizes):
    # "D" -> 768, "64" -> 64, "h/4" -> a quarter of the height, rounded up
    if letter.isdigit():
        return int(letter)
    letter, _, divisor = letter.partition("/")
    return -(-sizes[letter] // int(divisor or 1))
