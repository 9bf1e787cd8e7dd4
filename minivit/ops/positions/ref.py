"""Position-table resize in NumPy: one dense matrix per axis, built in float64."""

import numpy as np

MODES = ("corner_bilinear", "corner_bilinear_scipy", "bilinear", "bicubic", "bicubic_antialias")


def resize_positions(table, old, new, prefix, mode):
    # table (1,prefix+g·g',D), old (g,g'), new (r,r') -> (1,prefix+r·r',D)
    if old == new:
        return table
    D = table.shape[-1]
    grid = table[0, prefix:].reshape(*old, D).astype(np.float64)
    rows, columns = resize_matrix(old[0], new[0], mode), resize_matrix(old[1], new[1], mode)
    resized = np.einsum("ri,sj,ijd->rsd", rows, columns, grid, optimize=True).reshape(1, -1, D)
    return np.concatenate([table[:, :prefix], resized.astype(table.dtype)], axis=1)


def resize_matrix(old, new, mode):
    # -> (new,old): row i holds the weights with which the old samples make new sample i
    if mode.startswith("corner_bilinear"):
        return _corner_bilinear(old, new, zero_past_the_end=mode.endswith("scipy"))
    scale = old / new
    centre = (np.arange(new)[:, None] + 0.5) * scale - 0.5
    if mode == "bicubic_antialias":
        return _antialiased(centre, old, max(scale, 1.0))
    kernel, reach = (_triangle, 1) if mode == "bilinear" else (_cubic(-0.75), 2)
    matrix = np.zeros((new, old))
    for step in range(1 - reach, reach + 1):
        tap = np.floor(centre) + step
        np.add.at(matrix, (np.arange(new)[:, None], np.clip(tap, 0, old - 1).astype(int)), kernel(centre - tap))
    return matrix


def _corner_bilinear(old, new, zero_past_the_end):
    step = (old - 1) / (new - 1) if new > 1 else 1.0  # as scipy computes it, so that its rounding is ours
    centre = np.arange(new)[:, None] * step
    matrix = _triangle(np.minimum(centre, old - 1) - np.arange(old))
    if zero_past_the_end:
        matrix *= centre <= old - 1
    return matrix


def _antialiased(centre, old, width):
    # centre (new,1); the kernel covers `width` old samples per unit, and rows are normalised to sum to one
    distance = np.arange(old) - centre
    weights = _cubic(-0.5)(distance / width)
    return weights / weights.sum(1, keepdims=True)


def _triangle(x):
    return np.maximum(0, 1 - np.abs(x))


def _cubic(a):
    """Cubic convolution kernel with free parameter a (Keys 1981): support 2, interpolates at integers."""

    def kernel(x):
        x = np.abs(x)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = a * (((x - 5) * x + 8) * x - 4)
        return np.where(x <= 1, near, np.where(x < 2, far, 0))

    return kernel
