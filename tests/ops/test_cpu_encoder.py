"""The encoder: images apart, one per thread, and shared stages give the same numbers and the same refusals."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="tier cpu needs Numba")

from minivit import tiers
from minivit.config import ViTConfig
from minivit.errors import InputError
from minivit.ops.block import cpu
from minivit.ops.simd import team
from minivit.params import seeded

#: rows enough for a slice per thread if there are two, and for more than one tile of 32
WIDE = ViTConfig("wide", 4, 48, 3, 3, 70, classes=5, image=(40, 52))


def blocks_and_rows(dtype, images):
    blocks = tiers.load("cpu", dtype).prepare(seeded(WIDE))["blocks"]
    x = np.random.default_rng(1).standard_normal((images, WIDE.tokens, WIDE.width)).astype(np.float32)
    return blocks, x


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    before = team.team().threads
    monkeypatch.setenv("NUMBA_NUM_THREADS", str(max(3, before)))  # more threads than CPUs are still right
    team.set_threads(request.param)
    yield request.param
    team.set_threads(before)


@pytest.mark.parametrize("dtype", tiers.TIERS["cpu"])
@pytest.mark.parametrize("images", [1, 2, 3, 5, 8])
def test_any_batch_on_any_number_of_threads_gives_what_each_image_gives_alone(threads, images, dtype):
    blocks, x = blocks_and_rows(dtype, images)
    together = cpu.encoder(dtype, blocks, x, WIDE)
    alone = np.concatenate([cpu.encoder(dtype, blocks, x[i : i + 1], WIDE) for i in range(images)])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("odd", [0, 3, 4])
def test_int8_names_the_tensor_that_is_not_finite_whoever_meets_it(threads, odd):
    blocks, x = blocks_and_rows("int8", 5)
    x[odd, 7, 11] = np.nan
    with pytest.raises(InputError, match=r"block1\.ln1\.out has a NaN or an infinity"):  # block 0 is in bfloat16
        cpu.encoder("int8", blocks, x, WIDE)


def test_what_threads_do_apart_is_done_by_as_many_calls_as_needed(threads, monkeypatch):
    blocks, x = blocks_and_rows("float32", 5)
    calls, run = [], cpu.run

    def watched(dtype, blocks, x, config, y, group, apart, slices):
        calls.append((len(x), apart, slices))
        run(dtype, blocks, x, config, y, group, apart, slices)

    monkeypatch.setattr(cpu, "run", watched)
    cpu.encoder("float32", blocks, x, WIDE)  # images of 130 rows: two slices, or no three
    assert calls == {1: [(5, 0, 0)], 2: [(4, 2, 0), (1, 2, 2)], 3: [(3, 3, 0), (2, 0, 0)]}[threads]
