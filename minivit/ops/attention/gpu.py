"""Attention on the GPU.

v1  the parts one after the other (gpu_matrix.py), one thread per score and one per output: N×N numbers per head go to
    memory and back.  What the trace uses, because every part can be looked at: a twentieth of the float32 peak
v2  online softmax (gpu_online.py): a thread keeps its query and its sums in registers and walks over the keys, which
    the block shares tile by tile.  Nothing N×N anywhere; float32 arithmetic for every format: a third of its peak
v3  tensor cores (gpu_tensor_cores.py): FlashAttention-2's order of work, for halves: a third of their peak, or more

(Expected of an H100; what ours reach: benchmarks/gpu.sh.)

The result lies in memory as (B,N,H,K), so that putting the heads side by side again (models/vit.py) copies nothing.
"""

from ...errors import InputError
from ...gpu.arrays import blocks, dense, empty, on_device
from ...gpu.compat import multiprocessors
from ...gpu.formats import BFLOAT16, FLOAT16, FLOAT32
from ...gpu.launch import Checked
from ..softmax.gpu import softmax
from . import gpu_matrix as matrix
from . import gpu_online as online
from . import gpu_tensor_cores as tensor


def scores(q, k):
    # q, k (B,H,N,K) -> (B,H,N,N): float32, whatever the format of q and k
    q, k = (dense(x) for x in _alike(q, k))
    B, H, N, K = q.shape
    s = empty((B, H, N, N), FLOAT32)
    grid = B * H, blocks(N, matrix.ROWS), blocks(N, matrix.COLUMNS)
    matrix.scores_kernel(K, q.format).launch(grid, q.flat, k.flat, s.flat, N)
    return s


def mix(probs, v):
    # probs (B,H,N,N), v (B,H,N,K) -> (B,H,N,K)
    probs, v = dense(on_device(probs)), dense(on_device(v))
    B, H, N, K = v.shape
    z = empty((B, N, H, K), v.format)
    grid = B * H, blocks(N, matrix.ROWS), blocks(K, matrix.COLUMNS)
    matrix.mix_kernel(K, probs.format, v.format).launch(grid, probs.flat, v.flat, z.flat, N, H)
    return z.transpose(0, 2, 1, 3)


def attend_v1(q, k, v):
    # q, k, v (B,H,N,K) -> (B,H,N,K)
    return mix(softmax(scores(q, k)), v)


def attend_v2(q, k, v):
    # q, k, v (B,H,N,K) -> (B,H,N,K); the scores and probabilities are never stored
    q, k, v = _alike(q, k, v)
    return _launch(online.attend_kernel(q.shape[-1], q.format), online.queries_of(q.shape[-1]), q, k, v)


def attend(q, k, v):
    # q, k, v (B,H,N,K) -> (B,H,N,K); v3, and v2 where tensor cores cannot: float32, or very wide heads
    q, k, v = _alike(q, k, v)
    B, H, N, K = q.shape
    if not tensor.can_attend(K, q.format):
        return attend_v2(q, k, v)
    most = tensor.sizes(K)[-1]  # fragments of 16 queries per warp, if that still gives every multiprocessor two blocks
    fragments = most if B * H * blocks(N, 64 * most) >= 2 * multiprocessors() else 1
    aligned = all(number % 8 == 0 for number in (K, q.offset, k.offset, v.offset, *q.strides[:3]))
    return _launch(tensor.attend_kernel(K, q.format, aligned, fragments), 64 * fragments, q, k, v)


def _alike(*arrays):
    # on the device, all of one shape, format and layout, numbers of a head side by side
    arrays = [on_device(x) for x in arrays]
    if len({(x.shape, x.format) for x in arrays}) > 1:
        raise InputError(f"attention: q, k and v differ: {', '.join(map(repr, arrays))}")
    same = len({x.strides for x in arrays}) == 1 and arrays[0].strides[-1] == 1
    return arrays if same else [dense(x) for x in arrays]


def _launch(kernel, queries, q, k, v):
    # `queries`: how many a block works on
    B, H, N, K = q.shape
    z, (image, head, token, _) = empty((B, N, H, K), q.format), q.strides
    kernel.launch(
        B * H * blocks(N, queries),
        q.data, k.data, v.data, z.flat, N, H, q.offset, k.offset, v.offset, token, head, image,
    )  # fmt: skip
    return z.transpose(0, 2, 1, 3)


LADDER = {"v1": attend_v1, "v2": attend_v2, "v3": attend}
KERNELS = [
    Checked("attention v1 scores float32", matrix.scores_kernel(64, FLOAT32)),
    Checked("attention v1 mix float32", matrix.mix_kernel(64, FLOAT32, FLOAT32)),
    Checked("attention v2 float32", online.attend_kernel(64, FLOAT32), ("LDS.128", "MUFU.EX2"), last=True),
    Checked("attention v2 float32, 80 wide", online.attend_kernel(80, FLOAT32), ("MUFU.EX2",), last=True),
    Checked("attention v3 float16", tensor.attend_kernel(64, FLOAT16), ("HMMA", "LDSM", "LDGSTS"), last=True),
    Checked("attention v3 bfloat16", tensor.attend_kernel(64, BFLOAT16), ("HMMA", "LDSM", "LDGSTS"), last=True),
    Checked(
        "attention v3 bfloat16, 128 queries",
        tensor.attend_kernel(64, BFLOAT16, fragments=2), ("HMMA", "LDSM", "LDGSTS"), last=True,
    ),
    Checked("attention v3 bfloat16, 128 wide", tensor.attend_kernel(128, BFLOAT16), ("HMMA", "LDSM"), last=True),
]  # fmt: skip
