"""A picture that needs no file: a hot-air balloon over hills, painted with NumPy, the same on every machine.

To paint is to compare coordinates: a shape is the set of points for which an inequality holds.
x runs from left to right and y from top to bottom, both from 0 to 1.
"""

import numpy as np

FINE = 3  # every pixel is the mean of 3×3 painted points, so that edges are smooth
RED, CREAM, ORANGE, BLUE = (214, 57, 52), (250, 240, 222), (247, 178, 51), (38, 99, 140)
STRIPES = np.array([RED, CREAM, ORANGE, CREAM, BLUE, CREAM, RED, CREAM, ORANGE], float)


def draw(size=224):
    """The picture: uint8 (size,size,3)."""
    canvas, x, y = canvas_of(size)
    _sky(canvas, x, y)
    _hills(canvas, x, y)
    _basket(canvas, x - 0.46, y)
    _envelope(canvas, x - 0.46, y - 0.37)
    return pixels_of(canvas, size)


def canvas_of(size):
    """An empty canvas, and the coordinates of its points."""
    points = (np.arange(size * FINE) + 0.5) / (size * FINE)
    x, y = np.meshgrid(points, points)
    return np.empty((*x.shape, 3)), x, y


def pixels_of(canvas, size):
    # canvas (3·size,3·size,3) -> uint8 (size,size,3)
    return canvas.reshape(size, FINE, size, FINE, 3).mean((1, 3)).round().astype(np.uint8)


def _sky(canvas, x, y):
    zenith, horizon = np.array([92, 160, 218]), np.array([225, 238, 245])
    canvas[:] = zenith + (horizon - zenith) * np.minimum(y / 0.75, 1)[..., None]
    canvas[ellipse(x - 0.83, y - 0.17, 0.075, 0.075)] = 255, 226, 120  # the sun
    cloud(canvas, (x - 0.14, y - 0.25, 0.10, 0.035), (x - 0.20, y - 0.22, 0.07, 0.040))
    cloud(canvas, (x - 0.80, y - 0.42, 0.11, 0.032), (x - 0.75, y - 0.39, 0.06, 0.036))


def cloud(canvas, *puffs):
    """Ellipses in one white; each is x and y from its centre, width and height."""
    for puff in puffs:
        canvas[ellipse(*puff)] = 250, 252, 253


def _hills(canvas, x, y):
    canvas[y > 0.76 + 0.05 * np.cos(7.5 * x + 0.6)] = 122, 172, 128
    canvas[y > 0.86 - 0.06 * np.cos(5.0 * x - 1.2)] = 76, 135, 84


def _basket(canvas, x, y):
    rope = (y - 0.62) / 0.13  # 0 at the envelope, 1 at the basket
    for spread in (1, 0.35):
        distance = abs(x) - spread * (0.09 - 0.055 * rope)
        canvas[(abs(distance) < 0.003) & (rope > 0) & (rope < 1)] = 92, 64, 45
    canvas[(abs(x) < 0.042) & (abs(y - 0.785) < 0.032)] = 139, 90, 51
    canvas[(abs(x) < 0.048) & (abs(y - 0.757) < 0.008)] = 92, 64, 45


def _envelope(canvas, x, y, radius=0.25):
    # half the width at height y: a disc that runs into a cone of 45° where it is as steep as the cone
    disc = np.sqrt(np.maximum(radius**2 - y**2, 0))
    half = np.where(y < radius / np.sqrt(2), disc, np.sqrt(2) * radius - y)
    inside = (abs(x) < half) & (y < 0.265)
    x, half = x[inside], half[inside]
    longitude = np.arcsin(x / half) / np.pi + 0.5  # 0 to 1 across the visible half of the balloon
    shade = 1 - 0.22 * np.clip(x / radius + 0.15, 0, 1) ** 2
    canvas[inside] = STRIPES[(longitude * len(STRIPES)).astype(int)] * shade[:, None]


def ellipse(x, y, width, height):
    return (x / width) ** 2 + (y / height) ** 2 < 1
