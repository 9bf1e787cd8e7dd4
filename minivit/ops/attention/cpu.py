"""Attention on the CPU.

v1  loops over queries and keys; a row of scores at a time, scalar                                    0.2 × ref
v2  the parts one after the other (scores, softmax, mix): N×N numbers per head go to memory and back  2.6 × ref
v3  per head: keys and values packed once, then a tile of queries at a time: scores, softmax and the weighted sum of the
    values while they are in the first-level cache (heads.py); the N×N matrix is never formed         4.3 × ref
"""

import numpy as np

from ..linear.panels import tall_of
from ..simd.amx import AMX, SPLIT
from ..simd.dots import BF16_DOT, BFLOAT16, FLOAT32
from ..simd.kernel import kernel
from ..simd.language import njit
from ..simd.stages import done, my_part, take, wait
from ..simd.team import team
from ..softmax.cpu import softmax
from .heads import (
    ROW_BY_ROW,
    pack_keys,
    pack_probs,
    pack_queries,
    pack_values,
    score,
    scratch_size,
    sizes,
    softmax_pack,
    unpack_scores,
    weigh,
)

#: dtype of a model -> the numbers that its attention multiplies
KIND = dict.fromkeys(("float32", "float16", "bfloat16", "int8"), SPLIT if AMX else FLOAT32)
if BF16_DOT:
    KIND.update(bfloat16=BFLOAT16, int8=BFLOAT16)


@njit(nogil=True)
def loops_v1(q, k, v, z):
    # q, k, v (heads,N,K) -> z (heads,N,K)
    heads, n, width = q.shape
    weights = np.empty(n, np.float32)
    for h in range(heads):
        for i in range(n):
            for j in range(n):
                total = np.float32(0)
                for d in range(width):
                    total += q[h, i, d] * k[h, j, d]
                weights[j] = total / np.float32(np.sqrt(width))
            weights[:] = np.exp(weights - weights.max())
            weights /= weights.sum()
            z[h, i] = 0
            for j in range(n):
                for d in range(width):
                    z[h, i, d] += weights[j] * v[h, j, d]


@njit
def attend_heads(
    work, stage, kind, q, k, v, images, heads, queries, n, width, ld, head_step, image_step,
    z, z_kind, step, z_image, z_head, z_column, parts, scratch,
):  # fmt: skip
    # q, k, v: token t of head h of image i at [i·image_step + h·head_step + t·ld]; `queries` of them ask, all n answer
    # z: in row i·z_image + h·z_head + t, from column h·z_column on; z_kind and step: as in heads.put_row
    keys_size, values_size, a_size, s_size, _ = sizes(kind, n, width)
    keys, values = scratch, scratch + 4 * keys_size
    a = values + 4 * values_size
    s = a + 4 * a_size
    c = s + 4 * s_size
    high, tasks = tall_of(kind), images * heads * parts
    tiles = -(-queries // high)
    i = take(work, stage)
    while i < tasks:
        image, h, part = i // parts // heads, i // parts % heads, i % parts
        start = 4 * (image * image_step + h * head_step)
        pack_keys(kind, k + start, ld, n, width, a, keys)
        pack_values(kind, v + start, ld, n, width, values)
        for t in range(tiles * part // parts, tiles * (part + 1) // parts):
            rows = min(high, queries - t * high)
            pack_queries(kind, q + start + 4 * t * high * ld, ld, rows, width, a)
            score(kind, a, rows, n, width, keys, s)
            softmax_pack(kind, s, rows, n, s, c)
            r = image * z_image + h * z_head + t * high
            weigh(kind, s, rows, n, width, values, c, z, z_kind, step, r, h * z_column)
        i = done(work, stage)
    wait(work, stage, tasks)


def parts_of(heads, threads):
    """Tasks per head: one (its keys and values are packed once), unless there are too few heads for the threads."""
    return 1 if heads % threads == 0 or heads >= 8 * threads else -(-2 * threads // heads)


@kernel
def attend_kernel(work, kind, q, k, v, images, heads, n, width, ld, head_step, image_step, z, parts, scratch, size):
    attend_heads(
        work, 1, kind, q, k, v, images, heads, n, n, width, ld, head_step, image_step,
        z, ROW_BY_ROW, width, heads * n, n, 0, parts, my_part(work, scratch, size),
    )  # fmt: skip


@kernel
def scores_kernel(work, kind, q, k, heads, n, width, y, scratch, size):
    keys_size, _, a_size, _, _ = sizes(kind, n, width)
    keys = my_part(work, scratch, size)
    a = keys + 4 * keys_size
    s = a + 4 * a_size
    h = take(work, 1)
    while h < heads:
        start = 4 * h * n * width
        pack_keys(kind, k + start, width, n, width, a, keys)
        for t in range(0, n, tall_of(kind)):
            rows = min(tall_of(kind), n - t)
            pack_queries(kind, q + start + 4 * t * width, width, rows, width, a)
            score(kind, a, rows, n, width, keys, s)
            unpack_scores(kind, s, rows, n, y + 4 * (h * n + t) * n)
        h = done(work, 1)
    wait(work, 1, heads)


@kernel
def mix_kernel(work, kind, probs, v, heads, n, width, z, scratch, size):
    _, values_size, _, s_size, _ = sizes(kind, n, width)
    values = my_part(work, scratch, size)
    s = values + 4 * values_size
    c = s + 4 * s_size
    h = take(work, 1)
    while h < heads:
        pack_values(kind, v + 4 * h * n * width, width, n, width, values)
        for t in range(0, n, tall_of(kind)):
            rows = min(tall_of(kind), n - t)
            pack_probs(kind, probs + 4 * (h * n + t) * n, n, rows, s)
            weigh(kind, s, rows, n, width, values, c, z, ROW_BY_ROW, width, h * n + t, 0)
        h = done(work, 1)
    wait(work, 1, heads)


def functions(dtype):
    """scores, mix and attend for a model of that dtype."""
    kind = KIND[dtype]

    def scores(q, k):
        # q (B,H,N,K), k (B,H,N,K) -> (B,H,N,N)
        q, k = (np.ascontiguousarray(x, np.float32) for x in (q, k))
        images, heads, n, width = q.shape
        y = np.empty((images, heads, n, n), np.float32)
        team().run(
            scores_kernel, kind, q, k, images * heads, n, width, y,
            scratch=scratch_size(kind, n, width),
        )  # fmt: skip
        return y

    def mix(probs, v):
        # probs (B,H,N,N), v (B,H,N,K) -> (B,H,N,K)
        probs, v = (np.ascontiguousarray(x, np.float32) for x in (probs, v))
        images, heads, n, width = v.shape
        z = np.empty(v.shape, np.float32)
        team().run(
            mix_kernel, kind, probs, v, images * heads, n, width, z,
            scratch=scratch_size(kind, n, width),
        )  # fmt: skip
        return z

    def attend(q, k, v):
        # q, k, v (B,H,N,K) -> (B,H,N,K); the scores and probabilities are never stored
        images, heads, n, width = q.shape
        if not q.strides == k.strides == v.strides or q.strides[-1] != 4 or q.dtype != np.float32:
            q, k, v = (np.ascontiguousarray(x, np.float32) for x in (q, k, v))
        z, crew = np.empty(q.shape, np.float32), team()
        image_step, head_step, ld, _ = (step // 4 for step in q.strides)
        crew.run(
            attend_kernel, kind, q, k, v, images, heads, n, width, ld, head_step, image_step,
            z, parts_of(images * heads, crew.threads), scratch=scratch_size(kind, n, width),
        )  # fmt: skip
        return z

    return scores, mix, attend


scores, mix, attend = functions("float32")


def attend_v1(q, k, v):
    # q, k, v (B,H,N,K) -> (B,H,N,K)
    heads = [np.ascontiguousarray(x, np.float32).reshape(-1, *x.shape[2:]) for x in (q, k, v)]
    z = np.empty_like(heads[0])
    loops_v1(*heads, z)
    return z.reshape(q.shape)


def attend_v2(q, k, v):
    # q, k, v (B,H,N,K) -> (B,H,N,K)
    return mix(softmax(scores(q, k)), v)


LADDER = {"v1": attend_v1, "v2": attend_v2, "v3": attend}
