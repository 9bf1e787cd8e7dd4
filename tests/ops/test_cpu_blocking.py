"""How products are cut: every column meets every inner term once, in order."""

import pytest

pytest.importorskip("numba", reason="tier cpu needs Numba")

from minivit.ops.linear import blocking, panels
from minivit.ops.simd.amx import AMX, SPLIT
from minivit.ops.simd.dots import BFLOAT16, FLOAT32, INT8
from minivit.ops.simd.target import WIDE

KINDS = [FLOAT32, BFLOAT16, INT8, *([SPLIT] if AMX else [])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("rows", "k", "n"), [(1, 1, 1), (197, 192, 576), (197, 3072, 768), (1576, 384, 1536), (5, 5000, 33)]
)
def test_every_column_meets_every_chunk_once_and_in_order(kind, threads, rows, k, n):
    tiles, columns, chunks = -(-rows // panels.tall_of(kind)), -(-n // WIDE), panels.chunks_of(kind, k)
    size = panels.panel_size(kind, k)
    blocks, groups, segments, parts = blocking.blocking.py_func(kind, tiles, columns, chunks, size, threads)
    assert 1 <= blocks <= tiles and groups >= 1 and segments >= 1 and parts >= 1
    assert -(-tiles // blocks) * panels.tall_of(kind) <= blocking.MAX_ROWS + panels.PACKED_TALL  # room again
    for group in range(groups):
        some = columns * (group + 1) // groups - columns * group // groups
        assert segments == 1 or some <= blocking.GROUP  # room for their sums
        met = dict.fromkeys(range(some), 0)
        for step in range(segments * some * parts):
            column, begin, stop = blocking.part_of.py_func(step, parts, some, chunks, segments)
            assert begin == met[column]
            assert kind != SPLIT or stop - begin <= blocking.MAX_CHUNKS_SPLIT  # room for weights in parts
            met[column] = stop
        assert set(met.values()) <= {chunks}
