"""Different right answers: gradients and kernels."""

import math

import numpy as np
from numba import njit
from other_answers import answers

from minivit.ops.gelu.ref import erf


@answers("A6.1")
def linear_gradients_by_einsum(dy, x, w):
    dw = np.tensordot(x, dy, (range(x.ndim - 1), range(x.ndim - 1)))
    return np.einsum("...o,io->...i", dy, w), dw, dy.sum(tuple(range(dy.ndim - 1)))


@answers("A6.1")
def linear_gradients_row_by_row(dy, x, w):
    dw, db = np.zeros_like(w), np.zeros_like(w[0])
    for row, grad in zip(x.reshape(-1, len(w)), dy.reshape(-1, w.shape[1]), strict=True):
        dw += np.outer(row, grad)
        db += grad
    return dy @ w.transpose(), dw, db


@answers("A6.2")
def norm_gradients_by_the_formula(dy, x, scale, eps):
    inverse = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    n = (x - x.mean(-1, keepdims=True)) * inverse
    g = dy * scale
    dx = inverse * (g - g.mean(-1, keepdims=True) - n * (g * n).mean(-1, keepdims=True))
    axes = tuple(range(x.ndim - 1))
    return dx, (dy * n).sum(axes), dy.sum(axes)


@answers("A6.2")
def norm_gradients_step_by_step(dy, x, scale, eps):
    D = x.shape[-1]
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    inverse = (variance + eps) ** -0.5
    dn = dy * scale
    dvariance = (dn * centred).sum(-1, keepdims=True) * -0.5 * inverse**3
    dcentred = dn * inverse + dvariance * 2 * centred / D
    dx = dcentred - dcentred.sum(-1, keepdims=True) / D
    return dx, np.sum((dy * centred * inverse).reshape(-1, D), 0), np.sum(dy.reshape(-1, D), 0)


@answers("A6.3")
def gelu_gradient_by_cases(dy, x, kind):
    if kind == "erf":
        slope = 0.5 + 0.5 * erf(x / 2**0.5) + x * np.exp(-(x**2) / 2) / (2 * math.pi) ** 0.5
    else:
        c = (2 / math.pi) ** 0.5
        t = np.tanh(c * (x + 0.044715 * x**3))
        slope = 0.5 + 0.5 * t + 0.5 * x * (1 - t**2) * c * (1 + 0.134145 * x**2)
    return dy * slope


@answers("A6.3")
def gelu_gradient_by_cosh(dy, x, kind):
    if kind == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        outer = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
        return dy * (0.5 * (1 + np.tanh(inner)) + 0.5 * x * outer / np.cosh(np.clip(inner, -30, 30)) ** 2)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return (0.5 * (1 + erf(x * math.sqrt(0.5))) + x * density) * dy


@answers("A6.4")
def softmax_gradient_by_sum(dp, p):
    return p * (dp - (dp * p).sum(-1, keepdims=True))


@answers("A6.4")
def softmax_gradient_by_jacobian(dp, p):
    jacobian = p[..., None] * (np.eye(p.shape[-1], dtype=p.dtype) - p[..., None, :])
    return (jacobian @ dp[..., None])[..., 0]


@answers("A6.5")
def score_gradients_by_einsum(dscores, q, k):
    d = dscores / math.sqrt(q.shape[-1])
    return np.einsum("bhij,bhjk->bhik", d, k), np.einsum("bhij,bhik->bhjk", d, q)


@answers("A6.5")
def score_gradients_scaled_last(dscores, q, k):
    c = q.shape[-1] ** -0.5
    return [c * (dscores @ k), c * (dscores.transpose(0, 1, 3, 2) @ q)]


@answers("A6.6")
def mix_gradients_by_einsum(dz, probs, v):
    return np.einsum("bhik,bhjk->bhij", dz, v), np.einsum("bhij,bhik->bhjk", probs, dz)


@answers("A6.6")
def mix_gradients_by_transpose(dz, probs, v):
    return np.matmul(dz, v.transpose(0, 1, 3, 2)), np.matmul(probs.transpose(0, 1, 3, 2), dz)


@answers("A6.7")
def loss_gradient_by_definition(logits, targets):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True) - targets) / math.prod(logits.shape[:-1])


@answers("A6.7")
def loss_gradient_row_by_row(logits, targets):
    rows, wanted = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1, logits.shape[-1])
    found = np.empty_like(rows)
    for i in range(len(rows)):
        z = rows[i] - rows[i].max()
        found[i] = np.exp(z) / np.exp(z).sum() - wanted[i]
    return (found / len(rows)).reshape(logits.shape)


@answers("A7.1")
@njit
def norm_kernel_with_reciprocal(x, scale, bias, eps, y):
    rows, D = x.shape
    for m in range(rows):
        total = np.float32(0)
        for j in range(D):
            total += x[m, j]
        mean = total / np.float32(D)
        total = np.float32(0)
        for j in range(D):
            centred = x[m, j] - mean
            total += centred * centred
        inverse = np.float32(1) / np.sqrt(total / np.float32(D) + np.float32(eps))
        for j in range(D):
            y[m, j] = (x[m, j] - mean) * inverse * scale[j] + bias[j]


@answers("A7.1")
@njit(fastmath=True)
def norm_kernel_by_rows(x, scale, bias, eps, y):
    for m in range(x.shape[0]):
        row = x[m]
        mean = row.sum() / np.float32(row.size)
        square = np.float32(0)
        for value in row:
            square += (value - mean) * (value - mean)
        deviation = np.sqrt(square / np.float32(row.size) + np.float32(eps))
        for j in range(row.size):
            y[m, j] = scale[j] * (row[j] - mean) / deviation + bias[j]


@answers("A7.2")
@njit
def linear_kernel_by_rows(x, w, b, y):
    for m in range(x.shape[0]):
        y[m] = b
        for k in range(x.shape[1]):
            number = x[m, k]
            for j in range(w.shape[1]):
                y[m, j] += number * w[k, j]


@answers("A7.2")
@njit(fastmath=True)
def linear_kernel_four_inputs_at_a_time(x, w, b, y):
    inputs, outputs = w.shape
    for m in range(len(x)):
        for j in range(outputs):
            y[m, j] = b[j]
        whole = inputs - inputs % 4
        for k in range(0, whole, 4):
            p, q, r, s = x[m, k], x[m, k + 1], x[m, k + 2], x[m, k + 3]
            for j in range(outputs):
                y[m, j] += p * w[k, j] + q * w[k + 1, j] + r * w[k + 2, j] + s * w[k + 3, j]
        for k in range(whole, inputs):
            for j in range(outputs):
                y[m, j] += x[m, k] * w[k, j]
