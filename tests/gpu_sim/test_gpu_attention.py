"""Every rung of attention against float64: odd lengths, any head width, several tiles, random schedules."""

import numpy as np
import pytest
from simulated import agrees, error

from minivit.errors import InputError
from minivit.gpu.arrays import empty, on_device
from minivit.gpu.formats import BFLOAT16, FLOAT16, FLOAT32, FORMATS
from minivit.models.vit import merge_heads, split_heads
from minivit.ops.attention import gpu, ref
from minivit.ops.attention import gpu_online as online
from minivit.ops.attention import gpu_tensor_cores as tensor
from minivit.ops.softmax.gpu import softmax
from minivit.ops.softmax.ref import softmax as softmax_ref


def packed(images, tokens, heads, width, format=FLOAT32, scale=1.0):
    """Queries, keys and values as linear gives them, side by side, on the device; and the same numbers in float64."""
    shape = images, tokens, 3 * heads * width
    x = on_device(scale * np.random.default_rng(shape).standard_normal(shape), format)
    return tuple(split_heads(x, heads)), tuple(split_heads(np.asarray(x).astype(np.float64), heads))


def attended(q, k, v):
    return ref.mix(softmax_ref(ref.scores(q, k)), v)


def right(rung, *shape, format=FLOAT32, scale=1.0):
    found, truth = packed(*shape, format=format, scale=scale)
    return agrees(gpu.LADDER[rung](*found), attended(*truth), format.name)


def launched(kernel, queries, *shape, format):
    """Whether a kernel made with other sizes than the op chooses is right."""
    (q, k, v), truth = packed(*shape, format=format)
    images, tokens, heads, width = shape
    z, (image, head, token, _) = empty((images, tokens, heads, width), format), q.strides
    grid = images * heads * -(-tokens // queries)
    kernel.launch(
        grid, q.data, k.data, v.data, z.flat, tokens, heads, q.offset, k.offset, v.offset, token, head, image
    )  # fmt: skip
    return agrees(z.transpose(0, 2, 1, 3), attended(*truth), format.name)


@pytest.mark.parametrize("tokens", [1, 2, 17])
@pytest.mark.parametrize("rung", ["v1", "v2"])
def test_float32_takes_any_length(rung, tokens, seed):
    assert right(rung, 2, tokens, 2, 5)


@pytest.mark.parametrize("tokens", [1, 2, 17])
@pytest.mark.parametrize("format", [FLOAT16, BFLOAT16], ids=str)
def test_tensor_cores_take_any_length(format, tokens, seed):
    assert right("v3", 2, tokens, 2, 16, format=format)


def test_more_tokens_than_a_tile(seed):
    assert right("v2", 1, 70, 1, 3)
    assert right("v3", 1, 70, 1, 8, format=FLOAT16)


@pytest.mark.parametrize("tokens", [197, 577])
def test_as_many_tokens_as_an_image_has(tokens):
    assert right("v2", 1, tokens, 1, 1)
    assert right("v3", 1, tokens, 1, 8, format=BFLOAT16)


@pytest.mark.parametrize("width", [1, 7, 24, 40, 80, 128])
def test_tensor_cores_take_any_width(width):
    assert right("v3", 1, 9, 2, width, format=BFLOAT16)


@pytest.mark.parametrize("width", [1, 64, 80, 81, 200])
def test_online_softmax_takes_any_width(width):
    assert right("v2", 1, 5, 2, width)


def test_heads_too_wide_for_tensor_cores_and_float32_take_another_rung():
    assert right("v3", 1, 3, 1, tensor.WIDEST + 1, format=FLOAT16)
    assert right("v3", 1, 3, 2, 4)


@pytest.mark.parametrize("rung", ["v1", "v2"])
@pytest.mark.parametrize("format", FORMATS.values(), ids=str)
def test_the_first_rungs_take_every_format(rung, format):
    assert right(rung, 2, 5, 3, 8, format=format)


@pytest.mark.parametrize(("threads", "keys"), [(32, 4), (32, 1), (128, 7)])
def test_other_blocks_of_online_softmax(threads, keys, seed):
    kernel = online.attend_kernel(6, FLOAT32, threads, keys)
    assert launched(kernel, online.queries_of(6, threads), 1, 37, 2, 6, format=FLOAT32)


@pytest.mark.parametrize("fragments", [1, 2])
def test_one_and_two_fragments_of_queries_per_warp(fragments):
    kernel = tensor.attend_kernel(16, FLOAT16, True, fragments)
    assert launched(kernel, 64 * fragments, 1, 131, 1, 16, format=FLOAT16)


def test_number_by_number_where_rows_are_not_aligned():
    assert launched(tensor.attend_kernel(16, FLOAT16, False), 64, 1, 70, 1, 16, format=FLOAT16)


@pytest.mark.parametrize("rung", ["v1", "v2", "v3"])
def test_large_scores_do_not_overflow(rung):
    # scores of some thousands: exp would overflow without the maximum, in whatever order the keys come
    assert right(rung, 1, 40, 1, 8, format=FLOAT16 if rung == "v3" else FLOAT32, scale=50.0)


@pytest.mark.parametrize("format", [FLOAT16, BFLOAT16], ids=str)
def test_many_equal_keys_average_their_values(format):
    # 300 weights of 1/300: sums in halves would not even count that far
    q, k = np.zeros((1, 1, 300, 8)), np.zeros((1, 1, 300, 8))
    v = np.tile(np.arange(300)[:, None] % 2, 8)[None, None]
    z = gpu.attend(*(on_device(x, format) for x in (q, k, v)))
    assert error(z[:, :, :3], np.full((1, 1, 3, 8), 0.5)) < 1e-3


def test_the_parts_are_what_the_trace_shows(seed):
    for format in (FLOAT32, BFLOAT16):
        (q, k, v), (Q, K, V) = packed(2, 7, 2, 5, format=format)
        scores = gpu.scores(q, k)
        probs = softmax(scores)
        assert scores.format is probs.format is FLOAT32
        assert agrees(scores, ref.scores(Q, K)) and agrees(probs, softmax_ref(ref.scores(Q, K)))
        assert agrees(gpu.mix(probs, v), attended(Q, K, V), format.name)


@pytest.mark.parametrize("rung", ["v1", "v2", "v3"])
def test_heads_are_put_side_by_side_without_a_copy(rung):
    format = FLOAT16 if rung == "v3" else FLOAT32
    found, truth = packed(2, 5, 2, 8, format=format)
    z = gpu.LADDER[rung](*found)
    merged = merge_heads(z)
    assert merged.data is z.data and agrees(merged, merge_heads(attended(*truth)), format.name)


def test_queries_keys_and_values_may_lie_differently():
    (q, k, v), truth = packed(1, 6, 2, 8)
    assert agrees(gpu.attend(q, np.asarray(k), v.transpose(0, 2, 1, 3).transpose(0, 2, 1, 3)), attended(*truth))


def test_shapes_and_formats_that_differ_are_refused():
    (q, k, v), _ = packed(1, 4, 1, 8)
    with pytest.raises(InputError, match="q, k and v differ"):
        gpu.attend(q, k, v[:, :, :3])
    with pytest.raises(InputError, match="q, k and v differ"):
        gpu.attend(q, on_device(np.asarray(k), FLOAT16), v)
