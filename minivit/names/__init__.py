"""Which tensors a forward pass makes, by name: the tables of tables.py, unrolled for one model."""

import fnmatch
import re
from dataclasses import replace

from ..errors import InputError, nearest
from .tables import (
    AFTER,
    BEFORE,
    BERT_BEFORE,
    BERT_BLOCK,
    BLOCK,
    HIDDEN,
    MIXER_BLOCK,
    PAINTED,
    POINT,
    STEM,
    TEXT_AFTER,
    TEXT_BEFORE,
    TOGETHER,
    UNIT,
)


def of(config):
    """{name: Tensor} of one model, in execution order."""
    family = {"vit": _vit, "masked": _masked, "hybrid": _hybrid, "mixer": _mixer, "lit": _lit}[config.family]
    return {tensor.name: tensor for tensor in family(config)}


def _vit(config):
    blocks = [_inside(f"block{i}", tensor) for i in range(config.blocks) for tensor in BLOCK]
    return [tensor for tensor in (*BEFORE, *blocks, *AFTER) if tensor.exists(config)]


def _masked(config):
    known = {tensor.name: tensor for tensor in _vit(config) if not tensor.name.startswith("head.")}
    first = ("image", "embed.patches")
    return [*(known.pop(name) for name in first), HIDDEN, *known.values(), *PAINTED]


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
    before = (BEFORE[0], replace(BEFORE[1], symbol="X", official="stem"))
    blocks = [_inside(f"block{i}", tensor) for i in range(config.blocks) for tensor in MIXER_BLOCK]
    norm, pooled, *_, logits = AFTER
    norm = replace(norm, symbol="LN(Y)", official="pre_head_layer_norm", exists=lambda _: True)
    after = (norm, replace(pooled, symbol="mean LN(Y)", meaning="the feature: the mean of all tokens"), logits)
    return [tensor for tensor in (*before, *blocks, *after) if tensor.exists(config)]


def _lit(config):
    found = []
    for tower, letter, tensors in (("img", "B", _vit(config.img)), ("txt", "T", _text(config.txt))):
        for tensor in (*tensors, *POINT):
            tensor = replace(tensor, shape=tensor.shape.format(n=letter), official=f"{tower}/{tensor.official}")
            found.append(_inside(tower, tensor))
    return [*found, *TOGETHER]


def _text(config):
    if config.kind == "bert":
        before, block, after = BERT_BEFORE, BERT_BLOCK, TEXT_AFTER
    else:
        before, block, after = TEXT_BEFORE, _of_texts(BLOCK), (*_of_texts(AFTER[:1]), *TEXT_AFTER)
    return [*before, *(_inside(f"block{i}", tensor) for i in range(config.blocks) for tensor in block), *after]


def _of_texts(tensors):
    # the encoder of the Vision Transformer, where it reads texts
    return [
        replace(
            tensor, shape=tensor.shape.replace("B", "T"), official=tensor.official.replace("Transformer", "Encoder_0")
        )
        for tensor in tensors
    ]


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
        if not matched and config.family == "mixer" and re.search(r"attn|embed\.(out|position)", pattern):
            raise no_attention(config)
        if not matched:
            raise InputError(
                f"{config.name} has no tensor {pattern!r}{nearest(pattern, known)} (`minivit trace` lists them)"
            )
        wanted.update(matched)
    return [name for name in known if name in wanted]


def no_attention(config):
    """The InputError for what needs the attention, or the positions, of a model that has none."""
    return InputError(
        f"{config.name} has no attention and no positions: the tokens of a Mixer meet in an MLP, whose weights are the "
        "same for every picture; trace, demo, classify, features, probe, gradients and look --map filters or pca work"
    )


def shape(tensor, config, batch=1, image=None):
    """The shape in numbers, for a batch of images of (height, width) pixels (default: the trained size).

    LiT: with as many texts as images.
    """
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
        "T": batch,
    }
    if tensor.name.startswith("txt."):
        sizes |= {**config.txt.letters, "N": config.length}
    per_token = ["N"] if "unpooled" in config.pool else []
    letters = [letter for axis in tensor.shape.split() for letter in (per_token if axis == "*" else [axis])]
    return tuple(_number(letter, sizes) for letter in letters)


def _number(letter, sizes):
    # "D" -> 768, "64" -> 64, "h/4" -> a quarter of the height, rounded up
    if letter.isdigit():
        return int(letter)
    letter, _, divisor = letter.partition("/")
    return -(-sizes[letter] // int(divisor or 1))
