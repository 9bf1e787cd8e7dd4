"""Position-table resize in NumPy: one dense matrix per axis."""

from functools import partial

import numpy as np


def resize_positions(table, old, new, prefix, mode):
    # table (1,prefix+g·g',D), old (g,g'), new (r,r') -> (1,prefix+r·r',D)
    if old == new:
        return table
    D = table.shape[-1]
    grid = table[0, prefix:].reshape(*old, D)
    if mode == "bicubic_antialias_float32":
        resized = _resize_float32(grid.astype(np.float32), new)
    else:
        rows, columns = resize_matrix(old[0], new[0], mode), resize_matrix(old[1], new[1], mode)
        resized = np.einsum("ri,sj,ijd->rsd", rows, columns, grid.astype(np.float64), optimize=True)
    return np.concatenate([table[:, :prefix], resized.reshape(1, -1, D).astype(table.dtype)], axis=1)


def resize_positions_backward(dy, old, new, prefix, mode):
    # dy (1,prefix+r·r',D) -> dtable (1,prefix+g·g',D): the resize is linear, so the same weights, transposed
    if old == new:
        return dy
    D = dy.shape[-1]
    weights = _antialias_float32 if mode == "bicubic_antialias_float32" else partial(resize_matrix, mode=mode)
    rows, columns = weights(old[0], new[0]), weights(old[1], new[1])
    grid = dy[0, prefix:].reshape(*new, D).astype(np.float64)
    spread = np.einsum("ri,sj,rsd->ijd", rows, columns, grid, optimize=True)
    return np.concatenate([dy[:, :prefix], spread.reshape(1, -1, D).astype(dy.dtype)], axis=1)


def resize_matrix(old, new, mode):
    # -> (new,old): row i holds the weights with which the old samples make new sample i
    if mode.startswith("corner_bilinear"):
        return _corner_bilinear(old, new, zero_past_the_end=mode.endswith("scipy"))
    scale = old / new
    centre = (np.arange(new)[:, None] + 0.5) * scale - 0.5
    if mode == "bicubic_antialias":
        weights = _cubic((np.arange(old) - centre) / max(scale, 1), a=-0.5)
        return weights / weights.sum(1, keepdims=True)
    reach = 1 if mode == "bilinear" else 2
    matrix = np.zeros((new, old))
    for step in range(1 - reach, reach + 1):
        sample = np.floor(centre) + step
        weight = _triangle(centre - sample) if mode == "bilinear" else _cubic(centre - sample, a=-0.75)
        np.add.at(matrix, (np.arange(new)[:, None], np.clip(sample, 0, old - 1).astype(int)), weight)
    return matrix


def _corner_bilinear(old, new, zero_past_the_end):
    step = (old - 1) / (new - 1) if new > 1 else 1.0  # as scipy computes it, so that its rounding is ours
    centre = np.arange(new)[:, None] * step
    matrix = _triangle(np.minimum(centre, old - 1) - np.arange(old))
    if zero_past_the_end:
        matrix *= centre <= old - 1
    return matrix


def _triangle(x):
    return np.maximum(0, 1 - np.abs(x))


def _cubic(x, a):
    # cubic convolution with free parameter a (Keys 1981): zero from distance 2 on, interpolates at integers
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _resize_float32(grid, new):
    # grid (g,g',D) -> (r,r',D), all float32: torch's order, columns first; the same bits when the grid grows
    # (when it shrinks, its compiler rounds some products before adding them, and the last bit may differ)
    for axis in (1, 0):
        samples = np.moveaxis(grid, axis, 0)
        weights = _antialias_float32(len(samples), new[axis])
        total = np.zeros((new[axis], *samples.shape[1:]), np.float32)
        for sample, weight in zip(samples, weights.T, strict=True):
            total = _fma(weight[:, None, None], sample, total)
        grid = np.moveaxis(total, 0, axis)
    return grid


def _antialias_float32(old, new):
    # -> (new,old) float32: resize_matrix(old, new, "bicubic_antialias") with torch's roundings
    one, a, scale = np.float32(1), np.float32(-0.5), np.float32(old) / np.float32(new)
    centre = scale * (np.arange(new, dtype=np.float32)[:, None] + np.float32(0.5))
    inverse = one / max(scale, one)
    x = np.abs((np.arange(old, dtype=np.float32) - centre + np.float32(0.5)) * inverse)
    near = _fma(_fma(a + 2, x, -(a + 3)) * x, x, one)
    far = _fma(_fma(x - 5, x, 8), x, -4) * a
    weights = np.where(x < 1, near, np.where(x < 2, far, np.float32(0)))
    return weights / weights.cumsum(1)[:, -1:]  # a running sum, because it adds one by one


def _fma(a, b, c):
    # a·b + c of float32 with a single rounding, as the instruction does: in float64 the product is exact
    return (np.asarray(a, np.float64) * b + c).astype(np.float32)
