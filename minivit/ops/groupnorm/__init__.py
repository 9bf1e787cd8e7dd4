"""GroupNorm (Wu, He, arXiv:1803.08494):  y = (x − mean) / √(var + eps) · scale + bias, for every image and group.

x (B,h,w,C), scale (C,), bias (C,) -> (B,h,w,C)      a group is C/groups neighbouring channels, over the whole map;
                                                     var is the biased variance; eps stands inside the root
work: 8 FLOPs per element, read x twice, write y once: limited by memory
official: 32 groups; eps 1e-6 (vit_jax), 1e-5 (timm)

backward, with n = (x − mean) / √(var + eps) and g = dy · scale:
    dx = (g − mean(g) − n · mean(g · n)) / √(var + eps)        means over an image's group
    dscale = Σ dy · n,  dbias = Σ dy                           sums over images, rows and columns
"""
