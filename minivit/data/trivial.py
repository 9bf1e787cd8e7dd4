"""TrivialAugment (arXiv:2103.10158): one change per picture, drawn from a list, with a strength drawn from -1 to 1.

The list and the largest strengths are those of RandAugment and of the paper's standard space.
"""

import numpy as np

from .colour import brightness, contrast, saturation, sharpness, stored

GREY = 128  # what comes into view from outside the picture


def trivial_augment(pixels, rng):
    """The batch (b,h,w,3), from 0 to 255, each picture with one random change; the type stays."""
    chosen, strength = rng.integers(len(CHANGES), size=len(pixels)), rng.uniform(-1, 1, len(pixels))
    changed = pixels.copy()
    for number, change in enumerate(CHANGES):
        mine = np.flatnonzero(chosen == number)
        if len(mine):
            changed[mine] = stored(change(pixels[mine], strength[mine]), pixels.dtype)
    return changed


def same(pixels, strength):
    return pixels


def move_x(pixels, strength):
    return warp(pixels, move_x=0.3 * strength)


def move_y(pixels, strength):
    return warp(pixels, move_y=0.3 * strength)


def shear_x(pixels, strength):
    return warp(pixels, xy=0.3 * strength)


def shear_y(pixels, strength):
    return warp(pixels, yx=0.3 * strength)


def rotate(pixels, strength):
    angle = np.deg2rad(30 * strength)
    return warp(pixels, np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))


def change_brightness(pixels, strength):
    return brightness(pixels, 1 + 0.9 * strength)


def change_contrast(pixels, strength):
    return contrast(pixels, 1 + 0.9 * strength)


def change_saturation(pixels, strength):
    return saturation(pixels, 1 + 0.9 * strength)


def change_sharpness(pixels, strength):
    return sharpness(pixels, 1 + 0.9 * strength)


def posterise(pixels, strength):
    step = np.float32(2) ** np.rint(4 * np.abs(strength)).astype(np.float32)[:, None, None, None]
    return np.floor(pixels / step) * step  # the lowest 0 to 4 bits are lost


def solarise(pixels, strength):
    threshold = (256 * (1 - np.abs(strength)))[:, None, None, None]
    return np.where(pixels >= threshold, 255 - pixels, pixels)


def stretch(pixels, strength):
    """Every channel from 0 to 255 ("autocontrast")."""
    low, high = (f(pixels, (1, 2), keepdims=True).astype(np.float32) for f in (np.min, np.max))
    return (pixels - low) * (255 / np.maximum(high - low, 1))


CHANGES = (
    *(same, move_x, move_y, shear_x, shear_y, rotate),
    *(change_brightness, change_contrast, change_saturation, change_sharpness, posterise, solarise, stretch),
)


def warp(pixels, xx=1.0, xy=0.0, yx=0.0, yy=1.0, move_x=0.0, move_y=0.0):
    """Each picture (b,h,w,3) seen through an affine map: pixel (x, y) shows what was at (xx·x + xy·y, yx·x + yy·y).

    x and y run from the middle of the picture, shifts are shares of its size; each parameter is a number or (b,).
    Bilinear; outside the picture is grey.
    """
    b, h, w, _ = pixels.shape
    xx, xy, yx, yy, move_x, move_y = (
        np.broadcast_to(p, b).astype(np.float32)[:, None, None] for p in (xx, xy, yx, yy, move_x, move_y)
    )
    y, x = np.mgrid[:h, :w].astype(np.float32) - np.float32([[[(h - 1) / 2]], [[(w - 1) / 2]]])
    source_x = xx * x + xy * y + move_x * w + (w - 1) / 2
    source_y = yx * x + yy * y + move_y * h + (h - 1) / 2
    return _bilinear(pixels, source_x, source_y)


def _bilinear(pixels, x, y):
    # pixels (b,h,w,3), places x, y (b,h,w) -> float32 (b,h,w,3)
    b, h, w, _ = pixels.shape
    framed = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=GREY).astype(np.float32)
    x, y = np.clip(x + 1, 0, w + 1), np.clip(y + 1, 0, h + 1)
    left, top = np.minimum(x.astype(np.intp), w), np.minimum(y.astype(np.intp), h)
    across, down = (x - left)[..., None], (y - top)[..., None]
    first = (np.arange(b)[:, None, None] * (h + 2) + top) * (w + 2) + left  # the pixel above and left, in a flat list
    flat = framed.reshape(-1, 3)
    upper = flat[first] + (flat[first + 1] - flat[first]) * across
    lower = flat[first + w + 2] + (flat[first + w + 3] - flat[first + w + 2]) * across
    return upper + (lower - upper) * down
