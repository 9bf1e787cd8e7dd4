"""Position-table resize on the GPU: the matrices of ref.py, one per axis, with one thread per number of the result.

Nothing happens at the trained resolution.  At another one, the matrices are uploaded once and kept (a CUDA graph cannot
upload), and a thread skips the zeros, which are most of their numbers.  Sums are float32: "bicubic_antialias_float32"
repeats PyTorch's last bit on the CPU, and comes to within float32 rounding of it here.
"""

from functools import cache, partial

from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import cuda, float32, uint32
from ...gpu.formats import BFLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel
from .ref import _antialias_float32, resize_matrix

THREADS = 128


@cache
def resize_kernel(format):
    load, store = format.load, format.store
    f32 = FLOAT32.signature

    @kernel(f"{format.signature}, {f32}, {f32}, {format.signature}, {', '.join(['uint32'] * 6)}", THREADS)
    def resize(table, rows, columns, y, count, width, prefix, g0, g1, r1):
        # table (prefix+g0·g1,D), rows (r0,g0), columns (r1,g1) -> y (prefix+r0·r1,D): count numbers; prefix in numbers
        i = uint32(uint32(cuda.blockIdx.x) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if i < count:
            if i < prefix:
                store(y, i, load(table, i))
            else:
                cell, d = uint32(uint32(i - prefix) // width), uint32(uint32(i - prefix) % width)
                r, s, total = uint32(cell // r1), uint32(cell % r1), float32(0)
                for a in range(g0):
                    weight = rows[uint32(r * g0 + uint32(a))]
                    if weight != float32(0):
                        for b in range(g1):
                            both = weight * columns[uint32(s * g1 + uint32(b))]
                            if both != float32(0):
                                at = uint32(prefix + (uint32(a) * g1 + uint32(b)) * width + d)
                                total += both * load(table, at)
                store(y, i, total)

    return resize


@cache
def _matrices(old, new, mode):
    # the weights on the device: rows (r,g), columns (r',g')
    weights = _antialias_float32 if mode == "bicubic_antialias_float32" else partial(resize_matrix, mode=mode)
    return tuple(on_device(weights(before, after)) for before, after in zip(old, new, strict=True))


def resize_positions(table, old, new, prefix, mode):
    # table (1,prefix+g·g',D), old (g,g'), new (r,r') -> (1,prefix+r·r',D)
    if old == new:
        return table
    table, D = dense(on_device(table)), table.shape[-1]
    rows, columns = _matrices(tuple(old), tuple(new), mode)
    y = empty((1, prefix + new[0] * new[1], D), table.format)
    resize_kernel(table.format).launch(
        blocks(y.size, THREADS), table.flat, rows.flat, columns.flat, y.flat, y.size, D, prefix * D, *old, new[1]
    )
    return y


LADDER = {"v1": resize_positions}
KERNELS = [
    Checked("positions float32", resize_kernel(FLOAT32), last=True),
    Checked("positions bfloat16", resize_kernel(BFLOAT16), last=True),
]
