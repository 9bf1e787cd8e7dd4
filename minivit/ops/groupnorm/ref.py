"""GroupNorm in NumPy."""

import numpy as np


def groupnorm(x, scale, bias, groups, eps):
    # x (B,h,w,C), scale (C,), bias (C,) -> (B,h,w,C)
    normal, _ = _normal(x, groups, eps)
    return normal.reshape(x.shape) * scale + bias


def groupnorm_backward(dy, x, scale, groups, eps):
    # dy, x (B,h,w,C), scale (C,) -> dx (B,h,w,C), dscale (C,), dbias (C,)
    normal, inverse = _normal(x, groups, eps)
    dscale, dbias = (dy * normal.reshape(x.shape)).sum((0, 1, 2)), dy.sum((0, 1, 2))
    dx = (dy * scale).reshape(normal.shape)
    # what would shift or stretch a group changes nothing: its mean and its component along `normal` are taken out
    dx = dx - _mean(dx) - normal * _mean(dx * normal)
    return (dx * inverse).reshape(x.shape), dscale, dbias


def _normal(x, groups, eps):
    # x (B,h,w,C) -> (x − mean) · inverse, by group (B,h·w,groups,C/groups), and inverse (B,1,groups,1)
    B, h, w, C = x.shape
    x = x.reshape(B, h * w, groups, C // groups)
    centred = x - _mean(x)
    inverse = 1 / np.sqrt(_mean(np.square(centred)) + eps)
    return centred * inverse, inverse


def _mean(x):
    # x (B,h·w,groups,C/groups) -> (B,1,groups,1)
    return x.mean((1, 3), keepdims=True)
