"""The other side of gpu.py: the same ops and the same Vision Transformer, as PyTorch's libraries do them."""

import torch
from torch import nn
from torch.nn import functional as F


def library(op, tensors):
    """A function without arguments that runs PyTorch's kernel of that op once."""
    x, *others = tensors
    if op == "linear":
        w, b = others[0].T.contiguous(), others[1]  # PyTorch keeps (out, in)
        return lambda: F.linear(x, w, b)
    if op == "attention":
        return lambda: F.scaled_dot_product_attention(x, *others)
    if op == "patch_embed":
        images, w, b = x.permute(0, 3, 1, 2).contiguous(), others[0].permute(3, 2, 0, 1).contiguous(), others[1]
        return lambda: F.conv2d(images, w, b, stride=w.shape[2]).flatten(2).transpose(1, 2)
    if op == "layernorm":
        return lambda: F.layer_norm(x, x.shape[-1:], *others, eps=1e-6)
    return (lambda: F.softmax(x, -1)) if op == "softmax" else lambda: F.gelu(x, approximate="tanh")


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        D = config.width
        self.heads, self.kind = config.heads, "tanh" if config.gelu == "tanh" else "none"
        self.ln1, self.ln2 = nn.LayerNorm(D, config.eps), nn.LayerNorm(D, config.eps)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.fc1, self.fc2 = nn.Linear(D, config.mlp), nn.Linear(config.mlp, D)

    def forward(self, x):
        # x (B,N,D) -> (B,N,D)
        B, N, D = x.shape
        q, k, v = self.qkv(self.ln1(x)).reshape(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, D))
        return x + self.fc2(F.gelu(self.fc1(self.ln2(x)), approximate=self.kind))


class TorchViT(nn.Module):
    """A ViT with a class token, from minivit's parameters.  images (B,h,w,c) -> logits (B,C)."""

    def __init__(self, config, tree):
        super().__init__()
        D = config.width
        self.patches = nn.Conv2d(config.channels, D, config.patch, config.patch)
        self.prefix = nn.Parameter(torch.from_numpy(tree["embed"]["prefix"]))
        self.position = nn.Parameter(torch.from_numpy(tree["embed"]["position"]))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm, self.head = nn.LayerNorm(D, config.eps), nn.Linear(D, config.classes)
        self._fill(tree)

    def forward(self, images):
        x = self.patches(images.permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)
        x = torch.cat([self.prefix.expand(len(x), -1, -1), x], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])

    @torch.no_grad()
    def _fill(self, tree):
        self.patches.weight.copy_(torch.from_numpy(tree["embed"]["w"]).permute(3, 2, 0, 1))
        self.patches.bias.copy_(torch.from_numpy(tree["embed"]["b"]))
        _norm(self.norm, tree["norm"])
        _linear(self.head, tree["head"])
        for block, p in zip(self.blocks, tree["blocks"], strict=True):
            _norm(block.ln1, p["ln1"])
            _norm(block.ln2, p["ln2"])
            for name, part in (("qkv", "attn"), ("out", "attn"), ("fc1", "mlp"), ("fc2", "mlp")):
                _linear(getattr(block, name), p[part][name])


def _norm(layer, p):
    layer.weight.copy_(torch.from_numpy(p["scale"]))
    layer.bias.copy_(torch.from_numpy(p["bias"]))


def _linear(layer, p):
    layer.weight.copy_(torch.from_numpy(p["w"].T.copy()))
    layer.bias.copy_(torch.from_numpy(p["b"]))
