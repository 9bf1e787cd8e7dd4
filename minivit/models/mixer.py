"""The MLP-Mixer as one function of arrays (Tolstikhin et al., arXiv:2105.01601, eq. 1): two MLPs take turns.

    U = X + W₂ σ(W₁ LayerNorm(X))      across tokens: every channel, a column of X, goes through the same MLP
    Y = U + σ(LayerNorm(U) W₃) W₄      across channels: every token, a row of U, as in the Vision Transformer

There are no positions: W₁ has a column per token, so it knows where each is, and can read no other number of them.
Parameters are the nested dict of minivit/params.py; `ops` and `tap` are those of vit.py.
"""

import numpy as np

from ..trace import NO_TAP
from .fusion import fusable
from .vit import mlp


def forward(params, images, config, ops, tap=NO_TAP):
    # images (B,h,w,c) -> logits (B,C), or the feature (B,D) without a head
    images = tap("image", images)
    x = embed(params["embed"], images, config, ops, tap.inside("embed"))
    x = mixer(params["blocks"], x, config, ops, tap)
    return head(params, x, config, ops, tap)


def embed(p, images, config, ops, tap):
    # images (B,h,w,c) -> (B,N,D): one vector per patch
    return tap("patches", ops.patch_embed(whole_patches(images, config.patch), p["w"], p["b"]))


def whole_patches(images, patch):
    # images (B,h,w,c) -> (B,rows·P,columns·P,c): SAME padding, zeros on both sides, the odd one below and to the right
    margins = [(-length % patch // 2, (-length % patch + 1) // 2) for length in images.shape[1:3]]
    return np.pad(images, ((0, 0), *margins, (0, 0))) if np.any(margins) else images


@fusable("mixer")
def mixer(blocks, x, config, ops, tap):
    # x (B,N,D) -> (B,N,D)
    for i, p in enumerate(blocks):
        x = block(p, x, config, ops, tap.inside(f"block{i}"))
    return x


@fusable("mixer_block")
def block(p, x, config, ops, tap):
    # x (B,N,D) -> (B,N,D)
    y = tap("ln1.out", ops.layernorm(x, **p["ln1"], eps=config.eps))
    x = tap("resid_mid", x + across_tokens(p["token_mlp"], y, config, ops, tap.inside("token_mlp")))
    y = tap("ln2.out", ops.layernorm(x, **p["ln2"], eps=config.eps))
    return tap("resid_post", x + mlp(p["mlp"], y, config, ops, tap.inside("mlp")))


def across_tokens(p, x, config, ops, tap):
    # x (B,N,D) -> (B,N,D): turned, so that channels are rows, through a hidden layer of width S, and turned back
    channels = tap("in", x.swapaxes(1, 2))
    return mlp(p, channels, config, ops, tap).swapaxes(1, 2)


def head(params, x, config, ops, tap):
    # x (B,N,D) -> logits (B,C), or the mean of all tokens when the model has no classes
    x = tap("final.norm", ops.layernorm(x, **params["norm"], eps=config.eps))
    y = tap("head.pooled", ops.pool(x, config.pool, config.prefix))
    return tap("logits", ops.linear(y, **params["head"])) if "head" in params else y
