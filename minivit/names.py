"""The single table of tensor names: every intermediate of the forward pass has one name, and only one.

Grammar: ``[block{i}.]part.tensor``.  The table stands in execution order; `of(config)` unrolls it for one model.
Shape letters are those of the shapes glossary: B images, N tokens, G patches, D width, H heads, K head width, M mlp
width, R representation width, C classes, h × w pixels, c channels; "*" is N for unpooled models and nothing otherwise.
Symbols are those of arXiv:2010.11929, official paths those of vit_jax/models_vit.py.
"""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

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
    unrolled = [(t.name, t) for t in BEFORE]
    for i in range(config.blocks):
        unrolled += [(f"block{i}.{t.name}", t) for t in BLOCK]
    unrolled += [(t.name, t) for t in AFTER]
    return {name: tensor for name, tensor in unrolled if tensor.exists(config)}


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
    sizes = {
        "B": batch, "h": height, "w": width, "c": config.channels, "1": 1,
        "G": rows * columns, "N": config.prefix + rows * columns,
        "D": config.width, "H": config.heads, "K": config.head_width, "M": config.mlp,
        "R": config.representation, "C": config.classes,
    }  # fmt: skip
    per_token = ["N"] if "unpooled" in config.pool else []
    letters = [letter for axis in tensor.shape.split() for letter in (per_token if axis == "*" else [axis])]
    return tuple(sizes[letter] for letter in letters)
