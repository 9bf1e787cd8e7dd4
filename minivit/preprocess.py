"""RGB pixels -> the numbers a model was trained on: resize, centre crop, normalise, each as the authors did it.

Every step repeats the float32 or uint8 arithmetic of the published pipeline in its order, so that the results are
equal to theirs bit by bit: TensorFlow (vit_jax), Pillow with transformers, Pillow with torchvision and timm.
"""

import math
import operator
import os

import numpy as np

from .errors import InputError, nearest
from .image import MAX_PIXELS, load_array, read_pixels

RESAMPLERS = ("tf_bilinear", "tf_bilinear_uint8", "bilinear", "bicubic", "lanczos")
FITS = ("stretch", "shorter", "shorter_rounded")


def preprocess(source, policy, size):
    """A picture as a checkpoint wants it: float32 (h,w,3), normalised.

    source: what `read_pixels` takes; policy: a `config.Preprocess`; size: (height, width) of the result in pixels.
    Raises InputError for a bad picture, size or policy, and for a crop that is larger than the resized picture.
    """
    size = _checked_size(size)
    pixels = read_pixels(source)
    resized = resize(pixels, resized_shape(pixels.shape[:2], policy, size), policy.resample)
    return normalise(centre_crop(resized, size, policy.fit), policy)


def batch(sources, policy, size):
    """Several pictures for one forward pass: float32 (B,h,w,3).  Arguments and errors as in `preprocess`."""
    if not isinstance(sources, (list, tuple)) and getattr(sources, "ndim", None) != 4:
        raise InputError("expected a list of pictures or an array (B,h,w,3); for one picture write [picture]")
    images = [preprocess(source, policy, size) for source in sources]
    if not images:
        raise InputError("expected at least one picture, got none")
    return np.stack(images)


def resized_shape(shape, policy, size):
    """(height, width) to which a picture of that shape is resized, before the centre crop to `size`.

    "shorter" keeps the aspect ratio: torchvision's rule ``int(long * target / short)`` for a square target, and timm's
    ResizeKeepRatio for the others, the smallest picture that covers the target.  "shorter_rounded" is the rule of
    vit_jax/preprocess.py, in float32.
    """
    target = _before_crop(policy, size)
    if policy.fit == "stretch":
        return target
    if policy.fit not in FITS:
        raise InputError(f"unknown fit {policy.fit!r}{nearest(policy.fit, FITS)}")
    height, width = shape
    if policy.fit == "shorter_rounded":
        ratio = np.float32(max(target)) / np.float32(min(shape))
        return int(np.round(np.float32(height) * ratio)), int(np.round(np.float32(width) * ratio))
    if target[0] == target[1]:
        short = min(shape)
        return int(target[0] * height / short), int(target[0] * width / short)
    ratio = min(height / target[0], width / target[1])
    return round(height / ratio), round(width / ratio)


def _before_crop(policy, size):
    if policy.resize is not None:
        return _checked_size(policy.resize if isinstance(policy.resize, tuple) else (policy.resize, policy.resize))
    if policy.crop_fraction is not None:
        return tuple(math.floor(side / policy.crop_fraction) for side in size)
    return size


def resize(pixels, shape, resample, vertical_first=False):
    """Pixels at another (height, width): float32 for "tf_bilinear", otherwise uint8.

    Pillow filters rows and columns in two passes, with uint8 in between.  The horizontal pass is first, as in every
    Pillow that the published results were made with (up to 12); Pillow 13 sometimes starts with the vertical one.
    """
    # pixels (h,w,3) uint8 -> (height,width,3)
    if resample not in RESAMPLERS:
        raise InputError(f"unknown resampler {resample!r}{nearest(resample, RESAMPLERS)}")
    height, width = shape
    between = (height, pixels.shape[1]) if vertical_first else (pixels.shape[0], width)
    if max(math.prod(between), math.prod(shape)) > MAX_PIXELS:
        raise InputError(
            f"resizing {pixels.shape[1]}×{pixels.shape[0]} pixels to {width}×{height} takes more than"
            f" {MAX_PIXELS // 10**6} megapixels; crop the picture first"
        )
    if resample == "tf_bilinear":
        return _tf_bilinear(pixels, shape)
    if resample == "tf_bilinear_uint8":
        return _tf_bilinear(pixels, shape).astype(np.uint8)  # cut off, not rounded, as vit_jax/preprocess.py does
    return _pillow_resize(pixels, [between, shape], resample)


def _pillow_resize(pixels, shapes, resample):
    from PIL import Image

    image = Image.fromarray(pixels)
    for height, width in shapes:  # one call per pass, so that its order is ours
        image = image.resize((width, height), Image.Resampling[resample.upper()])
    return np.asarray(image)


def _tf_bilinear(pixels, shape):
    # pixels (h,w,3) -> (height,width,3) float32: tf.image.resize(method="bilinear", antialias=False)
    top, bottom, down = _neighbours(pixels.shape[0], shape[0])
    left, right, across = _neighbours(pixels.shape[1], shape[1])
    down, across = down[:, None, None], across[:, None]

    def along_rows(rows):
        start, end = pixels[rows[:, None], left].astype(np.float32), pixels[rows[:, None], right].astype(np.float32)
        return start + (end - start) * across

    upper, lower = along_rows(top), along_rows(bottom)
    return upper + (lower - upper) * down


def _neighbours(length, new_length):
    # the two source pixels next to each half-pixel centre (new_length,), and the weight of the second; float32 as in TF
    scale = np.float32(length) / np.float32(new_length)
    centre = (np.arange(new_length, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    first = np.floor(centre)
    second = np.minimum(np.ceil(centre), length - 1)
    return np.maximum(first, 0).astype(np.intp), second.astype(np.intp), centre - first


def centre_crop(x, size, fit="shorter"):
    """The middle (height, width) of a picture (h,w,3).

    Half of an odd margin is rounded to even, as torchvision's CenterCrop does; down for "shorter_rounded".
    """
    height, width = size
    if height > x.shape[0] or width > x.shape[1]:
        raise InputError(
            f"the picture is resized to {x.shape[1]}×{x.shape[0]} pixels, smaller than the crop of {width}×{height};"
            " the policy's resize must be larger"
        )
    half = math.floor if fit == "shorter_rounded" else round
    top, left = half((x.shape[0] - height) / 2), half((x.shape[1] - width) / 2)
    return x[top : top + height, left : left + width]


def normalise(x, policy):
    """(x/255 - mean) / std per channel, float32."""
    # x (...,3), 0 to 255 -> (...,3) float32
    x, mean, std = np.asarray(x, np.float32), np.float32(policy.mean), np.float32(policy.std)
    if policy.resample == "tf_bilinear":
        return (x - 255 * mean) / (255 * std)  # the order of vit_jax, (x - 127.5) / 127.5: other last bits
    return (x / 255 - mean) / std


def check_pixels(x, channels=3):
    """A batch (B,h,w,channels) from an already preprocessed picture or batch, or from the ``.npy`` file of one.

    float32 and float64 keep their type, float16 becomes float32.  Raises InputError for another rank, order of axes
    or type, and for NaN or infinity.
    """
    if isinstance(x, (str, os.PathLike)):
        x = load_array(x)
    if not isinstance(x, np.ndarray):
        raise InputError(f"expected an array of preprocessed pixels, got {type(x).__name__}")
    if x.dtype == np.uint8:
        raise InputError("expected preprocessed float pixels, got uint8: give raw pixels to preprocess")
    if x.dtype.kind != "f":
        raise InputError(f"expected preprocessed float pixels, got {x.dtype}")
    _check_axes(x.shape, channels)
    finite = np.isfinite(x)
    if not finite.all():
        first = [int(i) for i in np.unravel_index(finite.argmin(), x.shape)]
        raise InputError(f"{x.size - finite.sum()} of {x.size} pixel values are NaN or infinite, first at {first}")
    x = x.astype(np.float32 if x.dtype.itemsize <= 4 else np.float64, copy=False)
    return x if x.ndim == 4 else x[None]


def _check_axes(shape, channels):
    if len(shape) in (3, 4) and shape[-1] != channels and shape[-3] == channels:
        axes = "1, 2, 0" if len(shape) == 3 else "0, 2, 3, 1"
        raise InputError(f"pixels of shape {shape} look like channels-first, transpose with x.transpose({axes})")
    if len(shape) not in (3, 4) or shape[-1] != channels or 0 in shape:
        raise InputError(f"expected pixels of shape (h,w,{channels}) or (B,h,w,{channels}), got {shape}")


def _checked_size(size):
    try:
        height, width = (operator.index(side) for side in size)
    except (TypeError, ValueError):
        raise InputError(f"expected a size (height, width) in pixels, got {size!r}") from None
    if min(height, width) < 1:
        raise InputError(f"expected a size (height, width) of at least 1×1 pixel, got {size!r}")
    return height, width
