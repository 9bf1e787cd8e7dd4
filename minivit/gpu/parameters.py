"""How tier "gpu" keeps a model's parameters: uploaded once, matrices in the dtype of the tier, all else in float32.

The residual stream stays in float32, whatever the dtype: rounding it after each of 24 additions would cost accuracy,
and keeping it costs little.  So every parameter knows the format of what is computed with it: matrices whose result
joins the stream, or is a model's answer, write float32; LayerNorm writes what the next product reads.

bfloat16 keeps 8 bits of a number, float16 11, and tensor cores are as fast with either; what float16 lacks is range.
Behind LayerNorm, for pixels, and in attention range is not needed: no number of a normalised row exceeds √D, no query,
key or value √D times the length of a column of w (24 in DeiT-tiny), and attention only averages values.  So models of
bfloat16 multiply there in float16, which takes two thirds of their error away, for nothing.  The hidden numbers of an
MLP, which have no such limit, and fc2 stay in bfloat16.
"""

import fnmatch
import math

import numpy as np

from ..errors import InputError
from ..ops.conv.gpu_halves import weights
from . import compat
from .arrays import DeviceArray, on_device
from .formats import BFLOAT16, FLOAT16, FLOAT32, FORMATS

#: their results join the residual stream, or leave the model
TO_FLOAT32 = ("embed.w", "*.attn.out.w", "*.fc2.w", "head.w", "head_distill.w", "decoder.w")

#: they multiply what is normalised: rows behind LayerNorm, means of values, pixels, tanh.  Never in bfloat16: see above
OF_NORMALISED = ("embed.w", "*.attn.*.w", "*.fc1.w", "representation.w", "head.w", "head_distill.w", "decoder.w")
#: … and what they give is still so: queries, keys and values; what goes into tanh
TO_NORMALISED = ("*.qkv.w", "representation.w")
LARGEST = 65504  # of float16

#: LiT's, in the whole tree and in its part
TEMPERATURE = ("similarity.t", "t")


def store(name, value, dtype):
    """One parameter, by its flat name, on the device.

    Weights of a hybrid's convolutions go there later (ops/conv/gpu_halves.py); LiT's temperature, one number, never.
    Raises InputError for one that does not fit: into memory, or into float16.
    """
    if name in TEMPERATURE:
        return np.asarray(value, np.float32)
    needed, free = math.prod(value.shape) * 4, compat.free_memory()
    if needed > free:
        raise InputError(f"{name} needs {_size(needed)} on the GPU, where {_size(free)} are free; use a smaller model")
    if name.startswith("stem."):
        return weights(value, FORMATS[dtype]) if name.endswith(".w") else on_device(value)
    format, output = formats(name, dtype)
    if FLOAT16 in (format, output) and not isinstance(value, DeviceArray):
        refuse_beyond_float16(name, value)
    kept = on_device(value, format)
    kept.output = output
    return kept


def formats(name, dtype):
    """(format of a parameter, format of what is computed with it; None: like the op's input)."""
    half = FORMATS[dtype]
    normalised = FLOAT16 if half is BFLOAT16 else half
    if not name.endswith(".w"):
        return FLOAT32, normalised if name.endswith(".scale") else None
    output = FLOAT32 if _any_of(TO_FLOAT32, name) else normalised if _any_of(TO_NORMALISED, name) else half
    return normalised if _any_of(OF_NORMALISED, name) else half, output


def _any_of(patterns, name):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def refuse_beyond_float16(name, value):
    """InputError for a matrix, or a scale of LayerNorm, that could lead a row of length √D out of float16's range."""
    # scale (D,), or w (…,O), whose columns are D long
    columns = np.diag(value) if name.endswith(".scale") else value.reshape(-1, value.shape[-1])
    largest = float(np.linalg.norm(columns, axis=0).max(initial=0)) * len(columns) ** 0.5
    if not largest <= LARGEST:
        raise InputError(f"{name} can give numbers of {largest:.3g}, beyond float16; use float32 on the GPU")


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
