"""Convolution in NumPy, twice: as one product on all windows (im2col), and as a sum of products on shifted maps."""

import numpy as np


def conv(x, w, stride):
    # x (B,h,w,c), w (k,k,c,O) -> (B,⌈h/stride⌉,⌈w/stride⌉,O)
    return windows(x, len(w), stride) @ w.reshape(-1, w.shape[-1])


def conv_direct(x, w, stride):
    # the same, without ever writing the windows down: each of the k·k matrices multiplies a shifted map
    (rows, columns), padded = outputs(x, stride), pad(x, len(w), stride)
    y = np.zeros((len(x), rows, columns, w.shape[-1]), x.dtype)
    for m, n in np.ndindex(w.shape[:2]):
        y += shifted(padded, m, n, rows, columns, stride) @ w[m, n]
    return y


def conv_backward(dy, x, w, stride):
    # dy (B,⌈h/stride⌉,⌈w/stride⌉,O), x (B,h,w,c), w (k,k,c,O) -> dx (B,h,w,c), dw (k,k,c,O)
    flat = w.reshape(-1, w.shape[-1])
    dw = windows(x, len(w), stride).reshape(-1, len(flat)).T @ dy.reshape(-1, w.shape[-1])
    return from_windows(dy @ flat.T, x.shape, len(w), stride), dw.reshape(w.shape)


LADDER = {"im2col": conv, "direct": conv_direct}


# ---- windows and padding --------------------------------------------------------------------------------------------


def padding(size, side, stride):
    """(before, after): how many zeros SAME padding adds at both ends of an axis of that size."""
    total = max((-(-size // stride) - 1) * stride + side - size, 0)
    return total // 2, total - total // 2


def outputs(x, stride):
    """(rows, columns) of what a SAME convolution gives for a map x (B,h,w,c)."""
    return -(-x.shape[1] // stride), -(-x.shape[2] // stride)


def pad(x, side, stride, value=0.0):
    # x (B,h,w,c) -> (B,h + …,w + …,c)
    rows, columns = (padding(size, side, stride) for size in x.shape[1:3])
    return np.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=value)


def shifted(padded, m, n, rows, columns, stride):
    # padded (B,·,·,c) -> view (B,rows,columns,c): what every window has at its place (m, n)
    return padded[:, m : m + stride * (rows - 1) + 1 : stride, n : n + stride * (columns - 1) + 1 : stride]


def windows(x, side, stride):
    # x (B,h,w,c) -> (B,⌈h/stride⌉,⌈w/stride⌉,side·side·c); numbers in (row, column, channel) order
    (rows, columns), padded = outputs(x, stride), pad(x, side, stride)
    parts = [shifted(padded, m, n, rows, columns, stride) for m, n in np.ndindex(side, side)]
    return np.concatenate(parts, axis=-1)


def from_windows(dwindows, shape, side, stride):
    # gradients of all windows (B,·,·,side·side·c) -> of the map of that shape (B,h,w,c) that they were cut from
    B, h, w, c = shape
    (top, bottom), (left, right) = padding(h, side, stride), padding(w, side, stride)
    padded = np.zeros((B, top + h + bottom, left + w + right, c), dwindows.dtype)
    rows, columns = dwindows.shape[1:3]
    parts = dwindows.reshape(B, rows, columns, side, side, c)
    for m, n in np.ndindex(side, side):
        shifted(padded, m, n, rows, columns, stride)[...] += parts[:, :, :, m, n]
    return padded[:, top : top + h, left : left + w]


# ---- standardised weights -------------------------------------------------------------------------------------------


def standardise(w, eps, eps_on):
    # w (k,k,c,O) -> (k,k,c,O); eps_on "std" | "variance"
    centred = w - w.mean((0, 1, 2))
    return centred / _deviation(centred, eps, eps_on)[0]


def standardise_backward(dy, w, eps, eps_on):
    # dy, w (k,k,c,O) -> dw (k,k,c,O): what would shift or stretch a channel's weights changes nothing, or little
    centred = w - w.mean((0, 1, 2))
    deviation, root = _deviation(centred, eps, eps_on)
    along = (dy * centred).mean((0, 1, 2)) / (deviation * np.maximum(root, np.finfo(w.dtype).tiny))
    dw = dy - centred * along
    return (dw - dw.mean((0, 1, 2))) / deviation


def _deviation(centred, eps, eps_on):
    # centred (k,k,c,O) -> the denominator (O,), and the root in it (O,): d(denominator)/dw = centred / (n · root)
    variance = np.square(centred).mean((0, 1, 2))
    root = np.sqrt(variance) if eps_on == "std" else np.sqrt(variance + eps)
    return (root + eps if eps_on == "std" else root), root
