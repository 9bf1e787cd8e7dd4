"""The Vision Transformer as one function of arrays (Dosovitskiy et al., arXiv:2010.11929, eq. 1–4).

Parameters are the nested dict of minivit/params.py; `ops` are the array functions of a tier; `tap(name, x)` gives x
back unchanged, unless somebody records or replaces that tensor.  Shape letters: minivit/names.
"""

from ..trace import NO_TAP
from .fusion import fusable


def forward(params, images, config, ops, tap=NO_TAP):
    # images (B,h,w,c) -> logits (B,C), or the feature (B,D) without a head; (B,N,C) if unpooled
    images = tap("image", images)
    x = embed(params["embed"], images, config, ops, tap.inside("embed"))  # eq. 1
    x = encoder(params["blocks"], x, config, ops, tap)  # eq. 2, 3, once per block
    return head(params, x, config, ops, tap)  # eq. 4


def embed(p, images, config, ops, tap):
    # images (B,h,w,c) -> tokens (B,N,D): patches, class token in front, plus positions
    grid = tuple(length // config.patch for length in images.shape[1:3])
    x = tap("patches", ops.patch_embed(images, p["w"], p["b"]))
    if "prefix" in p:
        x = tap("tokens", ops.prepend(x, p["prefix"]))
    position = ops.resize_positions(p["position"], config.grid, grid, config.prefix, config.position_resize)
    return tap("out", x + tap("position", position))


@fusable("encoder")
def encoder(blocks, x, config, ops, tap):
    # x (B,N,D) -> (B,N,D)
    for i, p in enumerate(blocks):
        x = block(p, x, config, ops, tap.inside(f"block{i}"))
    return x


@fusable("block")
def block(p, x, config, ops, tap):
    # x (B,N,D) -> (B,N,D); pre-norm: the residual stream itself is never normalised
    y = tap("ln1.out", ops.layernorm(x, **p["ln1"], eps=config.eps))
    x = tap("resid_mid", x + attention(p["attn"], y, config, ops, tap.inside("attn")))  # eq. 2
    y = tap("ln2.out", ops.layernorm(x, **p["ln2"], eps=config.eps))
    return tap("resid_post", x + mlp(p["mlp"], y, config, ops, tap.inside("mlp")))  # eq. 3


def attention(p, x, config, ops, tap):
    # x (B,N,D) -> (B,N,D); H heads side by side in D = H·K
    q, k, v = split_heads(ops.linear(x, **p["qkv"]), config.heads)
    z = attend(tap("q", q), tap("k", k), tap("v", v), ops, tap)
    return tap("out", ops.linear(merge_heads(z), **p["out"]))


@fusable("attend")
def attend(q, k, v, ops, tap):
    # q, k, v (B,H,N,K) -> (B,H,N,K): softmax(q kᵀ / √K) v
    scores = tap("scores", ops.scores(q, k))
    probs = tap("probs", ops.softmax(scores))
    return tap("z", ops.mix(probs, v))


@fusable("mlp")
def mlp(p, x, config, ops, tap):
    # x (B,N,D) -> (B,N,D), through a hidden layer of width M
    hidden = tap("pre", ops.linear(x, **p["fc1"]))
    hidden = tap("act", ops.gelu(hidden, config.gelu))
    return tap("out", ops.linear(hidden, **p["fc2"]))


def head(params, x, config, ops, tap):
    # x (B,N,D) -> logits (B,C), or the feature itself when the model has no classes
    if config.norm_after_pool:
        y = tap("head.pooled", ops.pool(x, config.pool, config.prefix))
        y = tap("final.norm", ops.layernorm(y, **params["norm"], eps=config.eps))
    else:
        x = tap("final.norm", ops.layernorm(x, **params["norm"], eps=config.eps))
        y = tap("head.pooled", ops.pool(x, config.pool, config.prefix))
    if "representation" in params:
        y = tap("head.pre_tanh", ops.linear(y, **params["representation"]))
        y = tap("head.representation", ops.tanh(y))
    if "head_distill" in params:  # DeiT: a second head reads the distillation token
        by_class = tap("head.class_logits", ops.linear(y, **params["head"]))
        by_teacher = tap("head.distill_logits", ops.linear(x[:, 1], **params["head_distill"]))
        return tap("logits", (by_class + by_teacher) / 2)
    return tap("logits", ops.linear(y, **params["head"])) if "head" in params else y


def split_heads(qkv, heads):
    # qkv (B,N,3D) -> q, k, v, each (B,H,N,K)
    B, N, width = qkv.shape
    return qkv.reshape(B, N, 3, heads, width // (3 * heads)).transpose(2, 0, 3, 1, 4)


def merge_heads(z):
    # z (B,H,N,K) -> (B,N,D)
    B, H, N, K = z.shape
    return z.transpose(0, 2, 1, 3).reshape(B, N, H * K)
