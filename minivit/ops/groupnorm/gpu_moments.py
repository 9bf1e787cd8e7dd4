"""Mean and deviation of every group of a map, with every line of memory read whole, and once.

parts   a thread per channel and PIXELS pixels, which stay in its registers: their mean, and the sum of their squared
        distances from it.  Neighbouring threads have neighbouring channels
join    a warp per image and group puts its parts together: the mean of all, then the distances of the parts from it
        (Chan, Golub, LeVeque 1979), so that no large numbers are subtracted
"""

from functools import cache

from ...gpu.arrays import blocks, empty
from ...gpu.compat import cuda, float32, math, uint32
from ...gpu.formats import FLOAT32
from ...gpu.launch import Checked, kernel
from ...gpu.warps import warp_sum

PIXELS = 32  # of one part
THREADS = 128
WARPS = THREADS // 32


@cache
def parts_kernel():
    @kernel(f"{FLOAT32.signature}, {FLOAT32.signature}, {', '.join(['uint32'] * 4)}", THREADS)
    def groupnorm_parts(x, parts, count, pixels, channels, tasks):
        # x (B,pixels,C) -> parts (B,tasks,2,C): mean and squares of PIXELS pixels each; count = B·tasks·C threads
        v = cuda.local.array(PIXELS, float32)
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            part, c = uint32(i // channels), uint32(i % channels)
            first = uint32(part % tasks * uint32(PIXELS))
            start = uint32((part // tasks * pixels + first) * channels + c)
            some, total, squares = uint32(min(uint32(PIXELS), uint32(pixels - first))), float32(0), float32(0)
            for p in range(PIXELS):
                v[p] = x[uint32(start + uint32(p) * channels)] if uint32(p) < some else float32(0)
                total += v[p]
            mean = total / float32(some)
            for p in range(PIXELS):
                centred = v[p] - mean if uint32(p) < some else float32(0)
                squares += centred * centred
            at = uint32(part * uint32(2) * channels + c)
            parts[at] = mean
            parts[uint32(at + channels)] = squares

    return groupnorm_parts


@cache
def join_kernel():
    arrays = ", ".join([FLOAT32.signature] * 3)

    @kernel(f"{arrays}, {', '.join(['uint32'] * 5)}, float32", THREADS)
    def groupnorm_join(parts, scale, norm, all_groups, groups, pixels, width, tasks, eps):
        # parts (B,tasks,2,C), scale (C,) -> norm (B,2,C): the mean, and scale / √(variance + eps); C = groups·width
        lane = uint32(cuda.threadIdx.x) % uint32(32)
        group = uint32(uint32(cuda.blockIdx.x) * uint32(WARPS) + uint32(cuda.threadIdx.x) // uint32(32))
        if group < all_groups:  # the whole warp, or none of it: all lanes meet in the shuffles
            image, first, C = uint32(group // groups), uint32(group % groups * width), uint32(groups * width)
            start, total, squares = uint32(image * tasks * uint32(2) * C + first), float32(0), float32(0)
            numbers = float32(pixels * width)
            for i in range(lane, tasks * width, uint32(32)):
                task, j = uint32(uint32(i) // width), uint32(uint32(i) % width)
                some = float32(min(uint32(PIXELS), uint32(pixels - task * uint32(PIXELS))))
                total += some * parts[uint32(start + task * uint32(2) * C + j)]
            mean = warp_sum(total) / numbers
            for i in range(lane, tasks * width, uint32(32)):
                task, j = uint32(uint32(i) // width), uint32(uint32(i) % width)
                some = float32(min(uint32(PIXELS), uint32(pixels - task * uint32(PIXELS))))
                away = parts[uint32(start + task * uint32(2) * C + j)] - mean
                squares += parts[uint32(start + (task * uint32(2) + uint32(1)) * C + j)] + some * away * away
            inverse = float32(1) / math.sqrt(warp_sum(squares) / numbers + eps)
            for j in range(lane, width, uint32(32)):
                at = uint32(image * uint32(2) * C + first + uint32(j))
                norm[at] = mean
                norm[uint32(at + C)] = inverse * scale[uint32(first + uint32(j))]

    return groupnorm_join


def moments(x, scale, groups, eps):
    # x (B,h,w,C), scale (C,) -> (B,2,C): what every channel is to be reduced by, and multiplied with
    B, pixels, C = len(x), x.shape[1] * x.shape[2], x.shape[-1]
    tasks = -(-pixels // PIXELS)
    parts, norm, count = empty((B, tasks, 2, C), FLOAT32), empty((B, 2, C), FLOAT32), B * tasks * C
    parts_kernel().launch(blocks(count, THREADS), x.flat, parts.flat, count, pixels, C, tasks)
    join_kernel().launch(
        blocks(B * groups, WARPS), parts.flat, scale.flat, norm.flat, B * groups, groups, pixels, C // groups, tasks,
        eps,
    )  # fmt: skip
    return norm


KERNELS = [
    Checked("groupnorm v3, parts", parts_kernel(), ("LDG.E", "STG.E"), last=True),
    Checked("groupnorm v3, join", join_kernel(), ("SHFL",), last=True),
]
