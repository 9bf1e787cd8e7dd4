"""Twelve outlines as signed distances: negative inside, zero on the line, positive outside; y points up.

Each function takes the coordinates of many points, in units in which the shape has about radius 1 around (0, 0).
The formulas follow Inigo Quilez, "2D distance functions" (iquilezles.org).
"""

import numpy as np


def arrow(x, y):
    x = np.abs(x)
    head = np.maximum(-y, (0.95 * x + 0.8 * (y - 0.95)) / np.hypot(0.95, 0.8))
    shaft = _box(x, y + 0.4, 0.24, 0.55)
    return np.minimum(head, shaft)


def circle(x, y):
    return np.hypot(x, y) - 0.85


def crescent(x, y):
    return np.maximum(np.hypot(x + 0.1, y) - 0.95, 0.72 - np.hypot(x - 0.38, y))


def cross(x, y):
    return np.minimum(_box(x, y, 0.95, 0.3), _box(x, y, 0.3, 0.95))


def drop(x, y):
    bottom, tip, height = 0.6, 0.06, 1.25  # two radii, and how far their centres are apart
    x, y = np.abs(x), y + 0.4
    sine = (bottom - tip) / height
    cosine = np.sqrt(1 - sine**2)
    along = cosine * y - sine * x
    flank = cosine * x + sine * y - bottom
    return np.where(
        along < 0,
        np.hypot(x, y) - bottom,
        np.where(along > cosine * height, np.hypot(x, y - height) - tip, flank),
    )


def flower(x, y):
    along, across = _fold(x, y, 5)
    return np.minimum(np.hypot(along - 0.6, across) - 0.36, np.hypot(x, y) - 0.5)


def heart(x, y):
    x, y = np.abs(x) * 0.62, y * 0.62 + 0.55
    lobe = np.hypot(x - 0.25, y - 0.75) - np.sqrt(2) / 4
    middle = 0.5 * np.maximum(x + y, 0)
    rest = np.minimum(np.hypot(x, y - 1), np.hypot(x - middle, y - middle)) * np.sign(x - y)
    return np.where(x + y > 1, lobe, rest) / 0.62


def hourglass(x, y):
    x, y = np.abs(x), np.abs(y)
    return np.maximum(y - 0.85, (x - 0.1 - 0.75 * y) / np.hypot(1, 0.75))


def ring(x, y):
    return np.abs(np.hypot(x, y) - 0.7) - 0.22


def square(x, y):
    return _box(x, y, 0.75, 0.75)


def star(x, y):
    along, across = _fold(x, y, 5)
    notch = 0.42 * np.exp(0.2j * np.pi)  # the inner corner, half a sector beside the tip at (1, 0)
    edge = notch - 1
    return (edge.imag * (along - 1) - edge.real * across) / abs(edge)


def triangle(x, y):
    along, across = _fold(x, y, 3)
    return 0.5 * along + np.sqrt(0.75) * across - 0.5  # the edge beside a tip at (1, 0)


#: By name, in the order of the labels.
OUTLINES = {
    shape.__name__: shape
    for shape in (arrow, circle, crescent, cross, drop, flower, heart, hourglass, ring, square, star, triangle)
}


def _box(x, y, half_width, half_height):
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _fold(x, y, tips):
    # coordinates along and across the nearest of the equally spaced tips, of which the first points up; across >= 0
    sector = 2 * np.pi / tips
    angle = np.arctan2(x, y)
    angle = np.abs(angle - sector * np.rint(angle / sector))
    radius = np.hypot(x, y)
    return radius * np.cos(angle), radius * np.sin(angle)
