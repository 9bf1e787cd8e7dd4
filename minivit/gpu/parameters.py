"""How tier "gpu" keeps a model's parameters: uploaded once, matrices in the dtype of the tier, all else in float32.

The residual stream stays in float32, whatever the dtype: rounding it after each of 24 additions would cost accuracy,
and keeping it costs little.  So every parameter knows the format of what is computed with it: matrices whose result
joins the stream, or is a model's answer, write float32; LayerNorm writes what the next product reads.
"""

import fnmatch
import math

import numpy as np

from ..errors import InputError
from ..ops.conv.gpu_halves import weights
from . import compat
from .arrays import on_device
from .formats import FLOAT32, FORMATS

#: their results join the residual stream, or leave the model
TO_FLOAT32 = ("embed.w", "*.attn.out.w", "*.fc2.w", "head.w", "head_distill.w", "decoder.w")

#: LiT's, in the whole tree and in its part
TEMPERATURE = ("similarity.t", "t")


def store(name, value, dtype):
    """One parameter, by its flat name, on the device.

    Weights of a hybrid's convolutions go there later (ops/conv/gpu_halves.py); LiT's temperature, one number, never.
    """
    half = FORMATS[dtype]
    is_matrix = name.endswith(".w")
    if name in TEMPERATURE:
        return np.asarray(value, np.float32)
    needed, free = math.prod(value.shape) * 4, compat.free_memory()
    if needed > free:
        raise InputError(f"{name} needs {_size(needed)} on the GPU, where {_size(free)} are free; use a smaller model")
    if name.startswith("stem."):
        return weights(value, half) if is_matrix else on_device(value)
    kept = on_device(value, half if is_matrix else FLOAT32)
    if name.endswith(".scale"):
        kept.output = half
    elif is_matrix:
        kept.output = FLOAT32 if any(fnmatch.fnmatch(name, pattern) for pattern in TO_FLOAT32) else half
    return kept


def activations_size(config, shape, dtype):
    """Bytes that a forward pass of images (B,h,w,c) needs beside the parameters: the most that lives at one time."""
    B, height, width, channels = shape
    tokens, D, half = config.prefix + math.prod(config.grid_of(height, width)), config.width, FORMATS[dtype].bytes
    inside = max(5 * D, D + config.mlp)  # numbers per token: LayerNorm's, q, k, v and z; or LayerNorm's and the hidden
    widest = 4 * 3 * D + half * inside  # … and the stream: before, in the middle of and behind a block
    stem = stem_size(config.stem, height, width) if config.family == "hybrid" else 0
    return B * (4 * height * width * channels + max(tokens * widest, stem))


def stem_size(stem, height, width):
    """The same of a hybrid's ResNet, for one image."""
    # maps are widest at the root, of four times the pixels, before and behind GroupNorm; or in the first stage: what
    # comes into a unit; four times as wide its shortcut, and its last convolution before and behind GroupNorm; and what
    # that one reads
    maps = 1 + 3 * 4 + 1 if stem.units else 2 * 4
    return 4 * maps * stem.width * -(-height // 4) * -(-width // 4)


def refuse_too_large(config, shape, dtype):
    """InputError, before anything runs, if the images do not fit into the memory of the device."""
    needed, free = activations_size(config, shape, dtype), compat.free_memory()
    if needed > free:
        raise InputError(
            f"{shape[0]} images of {shape[1]}×{shape[2]} pixels need {_size(needed)} on the GPU, where "
            f"{_size(free)} are free; use fewer at a time"
        )


def _size(count):
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
