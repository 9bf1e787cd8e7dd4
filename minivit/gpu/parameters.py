"""How tier "gpu" keeps a model's parameters: uploaded once, matrices in the dtype of the tier, all else in float32.

The residual stream stays in float32, whatever the dtype: rounding it after each of 24 additions would cost accuracy,
and keeping it costs little.  So every parameter knows the format of what is computed with it: matrices whose result
joins the stream, or is a model's answer, write float32; LayerNorm writes what the next product reads.
"""

import fnmatch
import math

from ..errors import InputError
from . import compat
from .arrays import on_device
from .formats import FLOAT32, FORMATS

#: their results join the residual stream, or leave the model
TO_FLOAT32 = ("embed.w", "*.attn.out.w", "*.fc2.w", "head.w", "head_distill.w", "decoder.w")


def store(name, value, dtype):
    """One parameter, by its flat name, on the device."""
    half = FORMATS[dtype]
    is_matrix = name.endswith(".w")
    needed, free = math.prod(value.shape) * 4, compat.free_memory()
    if needed > free:
        raise InputError(f"{name} needs {_size(needed)} on the GPU, where {_size(free)} are free; use a smaller model")
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
    return B * (4 * height * width * channels + tokens * widest)


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
