"""The Vision Transformer backwards: every function of vit.py in reverse, by the chain rule and nothing else.

A `d` in front of a name means the gradient of the loss with respect to that tensor, of the same shape.  Each function
takes the gradient of what its namesake gave, returns that of what its namesake read (x), and those of its parameters p.
`saved` are tensors of the forward pass by name (see READ); `tap(name, d)` may record or change every gradient.
"""

import numpy as np

from ..trace import NO_TAP
from .fusion import fusable
from .vit import merge_heads

#: What the backward pass reads again: the inputs of products, norms and GELU, the outputs of softmax and tanh.
READ = frozenset((
    *("image", "embed.out", "ln1.out", "attn.q", "attn.k", "attn.v", "attn.probs", "attn.z", "resid_mid", "ln2.out"),
    *("mlp.pre", "mlp.act", "resid_post", "final.norm", "head.pooled", "head.representation"),
))  # fmt: skip
#: Where a tap changed such an output, "<name>.made" is saved too: what softmax or tanh itself gave.
OUTPUTS = frozenset(("attn.probs", "head.representation"))


def backward(params, saved, dout, config, ops, tap=NO_TAP):
    # dout like what `forward` gave -> gradients, a tree like params, and dimages (B,h,w,c)
    last = saved[f"block{config.blocks - 1}.resid_post"]
    dx, grads = head(params, last, saved, dout, config, ops, tap)
    dx, grads["blocks"] = encoder(params["blocks"], saved, dx, config, ops, tap)
    dimages, grads["embed"] = embed(params["embed"], saved["image"], dx, config, ops, tap.inside("embed"))
    return {name: grads[name] for name in params}, tap("image", dimages)


def head(params, x, saved, dout, config, ops, tap):
    # x (B,N,D), dout (B,C), or (B,D) without a head -> dx (B,N,D)
    tokens, feature = saved["final.norm"], saved["head.pooled"]
    if config.norm_after_pool:
        tokens, feature = x, saved["final.norm"]
    dy, dsecond, grads = logits(params, saved.get("head.representation", feature), tokens, dout, ops, tap)
    if "representation" in params:
        dy = ops.backward.tanh(tap("head.representation", dy), made(saved, "head.representation"))
        dy, grads["representation"] = linear(tap("head.pre_tanh", dy), feature, params["representation"], ops)
    if config.norm_after_pool:
        dy, grads["norm"] = layernorm(tap("final.norm", dy), saved["head.pooled"], params["norm"], config, ops)
    dx = ops.backward.pool(tap("head.pooled", dy), x.shape[1], config.pool, config.prefix)
    if dsecond is not None:
        dx[:, 1] += dsecond
    if not config.norm_after_pool:
        dx, grads["norm"] = layernorm(tap("final.norm", dx), x, params["norm"], config, ops)
    return dx, grads


def logits(params, y, tokens, dout, ops, tap):
    # y (B,R), tokens (B,N,D), dout (B,C) -> dy (B,R), and for DeiT the gradient of the second token (B,D)
    if "head" not in params:
        return dout, None, {}
    dout, dsecond, grads = tap("logits", dout), None, {}
    if "head_distill" in params:  # the mean of two heads: half of the gradient to each
        by_teacher = tap("head.distill_logits", dout / 2)
        dsecond, grads["head_distill"] = linear(by_teacher, tokens[:, 1], params["head_distill"], ops)
        dout = tap("head.class_logits", dout / 2)
    dy, grads["head"] = linear(dout, y, params["head"], ops)
    return dy, dsecond, grads


@fusable("encoder_backward")
def encoder(blocks, saved, dx, config, ops, tap):
    # dx (B,N,D) -> dx (B,N,D)
    grads = [None] * len(blocks)
    for i in reversed(range(len(blocks))):
        x = saved[f"block{i - 1}.resid_post" if i else "embed.out"]
        dx, grads[i] = block(blocks[i], x, of_block(saved, i), dx, config, ops, tap.inside(f"block{i}"))
    return dx, grads


def block(p, x, saved, dout, config, ops, tap):
    # x, dout (B,N,D) -> dx (B,N,D); a sum hands its gradient on to both terms: the stream, and what was added to it
    dout = tap("resid_post", dout)
    dy, grads_mlp = mlp(p["mlp"], saved, dout, config, ops, tap.inside("mlp"))
    dy, grads_ln2 = layernorm(tap("ln2.out", dy), saved["resid_mid"], p["ln2"], config, ops)
    dout = tap("resid_mid", dout + dy)
    dy, grads_attn = attention(p["attn"], saved, dout, config, ops, tap.inside("attn"))
    dy, grads_ln1 = layernorm(tap("ln1.out", dy), x, p["ln1"], config, ops)
    return dout + dy, {"ln1": grads_ln1, "attn": grads_attn, "ln2": grads_ln2, "mlp": grads_mlp}


def mlp(p, saved, dout, config, ops, tap):
    # dout (B,N,D) -> dx (B,N,D)
    dy, grads_fc2 = linear(tap("out", dout), saved["mlp.act"], p["fc2"], ops)
    dy = ops.backward.gelu(tap("act", dy), saved["mlp.pre"], config.gelu)
    dx, grads_fc1 = linear(tap("pre", dy), saved["ln2.out"], p["fc1"], ops)
    return dx, {"fc1": grads_fc1, "fc2": grads_fc2}


def attention(p, saved, dout, config, ops, tap):
    # dout (B,N,D) -> dx (B,N,D)
    dz, grads_out = linear(tap("out", dout), merge_heads(saved["attn.z"]), p["out"], ops)
    dq, dk, dv = attend(saved, tap("z", unmerge_heads(dz, config.heads)), ops, tap)
    dx, grads_qkv = linear(unsplit_heads(dq, dk, dv), saved["ln1.out"], p["qkv"], ops)
    return dx, {"qkv": grads_qkv, "out": grads_out}


def attend(saved, dz, ops, tap):
    # dz (B,H,N,K) -> dq, dk, dv (B,H,N,K)
    dprobs, dv = ops.backward.mix(dz, saved["attn.probs"], saved["attn.v"])
    dscores = ops.backward.softmax(tap("probs", dprobs), made(saved, "attn.probs"))
    dq, dk = ops.backward.scores(tap("scores", dscores), saved["attn.q"], saved["attn.k"])
    return tap("q", dq), tap("k", dk), tap("v", dv)


def embed(p, images, dout, config, ops, tap):
    # images (B,h,w,c), dout (B,N,D) -> dimages (B,h,w,c); every image had the same positions, so their gradients add up
    grid = tuple(length // config.patch for length in images.shape[1:3])
    dx, grads = tap("out", dout), {}
    dposition = tap("position", dx.sum(0, keepdims=True))
    if "prefix" in p:
        dx, grads["prefix"] = ops.backward.prepend(tap("tokens", dx), p["prefix"])
    dimages, dw, db = ops.backward.patch_embed(tap("patches", dx), images, p["w"])
    dtable = ops.backward.resize_positions(dposition, config.grid, grid, config.prefix, config.position_resize)
    return dimages, {"w": dw, "b": db, **grads, "position": dtable}


def linear(dout, x, p, ops):
    # dout (...,O), x (...,I) -> dx (...,I)
    dx, dw, db = ops.backward.linear(dout, x, p["w"])
    return dx, {"w": dw, "b": db} if "b" in p else {"w": dw}


def layernorm(dout, x, p, config, ops):
    # dout, x (...,D) -> dx (...,D)
    dx, dscale, dbias = ops.backward.layernorm(dout, x, p["scale"], config.eps)
    return dx, {"scale": dscale, "bias": dbias}


def unmerge_heads(dz, heads):
    # dz (B,N,D) -> (B,H,N,K), the reverse of merge_heads
    B, N, D = dz.shape
    return dz.reshape(B, N, heads, D // heads).transpose(0, 2, 1, 3)


def unsplit_heads(dq, dk, dv):
    # dq, dk, dv, each (B,H,N,K) -> (B,N,3D), the reverse of split_heads
    B, H, N, K = dq.shape
    return np.stack([d.transpose(0, 2, 1, 3) for d in (dq, dk, dv)], axis=2).reshape(B, N, 3 * H * K)


def of_block(saved, i):
    """The saved tensors of one block, without its name in front."""
    start = f"block{i}."
    return {name.removeprefix(start): x for name, x in saved.items() if name.startswith(start)}


def made(saved, name):
    """What the op itself gave, even if a tap changed it afterwards."""
    return saved.get(f"{name}.made", saved[name])
