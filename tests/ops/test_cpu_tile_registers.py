"""AMX: the products in tile registers are those of vector registers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="tier cpu needs Numba")

from minivit.ops.linear.cpu import linear
from minivit.ops.linear.packed import PackedMatrix, quantise, to_bfloat16
from minivit.ops.simd import amx, target

needs_amx = pytest.mark.skipif(not amx.AMX, reason="this CPU has no tile registers (AMX), or the system keeps them")
SHAPES = [(1, 1, 1), (16, 64, 32), (17, 65, 33), (33, 320, 31), (70, 1100, 97)]
WITHOUT = """
import sys, numpy as np
from minivit.ops.linear.cpu import linear
from minivit.ops.linear.packed import PackedMatrix
from minivit.ops.simd import amx
x, w, b = (np.load(sys.argv[1])[name] for name in "xwb")
np.save(sys.argv[2], linear(x, PackedMatrix(w, "int8"), b))
print(amx.AMX)
"""


def rounded(x):
    return (to_bfloat16(np.ascontiguousarray(x)).astype(np.uint32) << 16).view(np.float32)


def drawn(rows, inputs, outputs, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape).astype(np.float32) for shape in ((rows, inputs), (inputs, outputs), (outputs,)))


@needs_amx
@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_is_the_product_of_the_rounded_numbers(shape):
    x, w, b = drawn(*shape)
    want = rounded(x).astype(np.float64) @ rounded(w) + b
    assert np.abs(linear(x, PackedMatrix(w, "bfloat16"), b) - want).max() <= 2e-6 * np.abs(want).max()


@needs_amx
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", [*SHAPES, (230, 3000, 70)])
def test_numbers_in_three_parts_are_multiplied_as_precisely_as_float32(shape, dtype):
    x, w, b = drawn(*shape)
    x *= 10.0 ** np.arange(len(x))[:, None].clip(-6, 6)  # each row of another size
    w = w.astype(np.float16).astype(np.float32) if dtype == "float16" else w
    want = x.astype(np.float64) @ w + b
    found, plain = (linear(x, PackedMatrix(w, dtype, in_parts), b) for in_parts in (True, False))
    size = np.abs(want).max(1, keepdims=True)
    error, before = (np.abs((y - want) / size).max() for y in (found, plain))
    assert error <= max(2 * before, 2e-7)  # float32's own rounding in vector registers
    assert PackedMatrix(w, dtype).kind in (amx.SPLIT, amx.SPLIT_HALF)


@needs_amx
def test_every_part_of_a_number_counts():
    # 1 + 2⁻⁹ + 2⁻¹⁷ needs all three parts; either factor alone, and both
    whole = np.float32(1 + 2**-9 + 2**-17)
    for x, w in ((whole, 1), (1, whole), (whole, whole)):
        got = linear(np.full((40, 32), x, np.float32), PackedMatrix(np.full((32, 40), w, np.float32)))
        np.testing.assert_allclose(got, 32 * np.float64(x) * np.float64(w), rtol=1e-7)


@needs_amx
def test_a_number_that_is_not_finite_spoils_its_own_row_only():
    x, w, _ = drawn(40, 70, 33)
    clean = linear(x, PackedMatrix(w))
    x[3, 5], x[20, 60] = np.nan, np.inf
    spoilt = linear(x, PackedMatrix(w))
    assert not np.isfinite(spoilt[[3, 20]]).any()
    np.testing.assert_array_equal(np.delete(spoilt, [3, 20], 0), np.delete(clean, [3, 20], 0))


@needs_amx
@pytest.mark.parametrize("shape", SHAPES)
def test_int8_gives_the_bits_that_it_gives_without_tile_registers(shape, tmp_path):
    x, w, b = drawn(*shape)
    np.savez(tmp_path / "in.npz", x=x, w=w, b=b)
    features = ",".join(f"+{name}" for name in sorted(target.FEATURES) if not name.startswith("amx"))
    environment = {**os.environ, "NUMBA_CPU_NAME": target.CPU, "NUMBA_CPU_FEATURES": features}
    environment["NUMBA_CACHE_DIR"] = str(tmp_path.parents[0] / "without")
    command = [sys.executable, "-c", WITHOUT, str(tmp_path / "in.npz"), str(tmp_path / "out.npy")]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "False\n", done.stderr
    assert np.array_equal(linear(x, PackedMatrix(w, "int8"), b), np.load(tmp_path / "out.npy"))


@needs_amx
def test_the_sums_of_int8_are_exact():
    x, w, _ = drawn(50, 700, 40)
    whole, columns = quantise(w)
    packed = PackedMatrix(w, "int8")
    x = np.rint(x * 20).clip(-100, 100)
    x[:, :2] = [-127, 128]  # each row's scale is 1 and its zero 127
    want = (x @ whole.astype(np.float64)) * columns[:40]
    assert np.abs(linear(x, packed) - want).max() <= 1e-6 * np.abs(want).max()
