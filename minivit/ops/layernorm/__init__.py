"""LayerNorm (Ba, Kiros, Hinton, arXiv:1607.06450):  y = (x − mean) / √(var + eps) · scale + bias, over the last axis.

x (…,D), scale (D,), bias (D,) -> (…,D)      var is the biased variance; eps stands inside the root
work: 8 FLOPs per element, read x once, write y once: limited by memory, so versions are judged by bytes/s
official eps: 1e-6 (JAX, timm), 1e-12 (Hugging Face, BERT)

backward, with n = (x − mean) / √(var + eps) and g = dy · scale:
    dx = (g − mean(g) − n · mean(g · n)) / √(var + eps)        means over the last axis
    dscale = Σ dy · n,  dbias = Σ dy                           sums over all others
"""
