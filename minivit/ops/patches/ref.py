"""Patch embedding in NumPy."""

import numpy as np


def patch_embed(images, w, b):
    # images (B,h,w,c), w (P,P,c,D), b (D,) -> (B,G,D)
    P, _, c, D = w.shape
    return patchify(images, P) @ w.reshape(P * P * c, D) + b


def patchify(images, P):
    # images (B,h,w,c) -> (B,G,P·P·c); numbers of a patch in (row, column, channel) order
    B, height, width, c = images.shape
    rows, columns = height // P, width // P
    squares = images[:, : rows * P, : columns * P].reshape(B, rows, P, columns, P, c)
    return squares.transpose(0, 1, 3, 2, 4, 5).reshape(B, rows * columns, P * P * c)


def patch_embed_backward(dy, images, w):
    # dy (B,G,D), images (B,h,w,c), w (P,P,c,D) -> dimages (B,h,w,c), dw (P,P,c,D), db (D,)
    P, D = w.shape[0], w.shape[-1]
    rows = dy.reshape(-1, D)
    dw = patchify(images, P).reshape(len(rows), -1).T @ rows
    dpatches = dy @ w.reshape(-1, D).T
    return unpatchify(dpatches, P, images.shape), dw.reshape(w.shape), rows.sum(0)


def unpatchify(patches, P, shape):
    # patches (B,G,P·P·c) -> images of that shape (B,h,w,c), zero where no patch was cut
    B, height, width, c = shape
    rows, columns = height // P, width // P
    images = np.zeros(shape, patches.dtype)
    squares = patches.reshape(B, rows, columns, P, P, c).transpose(0, 1, 3, 2, 4, 5)
    images[:, : rows * P, : columns * P] = squares.reshape(B, rows * P, columns * P, c)
    return images
