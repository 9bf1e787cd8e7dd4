# ruff: noqa: E501
"""Faults planted into the kernels of hybrids: the simulator must see every one of them."""

import numpy as np
import pytest
from simulated import agrees, caught, error, planted
from test_gpu_conv import EPS, TWO_HALVES, convolved, exact, normed, numbers

from minivit.gpu.arrays import on_device
from minivit.gpu.formats import BFLOAT16, FLOAT32
from minivit.ops.conv import gpu_halves, ref
from minivit.ops.groupnorm import ref as groupnorm_ref
from minivit.ops.max_pool import ref as max_pool_ref

GPU, WINDOWS, HALVES = "ops/conv/gpu", "ops/conv/gpu_windows", "ops/conv/gpu_halves"
NORM, MOMENTS = "ops/groupnorm/gpu", "ops/groupnorm/gpu_moments"
POOL, RELU = "ops/max_pool/gpu", "ops/relu/gpu"

#: fault -> (file, what is right, what is planted)
CONV = {
    "guard of v1 one row too far": (GPU, "if row < rows and column < outputs:", "if row < rows + 1 and column < outputs:"),
    "cells outside of the map read by v1": (GPU, "                if inside:\n", "                if True:\n"),
    "no padding above": (WINDOWS, "cell // side - top", "cell // side"),
    "padding of the columns taken for that of the rows": (WINDOWS, "in (windows.height, windows.width))", "in (windows.width, windows.width))"),
    "a line goes on in the next": (WINDOWS, "uint32(line < h) * uint32(column < w)", "uint32(line < h)"),
    "a map goes on in the next": (WINDOWS, "uint32(line < h) * uint32(column < w)", "uint32(column < w)"),
    "stride of the lines forgotten": (WINDOWS, "place // across * stride", "place // across"),
    "the first image for all": (WINDOWS, "(image * h + line)", "line"),
    "1×1 with a stride taken for a product": (WINDOWS, "windows.side == windows.stride == 1", "windows.side == 1"),
    "four at once where a pixel has no four": (WINDOWS, "if windows.channels % 4 else", "if windows.channels % 2 else"),
    "v2, rows past the end": (WINDOWS, "if row < rows and i < columns:", "if i < columns:"),
    "v3, rows past the end copied": (WINDOWS, "uint32(row < rows) * uint32(i < columns)", "uint32(i < columns)"),
    "v3, cells outside of the map copied": (WINDOWS, "inside * uint32(16))", "uint32(16))"),
    "v3, rests of weights meet rests of the map": (WINDOWS, "else once % c)", "else once % c + c)"),
    "v3, rests of weights meet another cell": (WINDOWS, "else once // c)", "else cells - uint32(1) - once // c)"),
    "rests of the map forgotten": (HALVES, "pack(a - a1, b - b1), pack(c - c1, d - d1)", "pack(a - a, b - b), pack(c - c, d - d)"),
    "rests of the map of another channel": (HALVES, "uint32(at + width), pack(", "uint32(at + width ^ uint32(4)), pack("),
    "rests of the weights forgotten": (HALVES, "(w - rounded)", "(w - w)"),
    "a map that ends within a block": (HALVES, "        if i < count:\n            row, column = uint32(i // (width", "        if True:\n            row, column = uint32(i // (width"),
    "a map taken for one that is filled up": (HALVES, "read(x, row, column, rows, channels)", "read(x, row, column, rows, width)"),
}  # fmt: skip
GROUPS = {
    "v1, mean of half of the pixels": ("v1", NORM, "mean /= numbers", "mean /= numbers + numbers"),
    "v1, guard one group too far": ("v1", NORM, "if group < all_groups:\n            C, first = uint32(groups * width), uint32(group % groups * width)\n            start, numbers", "if group <= all_groups:\n            C, first = uint32(groups * width), uint32(group % groups * width)\n            start, numbers"),
    "v2, sum of one lane instead of the warp": ("v2", NORM, "mean = warp_sum(total)", "mean = total"),
    "v2, lanes without a channel leave before the shuffles": ("v2", NORM, "if group < all_groups:  #", "if group < all_groups and lane < count:  #"),
    "v2, eps outside of the root": ("v2", NORM, "math.sqrt(warp_sum(squares) / float32(count) + eps)", "(math.sqrt(warp_sum(squares) / float32(count)) + eps)"),
    "v3, pixels of the next image in a part": ("v3", MOMENTS, "* channels)] if uint32(p) < some else float32(0)", "* channels)] if uint32(p) < pixels else float32(0)"),
    "v3, squares of what fills a part up": ("v3", MOMENTS, "v[p] - mean if uint32(p) < some else float32(0)", "v[p] - mean"),
    "v3, the last part weighs like the others": ("v3", MOMENTS, "min(uint32(PIXELS), uint32(pixels - task * uint32(PIXELS)))", "uint32(PIXELS)"),
    "v3, distances of the parts forgotten": ("v3", MOMENTS, " + some * away * away", ""),
    "v3, mean of one lane": ("v3", MOMENTS, "mean = warp_sum(total)", "mean = total"),
    "v3, squares of one lane": ("v3", MOMENTS, "warp_sum(squares)", "squares"),
    "v3, groups of the first image for all": ("v3", MOMENTS, "image * tasks * uint32(2) * C + first), float32(0), float32(0)", "first), float32(0), float32(0)"),
    "v3, scale of the first group for all": ("v3", MOMENTS, "scale[uint32(first + uint32(j))]", "scale[uint32(j)]"),
    "v3, moments of the first image for all": ("v3", NORM, "uint32(row // pixels * uint32(2)), ", "uint32(0), "),
    "v3, bias of other channels": ("v3", NORM, "read(bias, uint32(0), column,", "read(bias, uint32(0), column ^ uint32(4),"),
    "v3, a map that ends within a block": ("v3", NORM, "        if i < count:\n", "        if True:\n"),
    "v3, ReLU before the residual": ("v3", NORM, "a, b, c, d = a + e, b + f, c + g, d + h", "a, b, c, d = relu_of(a) + e, relu_of(b) + f, relu_of(c) + g, relu_of(d) + h"),
    "v3, residual of another width": ("v3", NORM, "take(other, row, column, rows, others)", "take(other, row, column, rows, width)"),
}  # fmt: skip
OTHERS = {
    "max-pooling, zeros outside of the map": (POOL, 'float("-inf")', "0.0"),
    "max-pooling, pixels outside of the map": (POOL, "                if inside:\n", "                if True:\n"),
    "max-pooling, one cell forgotten": (POOL, "in range(cells)", "in range(cells - 1)"),
    "max-pooling, the smallest": (POOL, "a > b", "a < b"),
    "max-pooling, a map that ends within a block": (POOL, "        if i < count:\n", "        if True:\n"),
    "ReLU, the other side": (RELU, "if x < float32(0)", "if x > float32(0)"),
    "ReLU, a tail that is read four at a time": (RELU, "if i + uint32(4) <= count:", "if i < count:"),
}  # fmt: skip


def with_its_fault(path, good, bad, user):
    """The module that is launched, with the faulty functions of the one that it imports from."""
    faulty = planted(path, good, bad)
    if path == user:
        return faulty
    module = planted(user, '"""', '"""')
    for name in {
        WINDOWS: ("finding", "reading", "copying"),
        HALVES: ("in_two_halves", "weights"),
        MOMENTS: ("moments",),
    }[path]:
        setattr(module, name, getattr(faulty, name))
    return module


def conv_right(module):
    """Whether all rungs of the convolution are right: odd maps and strides, in windows that reach beyond the border."""
    every = ("v1", FLOAT32), ("v2", FLOAT32), ("v3", BFLOAT16)
    cases = [(*rung, (2, 5, 4, 6), 3, 2, 8) for rung in every]
    cases += [(*rung, (2, 3, 5, 8), 1, stride, 8) for rung in every[1:] for stride in (1, 2)]
    if not all(error(*convolved(*case, op=module)) < TWO_HALVES[case[1].name] for case in cases):
        return False
    x, w = numbers(1, 2, 3, 8), numbers(3, 3, 8, 8, seed=1)
    y = module.conv(x, module.weights(w, BFLOAT16), 1)  # weights as a model keeps them: not rounded
    return error(y, ref.conv(exact(x), exact(w), 1)) < TWO_HALVES["bfloat16"]


def groups_right(rung, module):
    """Whether a rung of GroupNorm is right, alone and with what its last pass may do."""
    if not all(
        agrees(*normed(rung, shape, groups, 0.1, module)) for shape, groups in (((2, 5, 9, 8), 2), ((2, 3, 3, 6), 3))
    ):
        return False
    x, other, scale, bias = numbers(2, 2, 3, 6), numbers(2, 2, 3, 6, seed=3), numbers(6, seed=1), numbers(6, seed=2)
    two = gpu_halves.in_two_halves(on_device(other), BFLOAT16)
    y = module.normalised(x, scale, bias, 2, EPS, relu=True, residual=two)
    truth = groupnorm_ref.groupnorm(exact(x), exact(scale), exact(bias), 2, EPS) + other
    return error(y, np.maximum(truth, 0)) < 2e-5


def others_right(path, module):
    if path == RELU:
        return all(agrees(f(numbers(3, 7)), np.maximum(numbers(3, 7), 0)) for f in module.LADDER.values())
    x = numbers(2, 3, 5, 8) - 3
    return all(agrees(f(x, 3, 2), max_pool_ref.max_pool(x, 3, 2)) for f in module.LADDER.values())


@pytest.mark.parametrize("fault", CONV)
def test_the_simulator_catches_in_a_convolution(fault):
    assert caught(lambda: conv_right(with_its_fault(*CONV[fault], GPU)), seeds=(None, 0))


@pytest.mark.parametrize("fault", GROUPS)
def test_the_simulator_catches_in_groupnorm(fault):
    rung, *what = GROUPS[fault]
    assert caught(lambda: groups_right(rung, with_its_fault(*what, NORM)), seeds=(None, 0))


@pytest.mark.parametrize("fault", OTHERS)
def test_the_simulator_catches_in_max_pooling_and_relu(fault):
    path, good, bad = OTHERS[fault]
    assert caught(lambda: others_right(path, planted(path, good, bad)), seeds=(None, 0))


def test_without_a_fault_nothing_is_caught():
    def all_right():
        convs = [with_its_fault(path, '"""', '"""', GPU) for path in (GPU, WINDOWS, HALVES)]
        norms = [with_its_fault(path, '"""', '"""', NORM) for path in (NORM, MOMENTS)]
        return (
            all(map(conv_right, convs))
            and all(groups_right(rung, module) for module in norms for rung in module.LADDER)
            and all(others_right(path, planted(path, '"""', '"""')) for path in (POOL, RELU))
        )

    assert not caught(all_right, seeds=(None, 0))
