"""Another picture that needs no file: a freighter at sea, for models that know ships but no balloons (CIFAR-10).

Painted as in picture.py: a shape is the set of points for which an inequality holds.
"""

import numpy as np

from .picture import BLUE, CREAM, ORANGE, RED, canvas_of, cloud, pixels_of

HORIZON, DECK, WATERLINE = 0.62, 0.565, 0.70
HULL, WHITE, GLASS, GREEN = (38, 44, 62), (244, 244, 240), (60, 80, 100), (90, 140, 80)
CONTAINERS = np.array([RED, BLUE, ORANGE, GREEN, CREAM], float)


def draw(size=224):
    """The picture: uint8 (size,size,3)."""
    canvas, x, y = canvas_of(size)
    _sky(canvas, x, y)
    _sea(canvas, x, y)
    _hull(canvas, x, y)
    _bridge(canvas, x, y)
    _cargo(canvas, x, y)
    return pixels_of(canvas, size)


def _sky(canvas, x, y):
    zenith, horizon = np.array([110, 165, 215]), np.array([222, 234, 240])
    canvas[:] = zenith + (horizon - zenith) * np.minimum(y / HORIZON, 1)[..., None]
    cloud(canvas, (x - 0.20, y - 0.17, 0.13, 0.035), (x - 0.27, y - 0.14, 0.08, 0.040))
    cloud(canvas, (x - 0.80, y - 0.25, 0.12, 0.030), (x - 0.74, y - 0.22, 0.06, 0.035))


def _sea(canvas, x, y):
    far, near = np.array([96, 150, 178]), np.array([24, 78, 120])
    depth = np.clip((y - HORIZON) / (1 - HORIZON), 0, 1)
    waves = 8 * np.sin(60 * (y + 0.15 * depth) + 6 * np.sin(9 * x))
    water = far + (near - far) * depth[..., None] + waves[..., None]
    canvas[y > HORIZON] = water[y > HORIZON]


def _hull(canvas, x, y):
    deck = DECK - 0.05 * np.clip((x - 0.72) / 0.2, 0, 1) ** 1.5  # rises towards the bow
    stern, bow = 0.10 + 0.57 * (y - 0.56), 0.93 - 0.8 * (y - 0.5)
    inside = (y > deck) & (y < WATERLINE) & (x > stern) & (x < bow)
    canvas[inside] = HULL
    canvas[inside & (y > 0.66)] = 168, 44, 40
    canvas[inside & (y < deck + 0.012)] = WHITE
    canvas[(abs(y - WATERLINE) < 0.008) & (x > 0.10) & (x < 0.82) & (np.sin(70 * x) > -0.4)] = 235, 243, 246  # foam


def _bridge(canvas, x, y):
    for left, right, top, bottom in ((0.15, 0.33, 0.47, DECK), (0.17, 0.31, 0.40, 0.47), (0.185, 0.29, 0.345, 0.40)):
        _box(canvas, x, y, left, right, top, bottom, WHITE)
        windows = (x > left + 0.012) & (x < right - 0.012) & (abs(y - top - 0.03) < 0.009) & ((x * 60) % 1 < 0.6)
        canvas[windows] = GLASS
    _box(canvas, x, y, 0.205, 0.25, 0.265, 0.345, RED)  # the funnel, with a black rim
    _box(canvas, x, y, 0.205, 0.25, 0.265, 0.285, HULL)


def _cargo(canvas, x, y):
    for layer, columns in enumerate((range(7), range(1, 6))):
        for column in columns:
            left, bottom = 0.37 + 0.052 * column, DECK - 0.042 * layer
            colour = CONTAINERS[(2 * column + 3 * layer) % len(CONTAINERS)]
            _box(canvas, x, y, left, left + 0.05, bottom - 0.04, bottom, colour)
    _box(canvas, x, y, 0.796, 0.804, 0.38, 0.55, GLASS)  # the mast


def _box(canvas, x, y, left, right, top, bottom, colour):
    canvas[(x > left) & (x < right) & (y > top) & (y < bottom)] = colour
