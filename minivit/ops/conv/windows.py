"""A convolution as a linear layer: windows go straight from the map into the packed panels of a product.

Written down, the windows of a 3×3 convolution are nine times the map.  So they are made for some rows at a time, few
enough for the caches, and multiplied at once.  On their way they may be normalised and pass ReLU: GroupNorm then needs
no pass of its own.
"""

from ..groupnorm.cpu import normalised
from ..linear.finish import PLAIN
from ..linear.panels import pack_row, panel_floats, panel_size, tall_of
from ..linear.product import product
from ..simd.arrays import address, round_up
from ..simd.lanes import filled, larger
from ..simd.language import njit
from ..simd.memory import load_part, number_at, store_part
from ..simd.stages import done, take, wait
from ..simd.target import TALL, W

#: numbers of the windows that are made at a time
AT_ONCE = 500_000


class Layer:
    """One convolution, and the GroupNorm behind it if there is one: the numbers that kernels read about it.

    fields: w, O, k, stride, h, w, c, rows and columns of the output, outputs at a time, scale, bias.
    """

    def __init__(self, w, stride, images, size, norm=None):
        # w PackedMatrix (k,k,c,O), size (h,w) of the map
        side, _, channels, self.outputs = w.shape
        self.inputs = w.inputs
        self.size = tuple(-(-length // stride) for length in size)
        self.rows = images * self.size[0] * self.size[1]
        some = round_up(-(-self.rows // -(-self.rows * w.inputs // AT_ONCE)), TALL)
        self.stages = 2 * -(-self.rows // some)
        self.room = panel_floats(some, w.inputs)  # of the windows at a time
        self.held, scale_bias = (w, norm), (norm["scale"], norm["bias"]) if norm else (None, None)
        numbers = side, stride, *size, channels, *self.size, some
        self.fields = [address(w), self.outputs, *numbers, *map(address, scale_bias)]


FIELDS = 12


@njit(forceinline=True)
def fill(y, first, last, number):
    for j in range(first, last, W):
        store_part(y, j, filled(number), last - j)


@njit(forceinline=True)
def relu_of(v):
    return larger(0.0, v)


@njit
def gather(x, h, w, c, side, line, column, norm, row):
    # the window of the map x (h,w,c) whose corner is at (line, column), zero outside -> row (side·side·c);
    # norm: as groupnorm/cpu.py makes it, for every number inside, which then passes ReLU; 0 for none
    left, right = max(-column, 0), min(side, w - column)
    for i in range(side):
        y, first, last = row + 4 * i * side * c, left * c, right * c
        if not 0 <= line + i < h:
            first = last = 0
        source = x + 4 * (((line + i) * w + column) * c)
        fill(y, 0, first, 0.0)
        for j in range(first, last, W):
            store_part(y, j, load_part(source, j, last - j), last - j)
        fill(y, last, side * c, 0.0)
        if norm:
            for start in range(first, last, c):
                for j in range(0, c, W):
                    v = relu_of(normalised(load_part(y, start + j, c - j), norm, j, c))
                    store_part(y, start + j, v, c - j)


@njit
def pack_windows(work, stage, layer, x, first, count, norm, a, row):
    # windows first…first + count of the maps x, all images one after the other -> panels a; `row` is scratch
    side, stride, h, w = number_at(layer, 2), number_at(layer, 3), number_at(layer, 4), number_at(layer, 5)
    c, down, across = number_at(layer, 6), number_at(layer, 7), number_at(layer, 8)
    top, start = max((down - 1) * stride + side - h, 0) // 2, max((across - 1) * stride + side - w, 0) // 2
    kind, k = number_at(number_at(layer, 0), 0), side * side * c
    tall, size = tall_of(kind), panel_size(kind, k)
    panels = -(-count // tall)
    p = take(work, stage)
    while p < panels:
        for r in range(p * tall, min(count, (p + 1) * tall)):
            image, place = (first + r) // (down * across), (first + r) % (down * across)
            line, column = place // across * stride - top, place % across * stride - start
            mine = norm + 12 * c * image if norm else 0
            gather(x + 4 * image * h * w * c, h, w, c, side, line, column, mine, row)
            pack_row(kind, row, k, a + 4 * p * size, r - p * tall, 0)
        p = done(work, stage)
    wait(work, stage, panels)


@njit
def convolve(work, stage, threads, layer, images, x, norm, y, a, mine):
    # maps x (images,h,w,c) -> y (images,rows,columns,O); norm: see gather.  Gives the stage after it
    w, outputs, some = number_at(layer, 0), number_at(layer, 1), number_at(layer, 9)
    rows = images * number_at(layer, 7) * number_at(layer, 8)
    for first in range(0, rows, some):
        count = min(some, rows - first)
        pack_windows(work, stage, layer, x, first, count, norm, a, mine)
        out = y + 4 * first * outputs
        product(work, stage + 1, threads, a, 0, count, w, 0, PLAIN, out, False, 0, mine)
        stage += 2
    return stage
