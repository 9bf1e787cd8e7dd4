"""Different right answers: attention to relevance."""

import math

import numpy as np
from other_answers import answers


@answers("A3.1")
def scores_by_einsum(q, k):
    return np.einsum("bhik,bhjk->bhij", q, k) / math.sqrt(q.shape[-1])


@answers("A3.1")
def scores_scaled_twice_by_the_fourth_root(q, k):
    c = q.shape[-1] ** -0.25
    return (c * q) @ np.transpose(c * k, (0, 1, 3, 2))


@answers("A3.2")
def attention_without_ops(q, k, v):
    s = q @ k.swapaxes(2, 3) / q.shape[-1] ** 0.5
    e = np.exp(s - s.max(-1, keepdims=True))
    return e @ v / e.sum(-1, keepdims=True)


@answers("A3.2")
def attention_in_one_line(q, k, v, ops, tap):
    return tap("z", ops.mix(tap("probs", ops.softmax(tap("scores", ops.scores(q, k)))), v))


@answers("A3.3")
def mix_by_einsum(probs, v):
    return np.einsum("bhij,bhjk->bhik", probs, v)


@answers("A3.3")
def mix_by_matmul(weights, values):
    return np.matmul(weights, values)


@answers("A3.4")
def heads_by_split(qkv, heads):
    B, N, _ = qkv.shape
    return [x.reshape(B, N, heads, -1).swapaxes(1, 2) for x in np.split(qkv, 3, -1)]


@answers("A3.4")
def heads_by_slices(qkv, heads):
    D = qkv.shape[-1] // 3
    K = D // heads
    cut = [np.stack([qkv[..., i * D + h * K : i * D + (h + 1) * K] for h in range(heads)], 1) for i in range(3)]
    return cut[0], cut[1], cut[2]


@answers("A3.5")
def merged_by_concatenation(z):
    return np.concatenate([z[:, h] for h in range(z.shape[1])], axis=-1)


@answers("A3.5")
def merged_by_rearranging(z):
    return np.moveaxis(z, 1, 2).reshape(z.shape[0], z.shape[2], -1)


@answers("A3.6")
def layer_without_helpers(p, x, config):
    B, N, D = x.shape
    K = D // config.heads
    qkv = (x @ p["qkv"]["w"] + p["qkv"]["b"]).reshape(B, N, 3, config.heads, K)
    q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    z = attention_without_ops(q, k, v).transpose(0, 2, 1, 3).reshape(B, N, D)
    return z @ p["out"]["w"] + p["out"]["b"]


@answers("A3.6")
def layer_head_by_head(p, x, config, ops):
    K, D = x.shape[-1] // config.heads, x.shape[-1]
    y = np.zeros_like(x) + p["out"]["b"]
    for h in range(config.heads):
        columns = [slice(i * D + h * K, i * D + (h + 1) * K) for i in range(3)]
        q, k, v = (x @ p["qkv"]["w"][:, c] + p["qkv"]["b"][c] for c in columns)
        y += ops.softmax(q @ k.swapaxes(1, 2) / math.sqrt(K)) @ v @ p["out"]["w"][h * K : (h + 1) * K]
    return y


@answers("A4.1")
def mlp_without_linear(p, x, config, ops):
    hidden = ops.gelu(x @ p["fc1"]["w"] + p["fc1"]["b"], config.gelu)
    return hidden @ p["fc2"]["w"] + p["fc2"]["b"]


@answers("A4.1")
def mlp_nested(p, x, config, ops, tap):
    return ops.linear(ops.gelu(ops.linear(x, p["fc1"]["w"], p["fc1"]["b"]), config.gelu), p["fc2"]["w"], p["fc2"]["b"])


@answers("A4.2")
def block_with_branches(p, x, config, ops, tap):
    from minivit.models import vit

    def norm(name, x):
        return ops.layernorm(x, p[name]["scale"], p[name]["bias"], config.eps)

    x = x + vit.attention(p["attn"], norm("ln1", x), config, ops, tap.inside("attn"))
    return x + vit.mlp(p["mlp"], norm("ln2", x), config, ops, tap.inside("mlp"))


@answers("A4.2")
def block_in_one_sum(p, x, config, ops, tap):
    from minivit.models import vit

    a = vit.attention(p["attn"], ops.layernorm(x, **p["ln1"], eps=config.eps), config, ops, tap.inside("attn"))
    y = ops.layernorm(a + x, eps=config.eps, **p["ln2"])
    return x + a + vit.mlp(p["mlp"], y, config, ops, tap.inside("mlp"))


@answers("A4.3")
def embedding_always_resized(p, images, config, ops):
    new = images.shape[1] // config.patch, images.shape[2] // config.patch
    table = ops.resize_positions(p["position"], config.grid, new, config.prefix, config.position_resize)
    x = ops.patch_embed(images, p["w"], p["b"])
    return (ops.prepend(x, p["prefix"]) if config.prefix else x) + table


@answers("A4.3")
def embedding_in_parts(p, images, config, ops, tap):
    new = config.grid_of(images.shape[1], images.shape[2])
    table = ops.resize_positions(p["position"], config.grid, new, config.prefix, config.position_resize)
    x = ops.patch_embed(images, p["w"], p["b"]) + table[:, config.prefix :]
    if config.prefix == 0:
        return x
    first = p["prefix"] + table[:, : config.prefix]
    return np.concatenate([np.repeat(first, len(x), 0), x], 1)


@answers("A4.4")
def model_block_by_block(params, images, config, ops, tap):
    from minivit.models import vit

    x = vit.embed(params["embed"], tap("image", images), config, ops, tap.inside("embed"))
    for i in range(config.blocks):
        x = vit.block(params["blocks"][i], x, config, ops, tap.inside(f"block{i}"))
    return vit.head(params, x, config, ops, tap)


@answers("A4.4")
def model_nested(params, images, config, ops, tap):
    from minivit.models import vit

    tokens = vit.embed(params["embed"], images, config, ops, tap.inside("embed"))
    return vit.head(params, vit.encoder(params["blocks"], tokens, config, ops, tap), config, ops, tap)


@answers("A5.1")
def map_in_two_steps(probs, query, prefix, grid):
    row = probs[..., query, prefix:]
    return row.reshape(row.shape[:-1] + tuple(grid)).copy()


@answers("A5.1")
def map_patch_by_patch(probs, query, prefix, grid):
    rows = [[probs[..., query, prefix + r * grid[1] + c] for c in range(grid[1])] for r in range(grid[0])]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


@answers("A5.2")
def distance_by_indices(probs, prefix, grid, patch):
    r, c = np.indices(grid).reshape(2, -1)
    apart = patch * np.hypot(r[:, None] - r, c[:, None] - c)
    A = probs[:, :, prefix:, prefix:].astype(np.float64)
    return ((A * apart).sum(-1) / A.sum(-1)).mean(-1)


@answers("A5.2")
def distance_query_by_query(probs, prefix, grid, patch):
    places = np.array([(r, c) for r in range(grid[0]) for c in range(grid[1])], np.float64) * patch
    found = []
    for i, place in enumerate(places):
        far = np.sqrt(((places - place) ** 2).sum(1))
        A = probs[:, :, prefix + i, prefix:].astype(np.float64)
        found.append(A @ far / A.sum(-1))
    return np.mean(found, 0)


@answers("A5.3")
def rollout_by_averages(probs):
    R = np.eye(probs[0].shape[-1])
    for A in probs:
        R = 0.5 * (A.astype(np.float64).mean(1) + np.eye(A.shape[-1])) @ R
    return R


@answers("A5.3")
def rollout_from_the_last(probs):
    R = None
    for A in reversed(probs):
        step = np.asarray(A, np.float64).mean(axis=1) + np.identity(A.shape[-1])
        step = step / step.sum(axis=2, keepdims=True)
        R = step if R is None else R @ step
    return R


@answers("A5.4")
def weighted_by_where(probs, gradient):
    product = gradient.astype(np.float64) * probs.astype(np.float64)
    return np.where(product > 0, product, 0).sum(1) / probs.shape[1]


@answers("A5.4")
def weighted_head_by_head(probs, gradient):
    heads = range(probs.shape[1])
    return sum((np.float64(1) * probs[:, h] * gradient[:, h]).clip(min=0) for h in heads) / len(heads)


@answers("A5.5")
def relevance_by_factors(probs, gradients):
    R = np.eye(probs[0].shape[-1])
    for A, gradient in zip(probs, gradients, strict=True):
        R = (np.eye(A.shape[-1]) + weighted_by_where(A, gradient)) @ R
    return R


@answers("A5.5")
def relevance_in_place(probs, gradients):
    B, _, N, _ = probs[0].shape
    R = np.broadcast_to(np.eye(N), (B, N, N)).copy()
    for i in range(len(probs)):
        R += np.matmul(weighted_head_by_head(probs[i], gradients[i]), R)
    return R
