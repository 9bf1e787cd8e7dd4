"""What happens to the sums of a tile on their way from the first-level cache to memory: bias, GELU, residual."""

from ..simd.dots import INT8
from ..simd.functions import gelu_erf_slope, gelu_tanh_slope
from ..simd.lanes import filled, fma
from ..simd.language import njit
from ..simd.memory import get, load, load_part, load_whole, store_part
from ..simd.pieces import gelu_erf, gelu_erf_short, gelu_tanh, gelu_tanh_short
from ..simd.target import VECS, WIDE, W
from .panels import panel_size, place_of, put_number, put_pairs, tall_of, terms_of

#: what `finish` does with a sum.  SHORT: GELU of bfloat16 models (simd/pieces.py).  SLOPE: times the slope of GELU at
#: `residual`, for the backward pass
PLAIN, GELU_TANH, GELU_ERF, SHORT_TANH, SHORT_ERF, SLOPE_TANH, SLOPE_ERF = range(7)


def gelu_of(name, dtype):
    """What `finish` does as GELU of that name, "tanh" or "erf", in a model of that dtype."""
    if dtype == "bfloat16":
        return {"tanh": SHORT_TANH, "erf": SHORT_ERF}[name]
    return {"tanh": GELU_TANH, "erf": GELU_ERF}[name]


@njit(forceinline=True)
def sum_at(kind, c, place, scale, total, scales, m):
    """W sums of row m of a tile as float32; int8: Σ(q − zero)·w = Σ q·w − zero·Σ w, times both scales."""
    if kind == INT8:
        return fma(total, -get(scales, 2 * m + 1), load_whole(c, place)) * (scale * get(scales, 2 * m))
    return load(c, place)


@njit(forceinline=True)
def activate(v, activation):
    if activation == GELU_TANH:
        return gelu_tanh(v)
    if activation == GELU_ERF:
        return gelu_erf(v)
    if activation == SHORT_TANH:
        return gelu_tanh_short(v)
    return gelu_erf_short(v) if activation == SHORT_ERF else v


@njit(forceinline=True)
def join(v, other, kind):
    """A sum and the `residual` number of its place."""
    if kind == SLOPE_TANH:
        return v * gelu_tanh_slope(other)
    return v * gelu_erf_slope(other) if kind == SLOPE_ERF else v + other


@njit
def finish(kind, c, rows, r, col, n, columns, scales, bias, activation, y, to_panels, residual):
    # y = activation(tile c + bias) + residual, rows r…, columns col…: y (·,n), or panels for a product of that kind
    # (backward: tile c times the slope of GELU at residual)
    if to_panels:
        finish_into_panel(kind, c, rows, col, n, bias, activation, y + 4 * (r // tall_of(kind) * panel_size(kind, n)))
        return
    for j in range(VECS):
        at, left = col + j * W, n - col - j * W
        if left > 0:
            b = load_part(bias, at, left) if bias else filled(0.0)
            scale, total = (load_part(columns, at, left), load_part(columns, n + at, left)) if kind == INT8 else (b, b)
            for m in range(rows):
                v = activate(sum_at(kind, c, m * WIDE + j * W, scale, total, scales, m) + b, activation)
                place = (r + m) * n + at
                if residual:
                    v = join(v, load_part(residual, place, left), activation)
                store_part(y, place, v, left)


@njit
def finish_into_panel(kind, c, rows, col, n, bias, activation, panel):
    # tile c, columns col… -> activation(c + bias) in a panel of rows of n numbers; beyond them too, up to a whole
    # chunk, because zeros meet what is there, but 0·NaN is not zero
    first, second = col, col + W
    b, next_b = filled(0.0), filled(0.0)
    if bias:
        b, next_b = load_part(bias, first, n - first), load_part(bias, second, max(n - second, 0))
    place, next_place, step = place_of(kind, first, 0), place_of(kind, second, 0), W * terms_of(kind)
    for m in range(rows):
        v, w = load(c, m * WIDE) + b, load(c, m * WIDE + W) + next_b
        if terms_of(kind) == 2:
            put_pairs(kind, panel, place + m * step, activate(v, activation), activate(w, activation))
        else:
            put_number(kind, panel, place + m * step, activate(v, activation))
            if second < n:
                put_number(kind, panel, next_place + m * step, activate(w, activation))
