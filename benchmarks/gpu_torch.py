"""The other side of gpu.py: the same ops and the same models, as PyTorch's libraries do them."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from minivit.models.hybrid import units
from minivit.ops.conv.ref import padding, standardise


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
    if op in ("conv", "groupnorm", "max_pool"):
        return library_of_maps(op, x.permute(0, 3, 1, 2), others)  # in memory, channels stay last
    if op == "relu":
        return lambda: F.relu(x)
    return (lambda: F.softmax(x, -1)) if op == "softmax" else lambda: F.gelu(x, approximate="tanh")


def library_of_maps(op, x, others):
    """The same for x (B,c,h,w); what comes out is (B,h,w,c)."""
    if op == "conv":
        w = others[0].permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        return lambda: F.conv2d(x, w, padding="same").permute(0, 2, 3, 1)
    if op == "groupnorm":
        return lambda: F.group_norm(x, 32, *others, eps=1e-6).permute(0, 2, 3, 1)
    return lambda: pooled(x).permute(0, 2, 3, 1)


def same(x, side, stride, value=0.0):
    # x (B,c,h,w) -> with what SAME padding adds
    rows, columns = (padding(length, side, stride) for length in x.shape[2:])
    return F.pad(x, (*columns, *rows), value=value)


def pooled(x):
    # x (B,c,h,w) -> (B,c,⌈h/2⌉,⌈w/2⌉)
    return F.max_pool2d(same(x, 3, 2, float("-inf")), 3, 2)


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
        self.patches = nn.Conv2d(config.patch_channels, D, config.patch, config.patch)
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


class Step(nn.Module):
    """A convolution, whose weights are standardised here and now, and the GroupNorm behind it."""

    def __init__(self, p, norm, stride, stem):
        super().__init__()
        w = torch.from_numpy(standardise(p["w"].astype(np.float64), stem.weight_eps, stem.weight_eps_on))
        w = w.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        self.weight, self.stride = nn.Parameter(w), stride
        self.norm = nn.GroupNorm(stem.groups, len(w), stem.norm_eps)
        _norm(self.norm, norm)

    def forward(self, x):
        return self.norm(F.conv2d(same(x, self.weight.shape[2], self.stride), self.weight, stride=self.stride))


class Unit(nn.Module):
    def __init__(self, p, stride, stem):
        super().__init__()
        self.steps = nn.Sequential(
            Step(p["conv1"], p["norm1"], 1, stem), nn.ReLU(), Step(p["conv2"], p["norm2"], stride, stem), nn.ReLU(),
            Step(p["conv3"], p["norm3"], 1, stem),
        )  # fmt: skip
        self.shortcut = Step(p["proj"], p["proj_norm"], stride, stem) if "proj" in p else nn.Identity()

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.steps(x))


class TorchHybrid(TorchViT):
    """A ResNet in front of it."""

    def __init__(self, config, tree):
        super().__init__(config, tree)
        p = tree["stem"]
        self.root = Step(p["conv"], p["norm"], 2, config.stem)
        self.units = nn.Sequential(*(Unit(member, stride, config.stem) for _, _, member, stride in units(p)))

    def forward(self, images):
        features = self.units(pooled(F.relu(self.root(images.permute(0, 3, 1, 2)))))
        return super().forward(features.permute(0, 2, 3, 1))


def torch_model(config, tree):
    """That model in PyTorch, with those parameters."""
    return (TorchHybrid if config.family == "hybrid" else TorchViT)(config, tree)


@torch.no_grad()
def _norm(layer, p):
    layer.weight.copy_(torch.from_numpy(p["scale"]))
    layer.bias.copy_(torch.from_numpy(p["bias"]))


def _linear(layer, p):
    layer.weight.copy_(torch.from_numpy(p["w"].T.copy()))
    layer.bias.copy_(torch.from_numpy(p["b"]))
