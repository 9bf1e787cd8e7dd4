"""Convolution on the GPU: a matrix product whose left side, the windows, is never made (gpu_windows.py).

v1  one thread per output, with the loops of the definition: a number of the map is fetched for every output that it
    serves                                                                                              4 TFLOP/s
v2  the kernel of linear v3, 8×8 sums in registers; only its reader differs: it finds number i of a window in the map.
    The last rung of float32                                                                           35 TFLOP/s
v3  the kernel of linear v4, tensor cores; chunks of eight channels come from the map by asynchronous copies.  Numbers
    are in two halves (gpu_halves.py): three products for one, and the accuracy of float32, which hybrids need
                                                                                                      110 TFLOP/s

(Expected of an H100; what ours reach: benchmarks/gpu.sh.)  Weights are standardised on the host, once.
"""

from functools import cache

from ...errors import InputError
from ...gpu.arrays import dense, empty, on_device
from ...gpu.compat import cuda, float32, uint32
from ...gpu.formats import BFLOAT16, FLOAT16, FLOAT32
from ...gpu.launch import Checked, kernel
from ...gpu.tiles import Epilogue, choose, grid, signature
from ..linear.gpu import nothing
from ..linear.gpu_register_tiles import TILES as REGISTER_TILES
from ..linear.gpu_register_tiles import register_tiles
from ..linear.gpu_tensor_cores import TILES as TENSOR_TILES
from ..linear.gpu_tensor_cores import tensor_cores
from . import gpu_halves
from .gpu_halves import filled_up, in_two_halves, weights
from .gpu_windows import Windows, copying, finding, reading

SIDE = 16  # of a block of v1
PLAIN = Epilogue(bias=False)


@cache
def thread_per_output(windows, format):
    find, load, cells, channels = finding(windows), format.load, windows.side**2, windows.channels

    @kernel(signature(format, FLOAT32, FLOAT32), (SIDE, SIDE))
    def conv_v1(x, w, _, __, y, rows, outputs, inputs):
        # x a map, w (inputs,outputs) -> y (rows,outputs), a row per window
        column = uint32(uint32(cuda.blockIdx.x) * uint32(SIDE) + uint32(cuda.threadIdx.x))
        row = uint32(uint32(cuda.blockIdx.y) * uint32(SIDE) + uint32(cuda.threadIdx.y))
        if row < rows and column < outputs:
            total = float32(0)
            for cell in range(cells):
                inside, pixel = find(row, uint32(cell))
                if inside:
                    for c in range(channels):
                        i = uint32(uint32(cell) * uint32(channels) + uint32(c))
                        total += x[uint32(pixel * uint32(channels) + uint32(c))] * load(w, uint32(i * outputs + column))
            y[uint32(row * outputs + column)] = total

    return conv_v1


def v1(x, w, windows, rows, outputs):
    return thread_per_output(windows, w.format), grid(rows, outputs, SIDE, SIDE), dense(x, FLOAT32), w.plain


def v2(x, w, windows, rows, outputs):
    if w.format is not FLOAT32:
        raise InputError(f"conv v2 multiplies float32, not {w.format}; v3 does")
    tile = choose(REGISTER_TILES, rows, outputs)
    kernel = register_tiles(FLOAT32, PLAIN, *tile, outputs % 4 == 0, reading(windows))
    return kernel, grid(rows, outputs, *tile), dense(x, FLOAT32), w.plain


def v3(x, w, windows, rows, outputs):
    if w.format is FLOAT32:
        raise InputError("conv v3 multiplies float16 or bfloat16, not float32; v2 does")
    tile = choose(TENSOR_TILES, rows, outputs)
    copy_x = copying(Windows(*x.shape[1:3], filled_up(windows.channels), windows.side, windows.stride))
    kernel = tensor_cores(w.format, FLOAT32, PLAIN, *tile, outputs % 8 == 0, copy_x=copy_x)
    return kernel, grid(rows, outputs, *tile), in_two_halves(x, w.format), w.in_two


def last(x, w, windows, rows, outputs):
    return (v2 if w.format is FLOAT32 else v3)(x, w, windows, rows, outputs)


def rung(version):
    def conv(x, w, stride):
        # x (B,h,w,c), w (k,k,c,O) -> (B,⌈h/stride⌉,⌈w/stride⌉,O) float32; w's format is the one that is multiplied in
        x, w = on_device(x), weights(w)
        (k, _, channels, outputs), found = w.shape, x.shape[-1]
        if w.shape[:2] != (k, k) or found != (channels if x.ndim == 4 else filled_up(channels)):
            raise InputError(f"conv: the map has {found} channels, w has shape {w.shape}; expected (k,k,channels,·)")
        windows = Windows(*x.shape[1:3], channels, k, stride)
        y = empty((len(x), windows.down, windows.across, outputs), FLOAT32)
        rows = y.size // outputs
        kernel, blocks, x, matrix = version(x, w, windows, rows, outputs)
        unused = nothing().flat
        kernel.launch(blocks, x.flat, matrix.flat, unused, unused, y.flat, rows, outputs, len(matrix))
        return y

    return conv


LADDER = {"v1": rung(v1), "v2": rung(v2), "v3": rung(v3)}
conv = rung(last)


def standardise(w, eps, eps_on):
    # w (k,k,c,O), prepared (ops.prepare) or not -> Weights (k,k,c,O); eps_on "std" | "variance"
    return weights(w).standardised(eps, eps_on)


_MAP, _HALVES = Windows(28, 28, 128, 3, 2), ("HMMA.16816.F32", "LDSM.16.M88.4", "LDSM.16.MT88.4", "LDGSTS.E.BYPASS")
_POINTS, _ROOT = Windows(56, 56, 256, 1, 1), Windows(224, 224, 3, 7, 2)
KERNELS = [
    Checked("conv v1 float32", thread_per_output(_MAP, FLOAT32)),
    *(
        Checked(f"conv v2 {height}×{width} 3×3", register_tiles(FLOAT32, PLAIN, height, width, True, reading(_MAP)),
                ("LDG.E.128", "LDS.128", "STG.E.128", "FFMA"), last=True)
        for height, width in REGISTER_TILES
    ),
    Checked("conv v2 128×128 7×7, three channels",
            register_tiles(FLOAT32, PLAIN, 128, 128, True, reading(_ROOT)), ("FFMA",), last=True),
    *(
        Checked(f"conv v3 {tile[0]}×{tile[1]} {format} 3×3", tensor_cores(format, FLOAT32, PLAIN, *tile, True,
                copy_x=copying(_MAP)), _HALVES, last=True)
        for format in (FLOAT16, BFLOAT16) for tile in TENSOR_TILES
    ),
    Checked("conv v3 128×128 bfloat16 1×1", tensor_cores(BFLOAT16, FLOAT32, PLAIN, *TENSOR_TILES[0], True,
            copy_x=copying(_POINTS)), _HALVES, last=True),
    *gpu_halves.KERNELS,
]  # fmt: skip
