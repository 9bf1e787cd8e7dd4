"""Every rung of the linear ladder, and of GELU, against float64: odd sizes, several tiles, random schedules."""

import numpy as np
import pytest
from simulated import TOLERANCE, agrees, error, planted

from minivit.errors import InputError
from minivit.gpu import twins
from minivit.gpu.arrays import dense, empty, on_device
from minivit.gpu.formats import BFLOAT16, FLOAT16, FLOAT32, FORMATS
from minivit.gpu.tiles import Epilogue, grid
from minivit.ops.gelu import gpu as gelu
from minivit.ops.gelu import ref as gelu_ref
from minivit.ops.linear import gpu
from minivit.ops.linear import gpu_parts as parts
from minivit.ops.linear import gpu_tensor_cores as tensor
from minivit.ops.linear.gpu_register_tiles import register_tiles
from minivit.ops.linear.gpu_tensor_cores import tensor_cores

#: rows, inputs, outputs
SIZES = (1, 1, 1), (2, 5, 3), (17, 13, 11), (33, 40, 24)


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def both(rung, format, size, gelu=None, bias=True, residual=False):
    # what the kernel gives, and what float64 gives from the very same (rounded) numbers
    rows, inputs, outputs = size
    x, w = on_device(numbers(rows, inputs), format), on_device(numbers(inputs, outputs, seed=1) / inputs**0.5, format)
    b = numbers(outputs, seed=2) if bias else None
    stream = numbers(rows, outputs, seed=3) if residual else None
    expected = np.asarray(x).astype(np.float64) @ np.asarray(w).astype(np.float64)
    expected = expected + b if bias else expected
    expected = gelu_ref.gelu(expected, gelu) if gelu else expected
    expected = expected + stream if residual else expected
    return np.asarray(gpu.product(x, w, b, gelu, stream, rung=rung)), expected


def v2_of(side):
    return lambda format, output, epilogue, M, N, K: (
        gpu.shared_tiles(format, output, epilogue, side), grid(M, N, side, side)
    )  # fmt: skip


def v3_of(*tile):
    return lambda format, output, epilogue, M, N, K: (
        register_tiles(output, epilogue, *tile, K % 4 == N % 4 == 0), grid(M, N, *tile)
    )  # fmt: skip


def v4_of(*tile):
    return lambda format, output, epilogue, M, N, K: (
        tensor_cores(format, output, epilogue, *tile, K % 8 == N % 8 == 0), grid(M, N, *tile)
    )  # fmt: skip


def in_parts(count):
    """v5 in that many parts, with a small tile."""

    def rung(format, output, epilogue, M, N, K):
        if format is FLOAT32:
            kernel = register_tiles(FLOAT32, gpu.PLAIN, 32, 64, K % 4 == N % 4 == 0, in_parts=True)
            return kernel, (*grid(M, N, 32, 64), count)
        kernel = tensor_cores(format, FLOAT32, gpu.PLAIN, 32, 32, 16, 16, K % 8 == N % 8 == 0, in_parts=True)
        return kernel, (*grid(M, N, 32, 32), count)

    return rung


RUNGS = {"v1": (gpu.v1, FLOAT32), "v2": (gpu.v2, FLOAT32), "v3": (v3_of(32, 64), FLOAT32)}
HALVES = {"v4 float16": (v4_of(32, 32, 16, 16), FLOAT16), "v4 bfloat16": (v4_of(32, 32, 16, 16), BFLOAT16)}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", [*RUNGS, *HALVES])
def test_every_rung_takes_any_size(name, size, seed):
    rung, format = {**RUNGS, **HALVES}[name]
    assert agrees(*both(rung, format, size), format.name)


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_the_first_rungs_take_halves_too(name):
    assert agrees(*both(RUNGS[name][0], BFLOAT16, (17, 9, 5)), "bfloat16")


@pytest.mark.parametrize("rung", [v2_of(8), v3_of(64, 64), v3_of(64, 128)], ids=["8×8", "64×64", "64×128"])
def test_other_tiles_of_float32(rung):
    assert agrees(*both(rung, FLOAT32, (65, 20, 72)))


@pytest.mark.parametrize(
    "tile", [(64, 64, 32, 32), (64, 32, 32, 16), (16, 64, 16, 32)], ids=lambda t: "{}×{}".format(*t)
)
def test_other_tiles_of_halves(tile):
    assert agrees(*both(v4_of(*tile), BFLOAT16, (65, 72, 40)), "bfloat16")


def test_the_largest_tiles_of_the_ladder():
    assert agrees(*both(v3_of(128, 128), FLOAT32, (70, 12, 132)))
    assert agrees(*both(v4_of(128, 128, 64, 32), FLOAT16, (100, 40, 104)), "float16")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [None, "tanh", "erf"])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("name", ["v1", "v3", "v4 bfloat16"])
def test_epilogues(name, kind, bias, residual):
    rung, format = {**RUNGS, **HALVES}[name]
    assert agrees(*both(rung, format, (9, 16, 8), kind, bias, residual), format.name)


#: parts of equal size, with a shorter one, and with nothing to do: five or four steps in two, three and four
PARTS = (FLOAT32, (17, 37, 11), 2), (FLOAT32, (9, 40, 8), 3), (BFLOAT16, (33, 128, 40), 2), (FLOAT16, (5, 101, 9), 3)


@pytest.mark.parametrize(("format", "size", "count"), PARTS, ids=str)
def test_inner_sums_in_parts(format, size, count, seed):
    assert agrees(*both(in_parts(count), format, size, "tanh", True, True), format.name)


def test_more_parts_than_steps():
    assert agrees(*both(in_parts(4), FLOAT32, (3, 20, 5), bias=False))


def test_few_rows_are_multiplied_in_as_many_parts_as_keep_the_gpu_busy():
    # B/16 at batch 1, its second layer of the MLP: in float32 and in halves; then its first, and a short sum
    assert [parts.parts_of(*case) for case in ((84, 384), (96, 96), (132, 96), (84, 63))] == [6, 3, 1, 1]
    for format, inputs in ((FLOAT32, 512), (BFLOAT16, 2048)):
        kernel, blocks = gpu.v5(format, format, Epilogue(gelu="erf"), 1, 8, inputs)
        assert blocks == (1, 1, 2) and kernel is gpu.v5(format, format, Epilogue(), 1, 8, inputs)[0]
    assert agrees(*both(gpu.v5, FLOAT32, (1, 512, 8), "erf", True, True))


def test_sums_are_kept_in_float32():
    # 2048 products of the same sign: sums in float16 would stop growing at 2048, in bfloat16 at 256
    x, w = np.ones((1, 2048), np.float32), np.full((2048, 8), 0.5, np.float32)
    for format in (FLOAT16, BFLOAT16):
        y = gpu.product(on_device(x, format), on_device(w, format), rung=v4_of(32, 32, 16, 16))
        assert np.array_equal(np.asarray(y), np.full((1, 8), 1024))


def waiting_rows(module):
    # the share of rows that ldmatrix has to wait for; two tiles of w: wide, and narrow
    twins.conflicts.clear()
    for width in (64, 32):
        kernel = module.tensor_cores(FLOAT16, FLOAT16, Epilogue(), 32, width, 16, width // 2, True)
        x, w = on_device(numbers(32, 64), FLOAT16), on_device(numbers(64, 64, seed=1), FLOAT16)
        y = empty((32, 64), FLOAT16)
        kernel.launch(grid(32, 64, 32, width), x.flat, w.flat, numbers(64), numbers(1), y.flat, 32, 64, 64)
        assert agrees(y, np.asarray(x) @ np.asarray(w) + numbers(64), "float16")
    return sum(twins.conflicts) / (8 * len(twins.conflicts))


def test_no_two_rows_of_a_matrix_meet_in_a_bank_thanks_to_the_swizzle():
    path = "ops/linear/gpu_tensor_cores"
    without_x = planted(path, "(chunk ^ (row >> uint32(1) & uint32(3)))", "chunk")
    without_w = planted(path, "(chunk ^ (row >> uint32(turn) & uint32(mask)))", "chunk")
    assert waiting_rows(tensor) == 0
    assert waiting_rows(without_x) > 0.3 and waiting_rows(without_w) > 0.3


def test_the_op_chooses_its_rung_and_keeps_leading_axes(seed):
    for format in FORMATS.values():
        x, w, b = numbers(2, 3, 16), numbers(16, 8, seed=1), numbers(8, seed=2)
        y = np.asarray(gpu.linear(x, on_device(w, format), b))
        assert y.shape == (2, 3, 8) and agrees(y, x @ w + b, format.name)


def test_a_view_that_is_not_dense_is_multiplied_all_the_same():
    x, w = numbers(3, 5, 16), numbers(16, 8, seed=1)
    assert error(gpu.linear(on_device(x)[:, 1], on_device(w)), x[:, 1] @ w) < TOLERANCE["float32"]


def test_a_tile_that_the_threads_cannot_share_evenly_is_refused():
    with pytest.raises(InputError, match="256 threads cannot share 128 accesses evenly"):
        tensor.tensor_cores(FLOAT16, FLOAT16, Epilogue(), 32, 64, 16, 16, True)
    with pytest.raises(InputError, match="32 threads cannot share 16 accesses"):
        register_tiles(FLOAT32, Epilogue(), 8, 256, True)


def test_a_matrix_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="x has 5 numbers per row, expected 4"):
        gpu.linear(numbers(2, 5), numbers(4, 3))


def test_a_rung_says_which_formats_it_multiplies():
    with pytest.raises(InputError, match="v4 multiplies float16 or bfloat16"):
        gpu.LADDER["v4"](numbers(2, 4), numbers(4, 4))


@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
@pytest.mark.parametrize("kind", ["tanh", "erf"])
@pytest.mark.parametrize("name", gelu.LADDER)
def test_gelu(name, kind, format):
    x = dense(on_device(4 * numbers(3, 7, 5)), format)
    expected = gelu_ref.gelu(np.asarray(x).astype(np.float64), kind)
    assert agrees(gelu.LADDER[name](x, kind), expected, format.name)


def test_an_epilogue_is_part_of_the_kernel():
    assert gpu.thread_per_output(FLOAT32, FLOAT32, Epilogue()) is not gpu.thread_per_output(
        FLOAT32, FLOAT32, Epilogue(residual=True)
    )
