"""Faults planted into the kernels of the linear ladder and of GELU: the simulator must see every one of them."""

import numpy as np
import pytest
from simulated import agrees, caught, planted
from test_gpu_linear import both, in_parts, numbers

from minivit.gpu.arrays import on_device
from minivit.gpu.formats import BFLOAT16, FLOAT32
from minivit.gpu.tiles import Epilogue, grid
from minivit.ops.gelu import ref as gelu_ref

GPU, V3, V4 = "ops/linear/gpu", "ops/linear/gpu_register_tiles", "ops/linear/gpu_tensor_cores"
#: fault -> (rung, file, what is right, what is planted)
FAULTS = {
    "v1, guard one row too far": (
        "v1",
        GPU,
        "if row < M and column < N:\n            total, i",
        "if row < M + 1 and column < N:\n            total, i",
    ),
    "v1, last inner term forgotten": ("v1", GPU, "while i < K:", "while i + 1 < K:"),
    "v2, no barrier before the tiles are read": (
        "v2",
        GPU,
        "            cuda.syncthreads()  # both tiles are there\n",
        "",
    ),
    "v2, no barrier after the tiles are read": (
        "v2",
        GPU,
        "            cuda.syncthreads()  # nobody reads them any more\n",
        "",
    ),
    "v2, border of x not filled with zeros": (
        "v2",
        GPU,
        "if row < M and start + tx < K else float32(0)",
        "if row < M else float32(0)",
    ),
    "v2, rows and columns of a tile exchanged": ("v2", GPU, "xs[ty, i] * ws[i, tx]", "xs[ty, i] * ws[tx, i]"),
    "v3, no barrier": (
        "v3",
        V3,
        "            cuda.syncthreads()  # this tile is there, and nobody reads the other one any more\n",
        "",
    ),
    "v3, one tile instead of two": ("v3", V3, "            now ^= uint32(1)\n", ""),
    "v3, the next tile fetched too late": (
        "v3",
        V3,
        "            start += uint32(DEPTH)\n            fetch(x, w, xn, wn, t, top, left, start, M, N, K)",
        "            fetch(x, w, xn, wn, t, top, left, start, M, N, K)\n            start += uint32(DEPTH)",
    ),
    "v3, sums not cleared": ("v3", V3, "                sums[r, c] = float32(0)\n", "                pass\n"),
    "v3, second half of the columns one off": ("v3", V3, "uint32(half) + tx", "uint32(half - 1) + tx"),
    "v3, guard of the rows forgotten": ("v3", V3, "if row < M and column < N:", "if column < N:"),
    "v4, no wait for the copies": ("v4", V4, "            copy_wait1()  # of two", "            # of two"),
    "v4, wait for one group too few": ("v4", V4, "copy_wait1", "copy_wait2"),
    "v4, no barrier after the wait": ("v4", V4, "            cuda.syncthreads()  # … and", "            # … and"),
    "v4, copies not committed": ("v4", V4, "M, N, K)\n            copy_commit()\n", "M, N, K)\n"),
    "v4, swizzle of x forgotten by the reader": (
        "v4",
        V4,
        "place = place_of_x(row, chunk)\n",
        "place = row * uint32(DEPTH) + chunk * uint32(8)\n",
    ),
    "v4, swizzle of w depends on another bit": (
        "v4",
        V4,
        "mma, (place_of_x, place_of_w) = format.mma, places(width)",
        "mma, (place_of_x, place_of_w) = format.mma, places(width * 2)",
    ),
    "v4, fragment of w not transposed": ("v4", V4, "q = load_matrices_transposed(", "q = load_matrices("),
    "v4, rows past the end copied": (
        "v4",
        V4,
        "uint32(row < rows) * uint32(column < columns)",
        "uint32(column < columns)",
    ),
    "v4, columns past the end copied": (
        "v4",
        V4,
        "uint32(row < rows) * uint32(column < columns)",
        "uint32(row < rows)",
    ),
    "v4, shared memory not aligned to 16 bytes": ("v4", V4, "element, alignment=16)", "element)"),
    "v4, two tiles instead of three": ("v4", V4, "STAGES = 3", "STAGES = 2"),
    "v4, refills the tile that is being read": (
        "v4",
        V4,
        "now, free = uint32(0), uint32(2)",
        "now, free = uint32(0), uint32(0)",
    ),
    "v4, rows g and g + 4 instead of g + 8": ("v4", V4, "row + uint32(8), column", "row + uint32(4), column"),
    "v4, lane counted from the block": (
        "v4",
        V4,
        "lane, warp = t % uint32(32), t // uint32(32)",
        "lane, warp = t, t // uint32(32)",
    ),
}
EPILOGUES = {
    "bias of the row instead of the column": ("total += b[column]", "total += b[at % 8]"),
    "GELU before the bias": ("        total = gate(total)\n", "        total = gate(total - b[column]) + b[column]\n"),
    "residual forgotten": ("            total += residual[at]\n", "            pass\n"),
}

#: of sums in parts: fault -> (file, what is right, what is planted)
SHARES = {
    "the last, shorter step belongs to no part": ("gpu/tiles", "K + uint32(depth - 1)", "K"),
    "parts overlap": ("gpu/tiles", "min(K, uint32(start + terms))", "min(K, uint32(start + terms + depth))"),
    "all parts are written to the same place": ("gpu/tiles", "uint32(number * M * N)", "uint32(0)"),
    "the first part is not added": ("ops/linear/gpu_parts", "uint32(uint32(part) * count + i)",
                                    "uint32(max(part, 1) * count + i)"),
    "columns counted over the whole matrix": ("ops/linear/gpu_parts", "uint32(i % columns)", "uint32(i % count)"),
}  # fmt: skip


def kernel_of(rung, module, format, epilogue, size):
    M, K, N = size
    if rung in ("v1", "v2"):
        maker = module.thread_per_output if rung == "v1" else module.shared_tiles
        return maker(format, FLOAT32, epilogue, 8), grid(M, N, 8, 8)
    if rung == "v3":
        return module.register_tiles(FLOAT32, epilogue, 32, 64, K % 4 == N % 4 == 0), grid(M, N, 32, 64)
    return module.tensor_cores(format, FLOAT32, epilogue, 32, 32, 16, 16, K % 8 == N % 8 == 0), grid(M, N, 32, 32)


def right(rung, module):
    """Whether a rung, from that module, multiplies as it should; sizes with a border in all three directions."""
    from minivit.gpu.arrays import empty

    format = BFLOAT16 if rung == "v4" else FLOAT32
    M, K, N = size = (33, 104, 40) if rung == "v4" else (19, 28, 44)
    x, w, b = on_device(numbers(M, K), format), on_device(numbers(K, N, seed=1), format), numbers(N, seed=2)
    stream, y = numbers(M, N, seed=3), empty((M, N), FLOAT32)
    kernel, blocks = kernel_of(rung, module, format, Epilogue(gelu="tanh", residual=True), size)
    kernel.launch(blocks, x.flat, w.flat, b, stream.reshape(-1), y.flat, M, N, K)
    product = np.asarray(x).astype(np.float64) @ np.asarray(w).astype(np.float64)
    return agrees(y, gelu_ref.gelu(product + b, "tanh") + stream, "bfloat16" if rung == "v4" else "float32")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_simulator_catches(fault):
    rung, path, good, bad = FAULTS[fault]
    assert caught(lambda: right(rung, planted(path, good, bad)))


@pytest.mark.parametrize("path", [GPU, V3, V4])
def test_without_a_fault_nothing_is_caught(path):
    rungs = {GPU: ("v1", "v2"), V3: ("v3",), V4: ("v4",)}[path]
    assert not any(caught(lambda r=rung: right(r, planted(path, '"""', '"""'))) for rung in rungs)


@pytest.mark.parametrize("fault", EPILOGUES)
def test_the_simulator_catches_in_the_epilogue(fault, monkeypatch):
    from minivit.ops.linear import gpu

    tiles = planted("gpu/tiles", *EPILOGUES[fault])
    monkeypatch.setattr(gpu, "finish", tiles.finish)
    gpu.thread_per_output.cache_clear()
    try:
        assert caught(lambda: right("v1", gpu))
    finally:
        gpu.thread_per_output.cache_clear()


@pytest.mark.parametrize("fault", SHARES)
def test_the_simulator_catches_in_sums_in_parts(fault, monkeypatch):
    from minivit.ops.linear import gpu, gpu_register_tiles

    path, *change = SHARES[fault]
    module = planted(path, *change)
    if path == "gpu/tiles":
        monkeypatch.setattr(gpu_register_tiles, "share", module.share)
    else:
        monkeypatch.setattr(gpu, "add_parts", module.add_parts)
    gpu_register_tiles.register_tiles.cache_clear()
    try:
        assert caught(lambda: agrees(*both(in_parts(2), FLOAT32, (17, 37, 11), residual=True)))
    finally:
        gpu_register_tiles.register_tiles.cache_clear()


def test_the_simulator_catches_a_tail_of_gelu_that_is_read_four_at_a_time():
    module = planted("ops/gelu/gpu", "if i + uint32(4) <= count:", "if i < count:")
    x = 4 * numbers(3, 7)
    assert caught(lambda: agrees(module.gelu(x, "tanh"), gelu_ref.gelu(x.astype(np.float64), "tanh")))
