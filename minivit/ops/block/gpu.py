"""A block of the Vision Transformer on the GPU: seven launches.

Bias, GELU and the residual stream are part of the products (gpu/tiles.py), q, k and v are read where their product
wrote them, side by side, and attention writes what the next product reads: nothing is copied.
"""

from ...models.vit import merge_heads, split_heads
from ..attention.gpu import attend
from ..layernorm.gpu import layernorm
from ..linear.gpu import linear, product


def block(p, x, config):
    # x (B,N,D) -> (B,N,D)
    y = layernorm(x, **p["ln1"], eps=config.eps)
    x = attention(p["attn"], y, x, config)
    y = layernorm(x, **p["ln2"], eps=config.eps)
    return product(mlp_hidden(p["mlp"], y, config), **p["mlp"]["fc2"], residual=x)


def attention(p, x, residual, config):
    # x, residual (B,N,D) -> (B,N,D)
    q, k, v = split_heads(linear(x, **p["qkv"]), config.heads)
    return product(merge_heads(attend(q, k, v)), **p["out"], residual=residual)


def mlp(p, x, config):
    # x (B,N,D) -> (B,N,D)
    return linear(mlp_hidden(p, x, config), **p["fc2"])


def mlp_hidden(p, x, config):
    # x (B,N,D) -> (B,N,M)
    return product(x, **p["fc1"], gelu=config.gelu)
