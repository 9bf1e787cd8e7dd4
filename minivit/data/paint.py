"""Painting many small pictures at once.

A field is float32 (n,s,s), one number per pixel of n pictures, or (n,1,1), one per picture.  A canvas is float32
(n,3,s,s) from 0 to 1, or (n,3,1,1) if it is one colour per picture: so that all of them can be combined.
"""

import numpy as np

#: OKLab -> linear sRGB (Björn Ottosson, "A perceptual color space for image processing")
_CONES = np.float32([[1, 0.3963378, 0.2158038], [1, -0.1055613, -0.0638542], [1, -0.0894842, -1.2914855]])
_RGB = np.float32(
    [[4.0767417, -3.3077116, 0.2309699], [-1.2684380, 2.6097574, -0.3413194], [-0.0041961, -0.7034186, 1.7076147]]
)


class Brush:
    """Random fields and colours for `count` pictures of `side` pixels, all from one numpy Generator.

    x, y: coordinates of the pixels, from the middle of the picture; y points up.
    """

    def __init__(self, rng, count, side):
        self.rng, self.count, self.side = rng, count, side
        places = np.arange(side, dtype=np.float32) - (side - 1) / 2
        self.x, self.y = places[None, None, :], -places[None, :, None]

    def uniform(self, low, high):
        """A number per picture (n,1,1)."""
        return self.rng.uniform(low, high, (self.count, 1, 1)).astype(np.float32)

    def colour(self, lightness, chroma=(0.02, 0.17)):
        """sRGB (n,3,1,1) of that lightness (n,1,1) in any hue, in OKLab, where equal steps of lightness look equal."""
        hue, strength = self.uniform(0, 2 * np.pi), self.uniform(*chroma)
        lab = np.stack([lightness, strength * np.cos(hue), strength * np.sin(hue)], axis=-1)
        linear = np.clip((lab @ _CONES.T) ** 3 @ _RGB.T, 0, 1)
        srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        return np.moveaxis(srgb, -1, 1).astype(np.float32)

    def turned(self, x, y, most=np.pi):
        """Coordinates turned by a random angle, at most that much to either side: two fields."""
        angle = self.uniform(-most, most)
        sine, cosine = np.sin(angle), np.cos(angle)
        return x * cosine + y * sine, y * cosine - x * sine

    def ramp(self):
        """A field that rises from 0 to 1 across the picture."""
        along, _ = self.turned(self.x, self.y)
        return np.clip(0.5 + along / self.side, 0, 1)

    def waves(self, shortest, longest):
        """A field from -1 to 1 of parallel waves, so many pixels long."""
        along, _ = self.turned(self.x, self.y)
        return np.sin(along * (2 * np.pi / self.uniform(shortest, longest)) + self.uniform(0, 2 * np.pi))

    def stroke(self, longest):
        """The distance in pixels from a straight stroke, or a dot, at a random place; negative inside it."""
        half = self.side / 2
        along, across = self.turned(self.x - self.uniform(-half, half), self.y - self.uniform(-half, half))
        beyond = along - np.clip(along, 0, self.uniform(0, longest))
        return np.hypot(beyond, across) - self.uniform(0.5, 1.6)


def blend(first, second, share):
    """A canvas between two others; the share of the second is a field from 0 to 1."""
    return first + share[:, None] * (second - first)


def lay(canvas, paint, cover):
    """Change the canvas into the paint, another one, where the field `cover` is 1, and partly where it is less."""
    canvas += cover[:, None] * (paint - canvas)


def inside(distance, softness=1.0):
    """The share of a pixel that an outline covers, from its distance in pixels; a larger softness blurs the edge."""
    return np.clip(0.5 - distance / softness, 0, 1)
