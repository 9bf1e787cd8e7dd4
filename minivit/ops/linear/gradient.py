"""The stages of the backward pass of a linear layer, y = x w + b, for kernels to put together:

    dx = dy wᵀ      a product like the forward one; wᵀ is packed beside w (TrainedMatrix)
    dw = xᵀ dy      the rows of x and dy are its inner terms: both are packed item by item, as they lie
    db = Σ dy       on the way, while dy is packed

x is not always what was saved: pack_transposed computes a normalised or activated row again, which costs less than
fetching it from memory.
"""

from ..layernorm.rows import normalise_row
from ..simd.amx import AMX
from ..simd.dots import BFLOAT16, FLOAT32
from ..simd.lanes import filled
from ..simd.language import njit
from ..simd.memory import get, load_part, number_at, paired, put, store, store_part, transpose
from ..simd.stages import done, take, wait
from ..simd.target import TALL, WIDE, W
from .finish import PLAIN, activate
from .panels import BFLOAT16_T, FLOAT32_T, chunks_of, pack_row, panel_size, tall_of, terms_of
from .product import product, product_of

#: how a saved row becomes what the product read: as it is (PLAIN), through GELU (GELU_TANH, GELU_ERF), or
NORMALISED = -1
#: items of one task of pack_transposed
ITEMS = 32


@njit(forceinline=True)
def item_of(kind, first, second, column, count):
    """`count` columns of one row, or of two that become pairs, as the tile reads them; a row 0 is all zeros."""
    count = max(count, 0)
    v = load_part(first, column, count) if first else filled(0.0)
    if terms_of(kind) == 2:
        return paired(v, load_part(second, column, count) if second else filled(0.0))
    return v


@njit
def row_again(x, k, how, scale, bias, eps, row):
    # the address of what the product of the forward pass read: x itself, normalised, or after GELU, in `row`
    if how == PLAIN:
        return x
    if how == NORMALISED:
        normalise_row(x, k, scale, bias, eps, row)
    else:
        for j in range(0, k, W):
            store_part(row, j, activate(load_part(x, j, k - j), how), k - j)
    return row


@njit
def pack_transposed(work, stage, kind, x, ld, rows, k, how, scale, bias, eps, a, scratch):
    # x (rows,k), a row every ld numbers -> panels of xᵀ (k/TALL, items, TALL); scratch: two rows
    terms, items, panels = terms_of(kind), chunks_of(kind, rows) * W, -(-k // TALL)
    tasks = -(-items // ITEMS)
    t = take(work, stage)
    while t < tasks:
        for item in range(t * ITEMS, min(items, (t + 1) * ITEMS)):
            first, second = 0, 0
            if item * terms < rows:
                first = row_again(x + 4 * item * terms * ld, k, how, scale, bias, eps, scratch)
            if terms == 2 and item * 2 + 1 < rows:
                second = row_again(x + 4 * (item * 2 + 1) * ld, k, how, scale, bias, eps, scratch + 4 * k)
            for p in range(panels):
                for j in range(0, TALL, W):
                    column, count = p * TALL + j, min(W, TALL - j)
                    v = item_of(kind, first, second, column, min(count, k - column))
                    store_part(a, (p * items + item) * TALL + j, v, count)
        t = done(work, stage)
    wait(work, stage, tasks)


def scratch_for(k):
    """Floats of scratch for the gradients of a layer of k inputs."""
    return 2 * W * k + W * W if AMX else 2 * k


@njit
def pack_for_tiles(work, stage, x, ld, rows, k, how, scale, bias, eps, a, scratch):
    # x (rows,k), a row every ld numbers -> panels of xᵀ for tile registers (k/tall, rows/(2·W), tall, W) pairs of rows:
    # 2·W rows at a time, turned in squares of W × W pairs; scratch: such rows, and a square
    chunks, tall, square = chunks_of(BFLOAT16, rows), tall_of(BFLOAT16), scratch + 4 * 2 * W * k
    t = take(work, stage)
    while t < chunks:
        first = 2 * W * t
        if how != PLAIN:
            for r in range(first, min(rows, first + 2 * W)):
                row_again(x + 4 * r * ld, k, how, scale, bias, eps, scratch + 4 * (r - first) * k)
        source, step = (x + 4 * first * ld, ld) if how == PLAIN else (scratch, k)
        for column in range(0, -(-k // tall) * tall, W):
            for i in range(W):
                one, two = source + 8 * i * step, source + 4 * (2 * i + 1) * step
                one, two = one if first + 2 * i < rows else 0, two if first + 2 * i + 1 < rows else 0
                store(square, i * W, item_of(BFLOAT16, one, two, column, k - column))
            place = ((column // tall * chunks + t) * tall + column % tall) * W
            transpose(square, W, a + 4 * place, W)
        t = done(work, stage)
    wait(work, stage, chunks)


@njit
def pack_panel(kind, x, ld, rows, left, b, sums):
    # columns 0…left of x (rows,·) -> panel b (items, WIDE); sums (left) += their sums, if given
    terms, items = terms_of(kind), chunks_of(kind, rows) * W
    for j in range(0, WIDE, W):
        count, total = left - j, filled(0.0)
        for item in range(items):
            r = item * terms
            first = x + 4 * r * ld if r < rows else 0
            second = x + 4 * (r + 1) * ld if r + 1 < rows else 0
            store(b, item * WIDE + j, item_of(kind, first, second, j, count))
            if sums and first:
                total = total + item_of(FLOAT32, first, 0, j, count)
            if sums and terms == 2 and second:
                total = total + item_of(FLOAT32, second, 0, j, count)
        if sums and count > 0:
            store_part(sums, j, load_part(sums, j, count) + total, count)


@njit
def pack_columns(work, stage, kind, x, rows, n, b, sums):
    # x (rows,n) -> panels b (n/WIDE, items, WIDE); sums (n,) += the sum of each column, if given
    panels, size = -(-n // WIDE), chunks_of(kind, rows) * W * WIDE
    p = take(work, stage)
    while p < panels:
        column = 4 * p * WIDE
        sums_here = sums + column if sums else 0
        pack_panel(kind, x + column, n, rows, n - p * WIDE, b + 4 * p * size, sums_here)
        p = done(work, stage)
    wait(work, stage, panels)


@njit
def pack_rows(work, stage, kind, x, rows, n, b, scratch):
    # x (rows,n) -> panels b of xᵀ (rows/WIDE, items, WIDE); scratch: n·WIDE numbers
    panels, size = -(-rows // WIDE), chunks_of(kind, n) * W * WIDE
    p = take(work, stage)
    while p < panels:
        count = min(WIDE, rows - p * WIDE)
        for j in range(count):
            for i in range(n):
                put(scratch, i * WIDE + j, get(x, (p * WIDE + j) * n + i))
        pack_panel(kind, scratch, WIDE, n, count, b + 4 * p * size, 0)
        p = done(work, stage)
    wait(work, stage, panels)


@njit
def product_transposed(work, stage, threads, kind, a, b, inner, rows, n, y, c):
    # panels a of xᵀ (rows,inner), panels b of dy (inner,n) -> y (rows,n) = xᵀ dy
    if not (AMX and kind == BFLOAT16):
        kind = FLOAT32_T if terms_of(kind) == 1 else BFLOAT16_T
    product_of(work, stage, threads, kind, a, 0, rows, inner, n, b, 0, 0, PLAIN, y, False, 0, c)


@njit
def pack_again(work, stage, kind, x, rows, k, how, scale, bias, eps, a, row):
    # x (rows,k), as saved -> panels a of what the product reads; `row` is scratch
    tall, size = tall_of(kind), panel_size(kind, k)
    panels = -(-rows // tall)
    p = take(work, stage)
    while p < panels:
        for r in range(p * tall, min(rows, (p + 1) * tall)):
            ready = row_again(x + 4 * r * k, k, how, scale, bias, eps, row)
            pack_row(kind, ready, k, a + 4 * p * size, r - p * tall, 0)
        p = done(work, stage)
    wait(work, stage, panels)


#: stages of linear_gradient
STAGES = 5


@njit
def linear_gradient(
    work, stage, threads, x, k, how, scale, bias, eps, dy, n, rows, w_transposed, activation, residual, dx, dw, db,
    a, x_panels, dy_panels, mine,
):  # fmt: skip
    # the layer saw x (rows,k), after `how`: dy (rows,n) -> dx (rows,k) = activation(dy wᵀ, residual), dw, and db += …
    kind, c, row = number_at(w_transposed, 0), mine, mine
    pack_again(work, stage, kind, dy, rows, n, PLAIN, 0, 0, eps, a, row)
    product(work, stage + 1, threads, a, 0, rows, w_transposed, 0, activation, dx, False, residual, c)
    if AMX and kind == BFLOAT16:
        pack_for_tiles(work, stage + 2, x, k, rows, k, how, scale, bias, eps, x_panels, row)
    else:
        pack_transposed(work, stage + 2, kind, x, k, rows, k, how, scale, bias, eps, x_panels, row)
    pack_columns(work, stage + 3, kind, dy, rows, n, dy_panels, db)
    product_transposed(work, stage + 4, threads, kind, x_panels, dy_panels, rows, k, n, dw, c)
