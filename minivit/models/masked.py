"""Masked image modelling: patches are hidden, and a linear head paints every patch from its token (SimMIM,
arXiv:2111.09886; transformers, ViTForMaskedImageModeling).  Between the two it is the Vision Transformer of vit.py.
"""

import numpy as np

from ..trace import NO_TAP
from . import vit


def forward(params, images, config, ops, tap=NO_TAP, mask=None):
    # images (B,h,w,c), mask (B,G) true where a patch is hidden -> painted images (B,h,w,c), of whole patches
    images = tap("image", images)
    rows, columns = config.grid_of(*images.shape[1:3])
    x = embed(params["embed"], images, mask, config, ops, tap.inside("embed"))
    x = vit.encoder(params["blocks"], x, config, ops, tap)
    x = tap("final.norm", ops.layernorm(x, **params["norm"], eps=config.eps))
    x = tap("decoder.out", ops.linear(x[:, config.prefix :], **params["decoder"]))
    return tap("painted", pixels(x, rows, columns, config.channels))


def embed(p, images, mask, config, ops, tap):
    # images (B,h,w,c), mask (B,G) -> tokens (B,N,D): vit.embed, with one learned vector in the place of hidden patches
    grid = config.grid_of(*images.shape[1:3])
    x = tap("patches", ops.patch_embed(images, p["w"], p["b"]))
    if mask is not None:
        x = np.where(mask[..., None], p["mask"], x)
    x = tap("tokens", ops.prepend(tap("masked", x), p["prefix"]))
    position = ops.resize_positions(p["position"], config.grid, grid, config.prefix, config.position_resize)
    return tap("out", x + tap("position", position))


def pixels(x, rows, columns, channels):
    # x (B,G,O), O = c·P·P -> (B,rows·P,columns·P,c): torch's PixelShuffle
    side = round((x.shape[-1] / channels) ** 0.5)
    x = x.reshape(len(x), rows, columns, channels, side, side).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(len(x), rows * side, columns * side, channels)
