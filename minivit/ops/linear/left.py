"""A matrix on the left, wᵀ x: the MLP of a Mixer across tokens, for kernels to put together.

The micro-kernel is that of product.py, with the roles changed: the rows of wᵀ are packed once as panels a, and the
activations are panels b.  A row of x is already contiguous columns of such panels, so nothing is ever transposed: not
what LayerNorm writes, not the hidden layer, whose tiles are panels of the next product, and not the result.
"""

from ..layernorm.rows import normalise_row
from ..simd.lanes import filled
from ..simd.language import njit
from ..simd.memory import get, load, load_part, number_at, paired, store, store_part
from ..simd.stages import done, take, wait
from ..simd.target import VECS, WIDE, W
from .blocking import MAX_ROWS, TASKS
from .finish import activate
from .gradient import item_of
from .panels import chunks_of, tall_of, terms_of
from .tiles import multiply

#: items of one task of pack_normalised
ITEMS = 8


@njit
def pack_normalised(work, stage, kind, x, images, n, d, scale, bias, eps, b, rows):
    # x (images,n,d) -> LayerNorm(x) as panels b (images, d/WIDE, items, WIDE), whose inner terms are the n rows of an
    # image; `rows` is scratch for two
    terms, items, panels = terms_of(kind), chunks_of(kind, n) * W, -(-d // WIDE)
    tasks = -(-items // ITEMS)
    i = take(work, stage)
    while i < images * tasks:
        image = i // tasks
        for item in range(i % tasks * ITEMS, min(items, (i % tasks + 1) * ITEMS)):
            first, second, r = 0, 0, item * terms
            if r < n:
                first = rows
                normalise_row(x + 4 * (image * n + r) * d, d, scale, bias, eps, first)
            if terms == 2 and r + 1 < n:
                second = rows + 4 * d
                normalise_row(x + 4 * (image * n + r + 1) * d, d, scale, bias, eps, second)
            for p in range(panels):
                for j in range(0, WIDE, W):
                    v = item_of(kind, first, second, p * WIDE + j, d - p * WIDE - j)
                    store(b, ((image * panels + p) * items + item) * WIDE + j, v)
        i = done(work, stage)
    wait(work, stage, images * tasks)


@njit
def row_of(c, m, j, r, rows, bias, activation):
    """W numbers of row r + m, which is row m of tile c; zeros below the last row."""
    if r + m < rows:
        return activate(load(c, m * WIDE + j * W) + filled(get(bias, r + m)), activation)
    return filled(0.0)


@njit
def finish_into_panel(kind, c, r, rows, bias, activation, panel):
    # tile c, from row r on -> activation(c + bias) in the items of a panel of the product that follows; the last tile
    # also clears what is behind the last row, because zeros of a meet it, but 0·NaN is not zero
    terms = terms_of(kind)
    tall = tall_of(kind)
    end = r + tall if r + tall < rows else chunks_of(kind, rows) * W * terms
    for m in range(0, end - r, terms):
        for j in range(VECS):
            v = row_of(c, m, j, r, rows, bias, activation)
            if terms == 2:
                v = paired(v, row_of(c, m + 1, j, r, rows, bias, activation))
            store(panel, (r + m) // terms * WIDE + j * W, v)


@njit
def finish_rows(c, tall, r, rows, col, columns, bias, activation, y, residual):
    # tile c, from row r and column col on -> y (rows,columns) = activation(c + bias) + residual
    for m in range(min(tall, rows - r)):
        for j in range(VECS):
            at, left = (r + m) * columns + col + j * W, max(columns - col - j * W, 0)
            v = row_of(c, m, j, r, rows, bias, activation)
            store_part(y, at, v + load_part(residual, at, left) if residual else v, left)


@njit
def product_left(work, stage, threads, w, images, columns, b, bias, activation, y, to_panels, residual, c):
    # LeftMatrix w (k,rows), panels b (images,k,columns) -> y (images,rows,columns), or panels for the next such product
    kind, k, rows, a = number_at(w, 0), number_at(w, 1), number_at(w, 2), number_at(w, 3)
    tall, panels, chunks = tall_of(kind), -(-columns // WIDE), chunks_of(kind, k)
    tiles = -(-rows // tall)
    blocks = min(tiles, max(-(-tiles // (MAX_ROWS // tall)), -(-TASKS * threads // (images * panels))))
    size, size_y = 4 * WIDE * W * chunks, 4 * WIDE * W * chunks_of(kind, rows)
    i = take(work, stage)
    while i < blocks * images * panels:
        block, p = i // (images * panels), i % (images * panels)
        image, following = p // panels, b + size * ((p + threads) % (images * panels))
        for t in range(tiles * block // blocks, tiles * (block + 1) // blocks):
            ahead = following + 128 * chunks * (t - tiles * block // blocks)
            multiply(kind, min(tall, rows - t * tall), a + 4 * tall * W * chunks * t, b + size * p, c, WIDE, W, chunks,
                     False, ahead)  # fmt: skip
            if to_panels:
                finish_into_panel(kind, c, t * tall, rows, bias, activation, y + size_y * p)
            else:
                place = 4 * image * rows * columns
                finish_rows(c, tall, t * tall, rows, p % panels * WIDE, columns, bias, activation, y + place,
                            residual + place if residual else 0)  # fmt: skip
        i = done(work, stage)
    wait(work, stage, blocks * images * panels)
