"""The MLP-Mixer backwards: every function of mixer.py in reverse; how to read it is said in vit_backward.py."""

from ..trace import NO_TAP
from .mixer import whole_patches
from .vit_backward import layernorm, linear, of_block

#: What the backward pass reads again: the inputs of products, norms and GELU.
READ = frozenset((
    *("image", "embed.patches", "token_mlp.in", "token_mlp.pre", "token_mlp.act", "resid_mid", "ln2.out"),
    *("mlp.pre", "mlp.act", "resid_post", "head.pooled"),
))  # fmt: skip
OUTPUTS = frozenset()  # no softmax, no tanh


def backward(params, saved, dout, config, ops, tap=NO_TAP):
    # dout like what `forward` gave -> gradients, a tree like params, and dimages (B,h,w,c)
    last = saved[f"block{config.blocks - 1}.resid_post"]
    dx, grads = head(params, last, saved, dout, config, ops, tap)
    dx, grads["blocks"] = mixer(params["blocks"], saved, dx, config, ops, tap)
    dimages, grads["embed"] = embed(params["embed"], saved["image"], dx, config, ops, tap.inside("embed"))
    return {name: grads[name] for name in params}, tap("image", dimages)


def head(params, x, saved, dout, config, ops, tap):
    # x (B,N,D), dout (B,C), or (B,D) without a head -> dx (B,N,D)
    grads = {}
    if "head" in params:
        dout, grads["head"] = linear(tap("logits", dout), saved["head.pooled"], params["head"], ops)
    dx = ops.backward.pool(tap("head.pooled", dout), x.shape[1], config.pool, config.prefix)
    dx, grads["norm"] = layernorm(tap("final.norm", dx), x, params["norm"], config, ops)
    return dx, grads


def mixer(blocks, saved, dx, config, ops, tap):
    # dx (B,N,D) -> dx (B,N,D)
    grads = [None] * len(blocks)
    for i in reversed(range(len(blocks))):
        x = saved[f"block{i - 1}.resid_post" if i else "embed.patches"]
        dx, grads[i] = block(blocks[i], x, of_block(saved, i), dx, config, ops, tap.inside(f"block{i}"))
    return dx, grads


def block(p, x, saved, dout, config, ops, tap):
    # x, dout (B,N,D) -> dx (B,N,D)
    dout = tap("resid_post", dout)
    hidden = saved["mlp.pre"], saved["mlp.act"]
    dy, grads_mlp = mlp(p["mlp"], saved["ln2.out"], *hidden, dout, config, ops, tap.inside("mlp"))
    dy, grads_ln2 = layernorm(tap("ln2.out", dy), saved["resid_mid"], p["ln2"], config, ops)
    dout = tap("resid_mid", dout + dy)
    dy, grads_token_mlp = across_tokens(p["token_mlp"], saved, dout, config, ops, tap.inside("token_mlp"))
    dy, grads_ln1 = layernorm(tap("ln1.out", dy), x, p["ln1"], config, ops)
    return dout + dy, {"ln1": grads_ln1, "token_mlp": grads_token_mlp, "ln2": grads_ln2, "mlp": grads_mlp}


def across_tokens(p, saved, dout, config, ops, tap):
    # dout (B,N,D) -> dx (B,N,D)
    read, *hidden = saved["token_mlp.in"], saved["token_mlp.pre"], saved["token_mlp.act"]
    dx, grads = mlp(p, read, *hidden, dout.swapaxes(1, 2), config, ops, tap)
    return tap("in", dx).swapaxes(1, 2), grads


def mlp(p, x, pre, act, dout, config, ops, tap):
    # x, dout (B,rows,inputs), pre, act (B,rows,hidden) -> dx (B,rows,inputs)
    dy, grads_fc2 = linear(tap("out", dout), act, p["fc2"], ops)
    dy = ops.backward.gelu(tap("act", dy), pre, config.gelu)
    dx, grads_fc1 = linear(tap("pre", dy), x, p["fc1"], ops)
    return dx, {"fc1": grads_fc1, "fc2": grads_fc2}


def embed(p, images, dout, config, ops, tap):
    # images (B,h,w,c), dout (B,N,D) -> dimages (B,h,w,c)
    padded = whole_patches(images, config.patch)
    dpadded, dw, db = ops.backward.patch_embed(tap("patches", dout), padded, p["w"])
    top, left = ((big - small) // 2 for big, small in zip(padded.shape[1:3], images.shape[1:3], strict=True))
    height, width = images.shape[1:3]
    return dpadded[:, top : top + height, left : left + width], {"w": dw, "b": db}
