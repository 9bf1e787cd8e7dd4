"""Patch embedding on the CPU.

v1  the convolution as loops                                                                          0.25 × ref
v2  patches go straight from the image into the packed panels of a matrix product                     2 × ref
"""

import numpy as np

from ...errors import InputError
from ..linear.blocking import SUMS, group_of
from ..linear.cpu import linear_backward
from ..linear.finish import PLAIN
from ..linear.packed import PackedMatrix
from ..linear.panels import pack_row, panel_floats, panel_size, tall_of
from ..linear.product import product
from ..simd.kernel import kernel
from ..simd.language import njit
from ..simd.memory import load_part, number_at, store_part
from ..simd.stages import done, my_part, take, wait
from ..simd.target import W
from ..simd.team import team
from .ref import patchify, unpatchify


@njit(nogil=True)
def loops_v1(images, w, b, y):
    # images (B,h,w,c), w (P,P,c,D), b (D,) -> y (B,rows,columns,D)
    side = len(w)
    for i in range(len(images)):
        for row in range(y.shape[1]):
            for column in range(y.shape[2]):
                y[i, row, column] = b
                for dy in range(side):
                    for dx in range(side):
                        for c in range(images.shape[3]):
                            pixel = images[i, row * side + dy, column * side + dx, c]
                            for d in range(len(b)):
                                y[i, row, column, d] += pixel * w[dy, dx, c, d]


@njit
def gather(image, width, side, strip, y):
    # one patch: `side` strips of `strip` numbers, a line of the image apart -> y (side·strip)
    for line in range(side):
        for i in range(0, strip, W):
            store_part(y, line * strip + i, load_part(image, line * width + i, strip - i), strip - i)


@njit
def gather_pack(work, stage, kind, images, count, height, width, strip, side, a, row):
    # images (count,height,width), width in numbers -> one packed row per patch; `row` is scratch
    down, across = height // side, width // strip
    rows, k = count * down * across, side * strip
    tall, size = tall_of(kind), panel_size(kind, k)
    panels = -(-rows // tall)
    p = take(work, stage)
    while p < panels:
        for r in range(p * tall, min(rows, (p + 1) * tall)):
            image, line, column = r // (down * across), r // across % down, r % across
            gather(images + 4 * ((image * height + line * side) * width + column * strip), width, side, strip, row)
            pack_row(kind, row, k, a + 4 * p * size, r - p * tall, 0)
        p = done(work, stage)
    wait(work, stage, panels)


@kernel
def patch_kernel(work, threads, images, count, group, height, width, strip, side, w, bias, y, a, scratch, size):
    mine, kind, n = my_part(work, scratch, size), number_at(w, 0), number_at(w, 2)
    patches, stage = (height // side) * (width // strip), 1
    for first in range(0, count, group):
        some = min(group, count - first)
        gather_pack(work, stage, kind, images + 4 * first * height * width, some, height, width, strip, side, a, mine)
        out = y + 4 * first * patches * n
        product(work, stage + 1, threads, a, 0, some * patches, w, bias, PLAIN, out, False, 0, mine)
        stage += 2


def patch_embed(images, w, b):
    # images (B,h,w,c), w PackedMatrix (P,P,c,D), b (D,) -> (B,G,D)
    images = np.ascontiguousarray(images, np.float32)
    w = w if isinstance(w, PackedMatrix) else PackedMatrix(np.asarray(w))
    count, height, width, channels = images.shape
    side = w.shape[0]
    if w.shape[:3] != (side, side, channels):
        raise InputError(f"patch_embed: the images have {channels} channels, w has shape {w.shape}")
    patches = (height // side) * (width // side)
    group = group_of(count, patches, w.outputs)
    y = np.empty((count, patches, w.outputs), np.float32)
    crew = team()
    crew.run(
        patch_kernel, crew.threads, images, count, group, height, width * channels, side * channels, side, w,
        np.ascontiguousarray(b, np.float32), y, stages=1 + 2 * -(-count // group),
        spaces=(panel_floats(group * patches, w.inputs),), scratch=max(SUMS, w.inputs),
    )  # fmt: skip
    return y


def patch_embed_backward(dy, images, w):
    # dy (B,G,D), images (B,h,w,c), w (P,P,c,D), packed or not -> dimages (B,h,w,c), dw (P,P,c,D), db (D,)
    dpatches, dw, db = linear_backward(dy, patchify(images, w.shape[0]), w)
    return unpatchify(dpatches, w.shape[0], images.shape), dw.reshape(w.shape), db


def patch_embed_v1(images, w, b):
    # images (B,h,w,c), w (P,P,c,D) not packed, b (D,) -> (B,G,D)
    count, height, width, _ = images.shape
    y = np.empty((count, height // len(w), width // len(w), len(b)), np.float32)
    loops_v1(np.ascontiguousarray(images, np.float32), w, b, y)
    return y.reshape(count, -1, len(b))


LADDER = {"v1": patch_embed_v1, "v2": patch_embed}
