# ruff: noqa: E501
"""Faults planted into LayerNorm, softmax, attention and the small ops: the simulator must see every one of them."""

import numpy as np
import pytest
from simulated import agrees, caught, planted
from test_gpu_attention import attended, launched, packed
from test_gpu_norms import normalised, numbers

from minivit.gpu.formats import FLOAT16, FLOAT32
from minivit.ops.layernorm import gpu as layernorm
from minivit.ops.patches import ref as patches_ref
from minivit.ops.positions import ref as positions_ref
from minivit.ops.softmax import gpu as softmax
from minivit.ops.softmax import ref as softmax_ref

NORM, SOFTMAX, WARPS = "ops/layernorm/gpu", "ops/softmax/gpu", "gpu/warps"
V1, V2 = "ops/attention/gpu_matrix", "ops/attention/gpu_online"
V3, FRAGMENTS = "ops/attention/gpu_tensor_cores", "ops/attention/gpu_fragments"
PATCHES, EMBED, POOL, POSITIONS = "ops/patches/gpu", "ops/embed/gpu", "ops/pool/gpu", "ops/positions/gpu"

#: fault -> (rung, file, what is right, what is planted)
ROWS = {
    "layernorm v1, guard one row too far": ("v1", NORM, "if row < rows:", "if row < rows + 1:"),
    "layernorm v2, sum of one lane instead of the warp": ("v2", NORM, "mean = warp_sum(total)", "mean = total"),
    "layernorm v2, lanes without a number leave before the shuffles": ("v2", NORM, "if row < rows:  #", "if row < rows and lane < D:  #"),
    "layernorm v3, variance of the padding too": ("v3", NORM, "lane * uint32(4) + uint32(e) < D:", "lane * uint32(4) < D:"),
    "layernorm v3, padding read": ("v3", NORM, "if column < D:", "if True:"),
    "layernorm v3, eps outside of the root": ("v3", NORM, "math.sqrt(warp_sum(squares) / float32(width) + eps)", "(math.sqrt(warp_sum(squares) / float32(width)) + eps)"),
    "layernorm v3, the tail of a row spills into the next": ("v3", NORM, "left > uint32(3)", "left > uint32(2)"),
    "layernorm v3, scale of another column": ("v3", NORM, "read_vector(scale, column)", "read_vector(scale, column ^ uint32(4))"),
    "softmax v1, the maximum not subtracted": ("v1", SOFTMAX, "uint32(j)) - top)", "uint32(j)))"),
    "softmax v2, every lane its own maximum": ("v2", SOFTMAX, "            top = warp_max(top)\n", ""),
    "softmax v2, lanes start one further": ("v2", SOFTMAX, "range(lane, n, 32)", "range(lane + 1, n, 32)"),
    "softmax v3, columns past the end weigh like a score of 0": ("v3", SOFTMAX, "if inside else lowest", "if inside else float32(0)"),
    "softmax v3, guard one column too far": ("v3", SOFTMAX, "if lane + uint32(32 * i) < N:", "if lane + uint32(32 * i) <= N:"),
}  # fmt: skip
SHUFFLES = {
    "sums over half of the warp": ("for distance in (16, 8, 4, 2, 1):\n        value +=", "for distance in (8, 4, 2, 1):\n        value +="),
    "sums over every second lane": ("for distance in (16, 8, 4, 2, 1):\n        value +=", "for distance in (16, 8, 4, 2):\n        value +="),
    "maximum over half of the warp": ("for distance in (16, 8, 4, 2, 1):\n        value = max", "for distance in (8, 4, 2, 1):\n        value = max"),
    "shuffles that move down instead of crossing over": ("shfl_xor_sync", "shfl_down_sync"),
}  # fmt: skip
ATTENTION = {
    "v1, scores not divided by the root of the width": (V1, "total * factor", "total"),
    "v1, guard one key too far": (V1, "i < n and j < n", "i < n and j <= n"),
    "v1, heads and images exchanged in the result": (V1, "(image * n + i) * heads + head", "(head * n + i) * heads + image"),
    "v2, no barrier after the tile is written": (V2, "            cuda.syncthreads()  # all have written the tile\n", ""),
    "v2, no barrier after the tile is read": (V2, "            cuda.syncthreads()  # all have read it\n", ""),
    "v2, a barrier that only threads with a query reach": (V2, "            cuda.syncthreads()  # all have read it\n", "            if i < n:\n                cuda.syncthreads()\n"),
    "v2, the result not rescaled": (V2, "                result[d] *= shrink\n", "                pass\n"),
    "v2, the sum of weights not rescaled": (V2, "score, total * shrink", "score, total"),
    "v2, rescaled the wrong way": (V2, "math.exp(largest - score)", "math.exp(score - largest)"),
    "v2, the maximum never updated": (V2, "if score > largest:", "if score > float32(1e30):"),
    "v2, keys past the end weigh like a score of 0": (V2, "range(min(TILE, uint32(n - first)))", "range(TILE)"),
    "v2, lanes that share a query do not add up": (V2, "while distance < lanes:", "while distance < lanes // 2:"),
    "v2, threads without a query read past the end": (V2, "min(i, uint32(n - uint32(1))) * token", "i * token"),
    "v2, threads without a query write": (V2, "        if i < n:\n", "        if True:\n"),
    "v2, tile one key short": (V2, "uint32(first + TILE)", "uint32(first + TILE + uint32(1))"),
    "v3, no wait for the first copies": (V3, "        copy_wait0()\n        cuda.syncthreads()\n", "        cuda.syncthreads()\n"),
    "v3, no barrier after the first copies": (V3, "        copy_wait0()\n        cuda.syncthreads()\n", "        copy_wait0()\n"),
    "v3, no wait for the next tile": (V3, "            copy_wait0()\n", ""),
    "v3, no barrier before the next tile": (V3, "            cuda.syncthreads()  # the next tile is there for all, and all are done with this one\n", ""),
    "v3, queries overwritten before all have them": (V3, "        cuda.syncthreads()  # all have their queries, whose place becomes the second stage\n", ""),
    "v3, copies not committed": (V3, "            copy_commit()\n", ""),
    "v3, the same stage again": (V3, "first, stage = after, other", "first = after"),
    "v3, values where the keys are": (V3, "shared_address(tile, stage + VALUES + below)", "shared_address(tile, stage + below)"),
    "v3, matrices of keys side by side and below each other exchanged": (V3, "stage + beside", "stage + below"),
    "v3, weights of four lanes not added up": (V3, "(whole + cuda.shfl_xor_sync(ALL_LANES, whole, 2))", "whole"),
    "v3, rows g and g + 4 instead of g + 8": (V3, "16 * m + 8 * half", "16 * m + 4 * half"),
    "v3, rows past the end written": (V3, "heads + h) * K), i < n,", "heads + h) * K), i <= n,"),
    "v3, columns past the width written": (V3, "if inside and column < K:", "if inside:"),
    "v3, columns past the width copied": (FRAGMENTS, "uint32(inside & (column < K))", "uint32(inside)"),
    "v3, rows of a tile not aligned": (FRAGMENTS, "return padded, padded + 8,", "return padded, padded + 4,"),
    "v3, one key too many": (FRAGMENTS, "* uint32(2)) >= n:", "* uint32(2)) > n:"),
    "v3, keys past the end not hidden": (FRAGMENTS, "if uint32(first + KEYS) > n:", "if uint32(first) > n:"),
    "v3, maximum of two lanes instead of four": (FRAGMENTS, "        top = max(top, cuda.shfl_xor_sync(ALL_LANES, top, 2))\n", ""),
    "v3, the result not rescaled": (FRAGMENTS, "            result[m, b, 2 * half] *= shrink\n", "            pass\n"),
    "v3, the sum of weights not rescaled": (FRAGMENTS, "        total[m, half] *= shrink\n", ""),
    "v3, powers of two instead of e": (FRAGMENTS, "width**-0.5 * LOG2_E", "width**-0.5"),
    "v3, scores not cleared": (FRAGMENTS, "                    s[m, b, e] = float32(0)\n", "                    pass\n"),
    "v3, values not transposed": (FRAGMENTS, "= load_matrices_transposed(", "= load_matrices("),
    "v3, two quarters of the weights exchanged": (FRAGMENTS, "p[m, 0, 1] = pack(s[m, 2 * step, 2], s[m, 2 * step, 3])", "p[m, 0, 1] = pack(s[m, 2 * step, 3], s[m, 2 * step, 2])"),
}  # fmt: skip
SMALL = {
    "patches, the next line of patches one pixel line further": (PATCHES, "patch // across * side +", "patch // across +"),
    "patches, columns of patches counted over the border": (PATCHES, "uint32(images.width // images.patch)", "uint32(-(-images.width // images.patch))"),
    "patches, read four at a time though lines are odd": (PATCHES, "return together if images.in_fours() else one_by_one", "return together"),
    "prepend, patches from the wrong image": (EMBED, "image * uint32(whole - before)", "image * whole"),
    "pool, the class token averaged too": (POOL, "range(prefix, tokens)", "range(tokens)"),
    "pool, guard missing": (POOL, "if i < count:", "if True:"),
    "positions, rows and columns exchanged": (POSITIONS, "uint32(cell // r1), uint32(cell % r1)", "uint32(cell % r1), uint32(cell // r1)"),
}  # fmt: skip


def rows_right(rung, path, module):
    """Whether a rung of LayerNorm or softmax, from that module, is right; widths with and without a tail."""
    if path == SOFTMAX:
        xs = [numbers(3, 3, 37) - 3, np.array([[500.0, 499.0, -500.0]], np.float32)]
        return all(agrees(module.LADDER[rung](x), softmax_ref.softmax(x.astype(np.float64))) for x in xs)
    original, layernorm.LADDER = layernorm.LADDER, module.LADDER
    try:
        return all(agrees(*normalised(rung, numbers(5, width), eps=0.1)) for width in (7, 132))
    finally:
        layernorm.LADDER = original


def attention_right(path, module):
    """Whether a rung of attention, with that module in place of the original, is right."""
    if path == V1:
        (q, k, v), truth = packed(2, 5, 3, 4)
        scores, z = np.full(2 * 3 * 25, np.nan, np.float32), np.full(2 * 5 * 3 * 4, np.nan, np.float32)
        q, k, v = (np.asarray(x).reshape(-1) for x in (q, k, v))
        module.scores_kernel(4, FLOAT32).launch((6, 1, 1), q, k, scores, 5)
        probs = softmax_ref.softmax(scores.reshape(-1, 5)).reshape(-1)
        module.mix_kernel(4, FLOAT32, FLOAT32).launch((6, 1, 1), probs, v, z, 5, 3)
        return agrees(z.reshape(2, 5, 3, 4).transpose(0, 2, 1, 3), attended(*truth))
    if path == V2:
        small = launched(module.attend_kernel(5, FLOAT32, 64, 4), 64, 1, 70, 1, 5, format=FLOAT32)
        return small and launched(module.attend_kernel(81, FLOAT32, 32, 4), 16, 1, 5, 1, 81, format=FLOAT32)
    # few keys, so that one more or less shows; two tiles of them, by asynchronous copies; and (of odd width) number by
    # number, which writes the next tile at once
    kernel, by_number = module.attend_kernel(24, FLOAT16), module.attend_kernel(21, FLOAT16, False)
    return all(
        launched(kernel, 64, *shape, format=FLOAT16)
        for kernel, shape in ((kernel, (1, 3, 1, 24)), (kernel, (1, 67, 1, 24)), (by_number, (1, 65, 1, 21)))
    )


def with_its_fault(path, good, bad):
    """The module that is launched; the fault may be in the one whose functions it calls."""
    if path != FRAGMENTS:
        return planted(path, good, bad)
    module, fragments = planted(V3, '"""', '"""'), planted(path, good, bad)
    for name in ("fetching", "taking", "scoring", "hiding", "softening", "weighing", "sizes"):
        setattr(module, name, getattr(fragments, name))
    return module


def small_right(path, module):
    """Whether the op of that module is right."""
    x = numbers(2, 6, 5)
    if path == PATCHES:
        images, w, b = numbers(2, 7, 11, 3), numbers(3, 3, 3, 4), numbers(4)
        return agrees(module.patch_embed(images, w, b), patches_ref.patch_embed(images, w, b))
    if path == EMBED:
        return agrees(module.prepend(x, x[:1, :2]), np.concatenate([x[[0, 0], :2], x], axis=1))
    if path == POOL:
        return agrees(module.pool(x, "gap", 2), x[:, 2:].mean(1))
    what = (2, 2), (4, 3), 2, "bilinear"
    return agrees(module.resize_positions(x[:1], *what), positions_ref.resize_positions(x[:1], *what))


@pytest.mark.parametrize("fault", ROWS)
def test_the_simulator_catches_in_rows(fault):
    rung, path, good, bad = ROWS[fault]
    assert caught(lambda: rows_right(rung, path, planted(path, good, bad)))


@pytest.mark.parametrize("fault", SHUFFLES)
@pytest.mark.parametrize("path", [NORM, SOFTMAX])
def test_the_simulator_catches_in_shuffles(fault, path):
    if "maximum" in fault and path == NORM:
        path = SOFTMAX  # LayerNorm has none
    warps, module = planted(WARPS, *SHUFFLES[fault]), planted(path, '"""', '"""')
    module.warp_sum = warps.warp_sum
    if path == SOFTMAX:
        module.warp_max = warps.warp_max
    assert caught(lambda: rows_right("v3", path, module))


@pytest.mark.parametrize("fault", ATTENTION)
def test_the_simulator_catches_in_attention(fault):
    path, good, bad = ATTENTION[fault]
    assert caught(lambda: attention_right(path, with_its_fault(path, good, bad)))


@pytest.mark.parametrize("fault", SMALL)
def test_the_simulator_catches_in_a_small_op(fault):
    path, good, bad = SMALL[fault]
    assert caught(lambda: small_right(path, planted(path, good, bad)))


def test_without_a_fault_nothing_is_caught():
    def all_right():
        rows = [(rung, path) for path, op in ((NORM, layernorm), (SOFTMAX, softmax)) for rung in op.LADDER]
        return (
            all(rows_right(rung, path, planted(path, '"""', '"""')) for rung, path in rows)
            and all(attention_right(path, with_its_fault(path, '"""', '"""')) for path in (V1, V2, V3, FRAGMENTS))
            and all(small_right(path, planted(path, '"""', '"""')) for path in (PATCHES, EMBED, POOL, POSITIONS))
        )

    assert not caught(all_right, seeds=(None, 0))
