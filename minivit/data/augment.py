"""Random changes that leave the class of a picture as it is; every picture of a batch gets its own, all at once.

Pictures are (b,h,w,3) from 0 to 255, uint8 or float32, and stay so.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .colour import brightness, contrast, saturation, stored
from .trivial import trivial_augment


@dataclass(frozen=True)
class Augment:
    """What is changed at random, in this order; all of it is off unless asked for.

    area: (smallest, largest) share of the picture that a random box keeps, as Inception does; None: the whole picture.
    crop: pixels of mirrored border around the picture, out of which its size is cut again at a random place.
    flip: left and right, every other time.
    auto: one change of shape or colour per picture, of random strength (TrivialAugment, arXiv:2103.10158).
    brightness, contrast, saturation: factors between 1 - s and 1 + s.
    erase: probability of a grey box in place of a part (arXiv:1708.04896).
    """

    area: tuple[float, float] | None = None
    crop: int = 0
    flip: bool = False
    auto: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    erase: float = 0.0

    def __post_init__(self):
        if self.area is not None and not 0 < self.area[0] <= self.area[1] <= 1:
            raise InputError(f"augment: area {self.area}, expected two shares (smallest, largest) in (0, 1]")
        for name in ("brightness", "contrast", "saturation", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augment: {name} is {getattr(self, name)}, expected 0 to 1")
        if self.crop < 0:
            raise InputError(f"augment: crop is {self.crop}, expected pixels, 0 or more")

    def __call__(self, pixels, rng):
        """The batch (b,h,w,3), changed at random by the numpy Generator: all but `area`, which is for each picture."""
        if self.crop:
            pixels = random_crop(pixels, self.crop, rng)
        if self.flip:
            pixels = random_flip(pixels, rng)
        if self.auto:
            pixels = trivial_augment(pixels, rng)
        pixels = self._colours(pixels, rng)
        return random_erase(pixels, self.erase, rng) if self.erase else pixels

    def _colours(self, pixels, rng):
        changes = {brightness: self.brightness, contrast: self.contrast, saturation: self.saturation}
        changed = pixels
        for change, strength in changes.items():
            if strength:
                changed = change(changed, rng.uniform(1 - strength, 1 + strength, len(pixels)))
        return stored(changed, pixels.dtype)


def random_box(picture, area, rng):
    # (h,w,3) -> (height,width,3) with such a share of the area, 3:4 to 4:3; what would stand out is cut off
    h, w, _ = picture.shape
    size, ratio = h * w * rng.uniform(*area), np.exp(rng.uniform(-1, 1) * np.log(4 / 3))
    height, width = min(max(1, round(np.sqrt(size / ratio))), h), min(max(1, round(np.sqrt(size * ratio))), w)
    top, left = rng.integers(0, h - height + 1), rng.integers(0, w - width + 1)
    return picture[top : top + height, left : left + width]


def random_crop(pixels, border, rng):
    # (b,h,w,3) -> (b,h,w,3)
    b, h, w, _ = pixels.shape
    around = np.pad(pixels, ((0, 0), (border, border), (border, border), (0, 0)), "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(around, (h, w), (1, 2))  # (b,·,·,3,h,w)
    top, left = rng.integers(0, 2 * border + 1, (2, b))
    return windows.transpose(0, 1, 2, 4, 5, 3)[np.arange(b), top, left]


def random_flip(pixels, rng):
    # (b,h,w,3) -> (b,h,w,3)
    mirrored = rng.random(len(pixels)) < 0.5
    return np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)


def random_erase(pixels, probability, rng):
    # (b,h,w,3) -> (b,h,w,3), some with a box of at most 2 % to 33 % of the area in middle grey
    b, h, w, _ = pixels.shape
    erased, share, ratio = rng.random(b) < probability, rng.uniform(0.02, 0.33, b), np.exp(rng.uniform(-1, 1, b))
    rows = _interval(h, erased * np.sqrt(share * ratio), rng)
    columns = _interval(w, erased * np.sqrt(share / ratio), rng)
    inside = rows[:, :, None] & columns[:, None, :]
    return np.where(inside[..., None], pixels.dtype.type(128), pixels)


def _interval(length, share, rng):
    # share (b,) of a side -> (b,length) bool: true in an interval of that share around a random place
    middle = rng.uniform(0, length, (len(share), 1))
    return np.abs(np.arange(length) + 0.5 - middle) < share[:, None] * length / 2
