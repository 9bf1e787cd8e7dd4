"""GroupNorm on the GPU.  It is limited by memory; a group's numbers lie apart, a few channels of every pixel.

v1  one thread per group, three passes over it: 32 threads for a whole image                        2 % of the bandwidth
v2  one warp per group: lanes read neighbouring numbers and add up in five shuffles; of every line that comes from
    memory, other groups have the larger part                                                      20 % of the bandwidth
v3  three kernels in which all lines are read whole: moments of 32 pixels of a channel, in registers; their sums, by
    group (gpu_moments.py); then every number, four per access.  x is read twice and written once: 60 % of the bandwidth
    of a copy.  The last pass adds a residual, does ReLU, and writes in two halves for the next convolution

(Expected; what ours reach: benchmarks/gpu.sh.)  Moments are computed in two steps, the mean first, as in ref.py.
"""

from functools import cache

from ...errors import InputError
from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, float32, math, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel
from ...gpu.tiles import load_four
from ...gpu.warps import warp_sum
from ..conv.gpu_halves import filled_up, putting, taking
from ..relu.gpu import relu_of
from . import gpu_moments
from .gpu_moments import moments

THREADS = 128
WARPS = THREADS // 32
_ONE_KERNEL = f"{', '.join([FLOAT32.signature] * 4)}, {', '.join(['uint32'] * 4)}, float32"


@cache
def thread_per_group():
    @kernel(_ONE_KERNEL, THREADS)
    def groupnorm_v1(x, scale, bias, y, all_groups, groups, pixels, width, eps):
        # x (B,pixels,groups·width), scale, bias (groups·width,) -> y, as x
        group = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if group < all_groups:
            C, first = uint32(groups * width), uint32(group % groups * width)
            start, numbers = uint32(group // groups * pixels * C + first), float32(pixels * width)
            mean, variance = float32(0), float32(0)
            for p in range(pixels):
                for j in range(width):
                    mean += x[uint32(start + uint32(p) * C + uint32(j))]
            mean /= numbers
            for p in range(pixels):
                for j in range(width):
                    centred = x[uint32(start + uint32(p) * C + uint32(j))] - mean
                    variance += centred * centred
            inverse = float32(1) / math.sqrt(variance / numbers + eps)
            for p in range(pixels):
                for j in range(width):
                    at, c = uint32(start + uint32(p) * C + uint32(j)), uint32(first + uint32(j))
                    y[at] = (x[at] - mean) * inverse * scale[c] + bias[c]

    return groupnorm_v1


@cache
def warp_per_group():
    @kernel(_ONE_KERNEL, THREADS)
    def groupnorm_v2(x, scale, bias, y, all_groups, groups, pixels, width, eps):
        # x (B,pixels,groups·width), scale, bias (groups·width,) -> y, as x
        lane = uint32(cuda.threadIdx.x) % uint32(32)
        group = uint32(uint32(cuda.blockIdx.x) * uint32(WARPS) + uint32(cuda.threadIdx.x) // uint32(32))
        if group < all_groups:  # the whole warp, or none of it: all lanes meet in the shuffles
            C, first, count = uint32(groups * width), uint32(group % groups * width), uint32(pixels * width)
            start, total, squares = uint32(group // groups * pixels * C + first), float32(0), float32(0)
            for i in range(lane, count, uint32(32)):
                total += x[uint32(start + uint32(i) // width * C + uint32(i) % width)]
            mean = warp_sum(total) / float32(count)
            for i in range(lane, count, uint32(32)):
                centred = x[uint32(start + uint32(i) // width * C + uint32(i) % width)] - mean
                squares += centred * centred
            inverse = float32(1) / math.sqrt(warp_sum(squares) / float32(count) + eps)
            for i in range(lane, count, uint32(32)):
                at, c = uint32(start + uint32(i) // width * C + uint32(i) % width), uint32(first + uint32(i) % width)
                y[at] = (x[at] - mean) * inverse * scale[c] + bias[c]

    return groupnorm_v2


@cache
def four_per_thread(aligned, relu=False, residual=None, output=FLOAT32):
    """residual: the format of a map that is added, or None.  Another format than float32, of both: two halves."""
    read, write, has_residual = load_four(aligned), putting(output, aligned), residual is not None
    take = taking(residual or FLOAT32, aligned)
    arrays = [array.signature for array in (FLOAT32, FLOAT32, FLOAT32, residual or FLOAT32, output)]

    @kernel(f"{', '.join(arrays)}, {', '.join(['uint32'] * 6)}", THREADS)
    def groupnorm_v3(x, norm, bias, other, y, count, rows, pixels, channels, others, width):
        # x (rows,C), norm (B,2,C), bias (C,), other (rows,others) -> y (rows,width); these two perhaps in two halves
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            fours = uint32((width + uint32(3)) // uint32(4))
            row, column = uint32(i // fours), uint32(i % fours * uint32(4))
            mean, factor = uint32(row // pixels * uint32(2)), uint32(row // pixels * uint32(2) + uint32(1))
            a, b, c, d = read(x, row, column, rows, channels)
            m0, m1, m2, m3 = read(norm, mean, column, uint32(factor + uint32(1)), channels)
            f0, f1, f2, f3 = read(norm, factor, column, uint32(factor + uint32(1)), channels)
            b0, b1, b2, b3 = read(bias, uint32(0), column, uint32(1), channels)
            a, b, c, d = (a - m0) * f0 + b0, (b - m1) * f1 + b1, (c - m2) * f2 + b2, (d - m3) * f3 + b3
            if has_residual:
                e, f, g, h = take(other, row, column, rows, others)
                a, b, c, d = a + e, b + f, c + g, d + h
            if relu:
                a, b, c, d = relu_of(a), relu_of(b), relu_of(c), relu_of(d)
            write(y, row, column, width, a, b, c, d)

    return groupnorm_v3


def _checked(x, scale, bias, groups):
    # x (B,h,w,C), scale (C,), bias (C,): as float32 on the device
    x, scale, bias = (dense(on_device(array), FLOAT32) for array in (x, scale, bias))
    C = x.shape[-1]
    if not scale.size == bias.size == C or C % groups:
        raise InputError(f"groupnorm: {C} channels, {scale.size} scales, {bias.size} biases and {groups} groups")
    return x, scale, bias


def _rung(kernel_of, groups_of_a_block):
    def groupnorm(x, scale, bias, groups, eps):
        # x (B,h,w,C), scale (C,), bias (C,) -> (B,h,w,C)
        x, scale, bias = _checked(x, scale, bias, groups)
        y, all_groups, pixels = empty(x.shape, FLOAT32), len(x) * groups, x.shape[1] * x.shape[2]
        kernel_of().launch(
            blocks(all_groups, groups_of_a_block), x.flat, scale.flat, bias.flat, y.flat, all_groups, groups, pixels,
            x.shape[-1] // groups, eps,
        )  # fmt: skip
        return y

    return groupnorm


def normalised(x, scale, bias, groups, eps, relu=False, residual=None, output=FLOAT32):
    """GroupNorm, then + residual, then ReLU if asked.

    x (B,h,w,C), scale (C,), bias (C,), residual (B,h,w,C) or in two halves -> (B,h,w,C); output: another format than
    float32 for two halves, (B,h,w,2,C filled up).
    """
    x, scale, bias = _checked(x, scale, bias, groups)
    (B, h, w, C), two = x.shape, output is not FLOAT32
    norm, width = moments(x, scale, groups, eps), filled_up(C) if two else C
    y, rows = empty((B, h, w, 2, width) if two else x.shape, output), B * h * w
    other = x if residual is None else dense(on_device(residual))
    kernel = four_per_thread(C % 4 == 0, relu, None if residual is None else other.format, output)
    count = rows * -(-width // 4)
    kernel.launch(
        blocks(count, THREADS), x.flat, norm.flat, bias.flat, other.flat, y.flat, count, rows, h * w, C,
        other.shape[-1], width,
    )  # fmt: skip
    return y


def groupnorm(x, scale, bias, groups, eps):
    # x (B,h,w,C), scale (C,), bias (C,) -> (B,h,w,C)
    return normalised(x, scale, bias, groups, eps)


LADDER = {"v1": _rung(thread_per_group, THREADS), "v2": _rung(warp_per_group, WARPS), "v3": groupnorm}
_FOUR = ("LDG.E.128", "STG.E.128")
KERNELS = [
    Checked("groupnorm v1", thread_per_group()),
    Checked("groupnorm v2", warp_per_group(), ("SHFL",)),
    Checked("groupnorm v3", four_per_thread(True), _FOUR, last=True),
    Checked("groupnorm v3, any width", four_per_thread(False), last=True),
    Checked("groupnorm v3, residual and ReLU", four_per_thread(True, True, FLOAT32), _FOUR, last=True),
    Checked("groupnorm v3, residual and ReLU in two halves", four_per_thread(True, True, BFLOAT16, BFLOAT16),
            ("LDG.E.128", "LDG.E.64", "STG.E.64"), last=True),
    *gpu_moments.KERNELS,
]  # fmt: skip
