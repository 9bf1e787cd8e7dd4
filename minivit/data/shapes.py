"""Drawn pictures that need no download: one of twelve shapes, 32×32 pixels, of any place, size and colour.

What tells the classes apart is the outline alone: place, size, tilt, colours, light, background and the strokes and
specks around it are drawn from the same distributions for all, and the shape is as often darker as it is brighter.
"""

import numpy as np

from .outlines import OUTLINES
from .paint import Brush, blend, inside, lay
from .split import Dataset, Split

CLASSES = tuple(OUTLINES)
SIDE = 32  # pixels
TILT = 0.35  # radians to either side, at most
TRAIN, TEST = 24_000, 2_400  # pictures
CHUNK = 120  # pictures drawn together: few enough for the cache, and every class equally often


def read(train=True):
    """The Dataset "shapes": always the same 24,000 pictures to learn from and 2,400 others to test."""
    learn = Split(*draw(TRAIN, seed=0)) if train else None
    return Dataset("shapes", CLASSES, learn, Split(*draw(TEST, seed=1)))


def draw(count, seed=0):
    """Pictures uint8 (count,SIDE,SIDE,3) and labels (count,); the same seed with another count begins the same."""
    chunks = [_chunk(np.random.default_rng((seed, i))) for i in range(-(-count // CHUNK))]
    pixels, labels = (np.concatenate(parts)[:count] for parts in zip(*chunks, strict=True))
    return pixels, labels


def _chunk(rng):
    # -> (CHUNK,SIDE,SIDE,3) uint8, (CHUNK,)
    brush = Brush(rng, CHUNK, SIDE)
    labels = rng.permutation(np.arange(CHUNK) % len(CLASSES))
    ground, figure = _lightness(brush)
    canvas = _background(brush, ground)
    _figure(canvas, brush, figure, _distance(brush, labels))
    _strokes(canvas, brush, 1, longest=2)  # a speck lies on top
    canvas += rng.standard_normal(canvas.shape, np.float32) * brush.uniform(0, 0.03)[..., None]
    pixels = np.rint(255 * np.clip(canvas, 0, 1)).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), labels


def _lightness(brush):
    # -> of the backgrounds and of the figures: far enough apart to be seen, either of them the brighter one
    dark = brush.uniform(0.2, 0.5)
    bright = dark + brush.uniform(0.34, 0.46)
    swapped = brush.uniform(0, 1) < 0.5
    return np.where(swapped, bright, dark), np.where(swapped, dark, bright)


def _background(brush, lightness):
    # two colours that run into each other, in waves, and a few strokes
    share = brush.ramp() + brush.uniform(0, 0.4) * brush.waves(4, 14) * brush.waves(6, 30)
    other = lightness + brush.uniform(-0.08, 0.08)
    canvas = blend(brush.colour(lightness), brush.colour(other), share)
    _strokes(canvas, brush, 2, longest=8)
    return canvas


def _strokes(canvas, brush, count, longest):
    for _ in range(count):
        paint = brush.colour(brush.uniform(0.2, 0.95))
        lay(canvas, paint, brush.uniform(0.3, 1) * inside(brush.stroke(longest)))


def _distance(brush, labels):
    # -> the distance in pixels from the outline of each picture's shape
    radius, squash = brush.uniform(10, 14), brush.uniform(0.93, 1.08)
    reach = SIDE / 2 - 0.9 * radius  # how far its middle may be from that of the picture
    x, y = brush.x - reach * brush.uniform(-1, 1), brush.y - reach * brush.uniform(-1, 1)
    across, up = brush.turned(x, y, TILT)
    across, up = across / (radius * squash), up / radius * squash
    distance = np.empty_like(across)
    for label, outline in enumerate(OUTLINES.values()):
        mine = labels == label
        distance[mine] = outline(across[mine], up[mine])
    return distance * radius


def _figure(canvas, brush, lightness, distance):
    # a soft shadow around it, then two colours that run into each other, in waves, darker at the rim
    black = np.zeros((CHUNK, 3, 1, 1), np.float32)
    lay(canvas, black, brush.uniform(0, 0.4) * inside(distance - 1.5, softness=5))
    share = brush.ramp() + brush.uniform(0, 0.4) * brush.waves(3, 9)
    other = lightness + brush.uniform(-0.07, 0.07)
    paint = blend(brush.colour(lightness), brush.colour(other), share)
    lay(paint, black, brush.uniform(0, 0.35) * inside(np.abs(distance) - 0.5, softness=1.5))
    lay(canvas, paint, inside(distance))
