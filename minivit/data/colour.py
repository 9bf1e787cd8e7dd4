"""Changes of colour; the factors (b,) are one per picture, 1 changes nothing.

Pictures (b,h,w,3) from 0 to 255 become float32, which `stored` turns back; definitions as in Pillow's ImageEnhance.
"""

import numpy as np

_LUMA = np.float32([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's grey


def stored(pixels, dtype):
    """Pixels within 0 to 255 in the given type, rounded if it is uint8."""
    if pixels.dtype == dtype == np.uint8:
        return pixels
    pixels = np.clip(pixels, 0, 255)
    return np.rint(pixels).astype(np.uint8) if dtype == np.uint8 else pixels


def brightness(pixels, factor):
    """Towards black, or away from it."""
    return pixels * _per_picture(factor)


def contrast(pixels, factor):
    """Towards the mean grey of the picture, or away from it."""
    return _away_from(grey(pixels).mean((1, 2), keepdims=True)[..., None], pixels, factor)


def saturation(pixels, factor):
    """Towards the grey picture, or away from it."""
    return _away_from(grey(pixels)[..., None], pixels, factor)


def sharpness(pixels, factor):
    """Towards a blurred picture, or away from it."""
    return _away_from(_blurred(pixels), pixels, factor)


def grey(pixels):
    # (b,h,w,3) -> (b,h,w) float32
    return pixels @ _LUMA


def _away_from(centre, pixels, factor):
    return centre + (pixels - centre) * _per_picture(factor)


def _blurred(pixels):
    # the mean of 3 by 3 pixels; the border repeats
    padded = np.pad(pixels.astype(np.float32), ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9


def _per_picture(factor):
    return np.asarray(factor, np.float32)[:, None, None, None]
