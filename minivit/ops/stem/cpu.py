"""The ResNet of a hybrid on the CPU: all convolutions in one kernel, a few images at a time.

GroupNorm and ReLU have no pass of their own: between two convolutions only the moments of a map are computed, and the
next one normalises what it reads (conv/windows.py); behind the last one of a unit, both paths are normalised and added
up in one pass.
"""

import numpy as np

from ..conv.cpu import standardise
from ..conv.windows import FIELDS, Layer, convolve, relu_of
from ..groupnorm.cpu import ROWS, group_moments, moments_room, normalised
from ..linear.blocking import SUMS
from ..linear.packed import PackedMatrix
from ..max_pool.cpu import pool_maps
from ..simd.kernel import kernel_of
from ..simd.language import njit
from ..simd.memory import load_part, number_at, store_part
from ..simd.stages import done, my_part, take, wait
from ..simd.target import W
from ..simd.team import team

#: pixels that go through the stages together: one image of 224×224, several smaller ones
PIXELS = 60_000


@njit
def add_up(work, stage, images, rows, c, x, norm, other, other_norm, y):
    # x, other (images,rows,c), each normalised (other_norm 0: not) -> y = ReLU(x + other)
    tasks = -(-rows // ROWS)
    i = take(work, stage)
    while i < images * tasks:
        image, t = i // tasks, i % tasks
        own, others = norm + 12 * c * image, other_norm + 12 * c * image if other_norm else 0
        for r in range(image * rows + t * ROWS, image * rows + min(rows, (t + 1) * ROWS)):
            for j in range(0, c, W):
                left, place = c - j, r * c + j
                v, short = load_part(x, place, left), load_part(other, place, left)
                if others:
                    short = normalised(short, others, j, c)
                store_part(y, place, relu_of(short + normalised(v, own, j, c)), left)
        i = done(work, stage)
    wait(work, stage, images * tasks)


@njit
def normed(work, stage, threads, layer, images, x, before, groups, eps, y, after, a, parts, mine):
    # maps x, normalised by `before` -> y, a convolution, and the `after` that normalises it.  Gives the next stage
    stage = convolve(work, stage, threads, layer, images, x, before, y, a, mine)
    rows, c = number_at(layer, 7) * number_at(layer, 8), number_at(layer, 1)
    scale, bias = number_at(layer, 10), number_at(layer, 11)
    group_moments(work, stage, y, images, rows, c, groups, scale, bias, eps, parts, after)
    return stage + 2


@kernel_of("hybrid")
def stem_kernel(
    work, threads, images, count, some, image_size, layers, units, groups, eps: float, y, y_size, norm_size, map_size,
    a, parts, norms, maps, scratch, size,
):  # fmt: skip
    # layers: the root, then four per unit: conv1, conv2, conv3, and proj or zeros.  Spaces: panels a of windows, parts
    # of moments, four norms, six maps: what goes into a unit and comes out, its three convolutions, its projection
    mine, stage, step = my_part(work, scratch, size), 1, 8 * FIELDS
    n1, n2, n3, n4 = norms, norms + 4 * norm_size, norms + 8 * norm_size, norms + 12 * norm_size
    c1, c2, c3, c4 = maps + 8 * map_size, maps + 12 * map_size, maps + 16 * map_size, maps + 20 * map_size
    for first in range(0, count, some):
        now, x, other = min(some, count - first), maps, maps + 4 * map_size
        result = y + 4 * first * y_size
        image = images + 4 * first * image_size
        stage = normed(work, stage, threads, layers, now, image, 0, groups, eps, c1, n1, a, parts, mine)
        h, w, c = number_at(layers, 7), number_at(layers, 8), number_at(layers, 1)
        pool_maps(work, stage, now, c1, h, w, c, 3, 2, n1, x if units else result)
        stage += 1
        for u in range(units):
            conv1 = layers + step * (1 + 4 * u)
            conv2, conv3, proj = conv1 + step, conv1 + 2 * step, conv1 + 3 * step
            stage = normed(work, stage, threads, conv1, now, x, 0, groups, eps, c1, n1, a, parts, mine)
            stage = normed(work, stage, threads, conv2, now, c1, n1, groups, eps, c2, n2, a, parts, mine)
            stage = normed(work, stage, threads, conv3, now, c2, n2, groups, eps, c3, n3, a, parts, mine)
            short, short_norm = x, 0
            if number_at(proj, 0):
                stage = normed(work, stage, threads, proj, now, x, 0, groups, eps, c4, n4, a, parts, mine)
                short, short_norm = c4, n4
            rows, c = number_at(conv3, 7) * number_at(conv3, 8), number_at(conv3, 1)
            out = result if u == units - 1 else other
            add_up(work, stage, now, rows, c, c3, n3, short, short_norm, out)
            stage, x, other = stage + 1, other, x


def stem(p, images, config):
    # images (B,h,w,c) -> (B,rows,columns,channels)
    images, settings = np.ascontiguousarray(images, np.float32), config.stem
    count, pixels = len(images), images.shape[1] * images.shape[2]
    some = max(1, min(count, PIXELS // pixels))
    layers = layers_of(p, images.shape[1:3], some, settings)
    used, units = [layer for layer in layers if layer], len(layers) // 4
    table = np.array([layer.fields if layer else [0] * FIELDS for layer in layers])
    y = np.empty((count, *settings.size_of(*images.shape[1:3]), settings.channels), np.float32)
    norm_size = max(3 * some * layer.outputs for layer in used)
    map_size = max(layer.rows * layer.outputs for layer in used)
    stages, crew = 1 + units + sum(layer.stages + 2 for layer in used), team()
    crew.run(
        stem_kernel, crew.threads, images, count, some, images[0].size, table, units, settings.groups,
        settings.norm_eps, y, y[0].size, norm_size, map_size, keep=used, stages=1 + stages * -(-count // some),
        spaces=(
            max(layer.room for layer in used),
            max(moments_room(some, layer.rows // some, layer.outputs) for layer in used),
            4 * norm_size, 6 * map_size,
        ),
        scratch=max(SUMS, *(layer.inputs for layer in used)),
    )  # fmt: skip
    return y


def layers_of(p, size, images, settings):
    """The root, then four per unit: conv1, conv2, conv3, and proj or None.  size: (height, width) of the images."""

    def layer(p, name, stride, size):
        w = standardise(p[name]["w"], settings.weight_eps, settings.weight_eps_on)
        w = w if isinstance(w, PackedMatrix) else PackedMatrix(w)
        return Layer(w, stride, images, size, p[NORMS[name]])

    found = [layer(p, "conv", 2, size)]
    size = tuple(-(-length // 2) for length in found[0].size)  # pooled
    for stage, units in enumerate(p.get("stages", ())):
        for i, unit in enumerate(units):
            stride = 2 if stage and not i else 1
            conv1 = layer(unit, "conv1", 1, size)
            conv2 = layer(unit, "conv2", stride, size)
            conv3 = layer(unit, "conv3", 1, conv2.size)
            found += [conv1, conv2, conv3, layer(unit, "proj", stride, size) if "proj" in unit else None]
            size = conv2.size
    return found


#: convolution -> the GroupNorm behind it
NORMS = {"conv": "norm", "proj": "proj_norm", "conv1": "norm1", "conv2": "norm2", "conv3": "norm3"}
