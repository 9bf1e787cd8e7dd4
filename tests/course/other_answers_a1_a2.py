"""Different right answers: patches to GELU."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from other_answers import answers

from minivit.ops.gelu.ref import erf
from minivit.ops.positions.ref import resize_matrix


@answers("A1.1")
def patches_by_loops(images, P):
    found = []
    for r in range(images.shape[1] // P):
        for c in range(images.shape[2] // P):
            found.append(images[:, r * P : r * P + P, c * P : c * P + P].reshape(len(images), -1))
    return np.stack(found, 1)


@answers("A1.1")
def patches_by_windows(images, P):
    windows = sliding_window_view(images, (P, P), axis=(1, 2))[:, ::P, ::P]  # (B,rows,columns,c,P,P)
    B, rows, columns, c = windows.shape[:4]
    return np.moveaxis(windows, 3, -1).reshape(B, rows * columns, P * P * c)


@answers("A1.2")
def images_by_loops(patches, P, shape):
    images = np.zeros(shape, patches.dtype)
    columns = shape[2] // P
    for i in range(patches.shape[1]):
        r, c = i // columns * P, i % columns * P
        images[:, r : r + P, c : c + P] = patches[:, i].reshape(len(patches), P, P, shape[3])
    return images


@answers("A1.2")
def images_by_swapping(patches, P, shape):
    B, height, width, c = shape
    rows, columns = height // P, width // P
    whole = patches.reshape(B, rows, columns, P, P, c).swapaxes(2, 3).reshape(B, rows * P, columns * P, c)
    return np.pad(whole, ((0, 0), (0, height - rows * P), (0, width - columns * P), (0, 0)))


@answers("A1.3")
def tokens_by_einsum(images, w, b):
    P = len(w)
    B, height, width, c = images.shape
    squares = images[:, : height // P * P, : width // P * P].reshape(B, height // P, P, width // P, P, c)
    return np.einsum("brpsqc,pqcd->brsd", squares, w).reshape(B, -1, w.shape[-1]) + b


@answers("A1.3")
def tokens_as_a_convolution(images, w, b):
    P, rows, columns = len(w), images.shape[1] // len(w), images.shape[2] // len(w)
    y = np.zeros((len(images), rows, columns, w.shape[-1]), images.dtype)
    for i in range(P):
        for j in range(P):
            y += images[:, i : rows * P : P, j : columns * P : P] @ w[i, j]
    return y.reshape(len(images), rows * columns, -1) + b


@answers("A1.4")
def tokens_in_front_by_repeat(patches, prefix):
    return np.concatenate((np.repeat(prefix, len(patches), axis=0), patches), 1)


@answers("A1.4")
def tokens_in_front_by_filling(patches, prefix):
    B, G, D = patches.shape
    tokens = np.empty((B, prefix.shape[1] + G, D), patches.dtype)
    tokens[:, : prefix.shape[1]] = prefix
    tokens[:, prefix.shape[1] :] = patches
    return tokens


@answers("A1.5")
def positions_by_two_products(table, old, new, prefix, mode):
    D = table.shape[-1]
    grid = table[0, prefix:].reshape(old[0], old[1] * D)
    tall = (resize_matrix(old[0], new[0], mode) @ grid).reshape(new[0], old[1], D)
    wide = resize_matrix(old[1], new[1], mode) @ tall
    return np.concatenate([table[0, :prefix], wide.reshape(-1, D)])[None].astype(table.dtype)


@answers("A1.5")
def positions_by_one_matrix(table, old, new, prefix, mode):
    both = np.kron(resize_matrix(old[0], new[0], mode), resize_matrix(old[1], new[1], mode))
    resized = np.tensordot(both, table[0, prefix:], 1)
    return np.vstack([table[0, :prefix], resized]).astype(table.dtype)[np.newaxis]


@answers("A2.1")
def probabilities_by_logarithm(x):
    largest = np.max(x, axis=-1, keepdims=True)
    return np.exp(x - largest - np.log(np.sum(np.exp(x - largest), axis=-1, keepdims=True)))


@answers("A2.1")
def probabilities_row_by_row(x):
    rows = x.reshape(-1, x.shape[-1])
    y = np.empty_like(rows)
    for i, row in enumerate(rows):
        e = np.exp(row - max(row))
        y[i] = e / e.sum()
    return y.reshape(x.shape)


@answers("A2.2")
def normalised_by_numpy(x, gamma, beta, epsilon):
    return gamma * (x - x.mean(-1)[..., None]) / np.sqrt(x.var(-1)[..., None] + epsilon) + beta


@answers("A2.2")
def normalised_by_power(x, scale, bias, eps):
    mean = x.sum(-1, keepdims=True) / x.shape[-1]
    variance = ((x - mean) ** 2).sum(-1, keepdims=True) / x.shape[-1]
    return (x - mean) * (variance + eps) ** -0.5 * scale + bias


@answers("A2.3")
def tanh_gelu_by_power(x):
    return x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))


@answers("A2.3")
def tanh_gelu_by_sigmoid(x):
    z = 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return x * np.where(z > 0, 1, np.exp(np.minimum(z, 0))) / (1 + np.exp(-np.abs(z)))


@answers("A2.4")
def erf_gelu_divided(x):
    return x * (1 + erf(x / math.sqrt(2))) / 2


@answers("A2.4")
def erf_gelu_one_by_one(x):
    y = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.ravel().tolist()]
    return np.array(y, x.dtype).reshape(x.shape)
