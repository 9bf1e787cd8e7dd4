"""PyTorch models with minivit's weights, for members of the family that transformers does not have."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def hybrid(tree, config, vit):
    """The hybrid whose parameters are `tree`, in front of a transformers ViT that reads its feature map."""
    return Hybrid(tree["stem"], config.stem, vit).eval()


class Hybrid(nn.Module):
    def __init__(self, p, stem, vit):
        super().__init__()
        self.conv, self.norm = Conv(p["conv"]["w"], 2, stem), norm(p["norm"], stem)
        units = []
        for stage, members in enumerate(p["stages"]):
            units += [Unit(member, 2 if stage and not i else 1, stem) for i, member in enumerate(members)]
        self.units, self.vit = nn.Sequential(*units), vit

    def forward(self, pixels):
        x = F.relu(self.norm(self.conv(pixels)))
        x = F.max_pool2d(F.pad(x, same(x, 3, 2), value=float("-inf")), 3, 2)
        return self.vit(self.units(x))


class Unit(nn.Module):
    def __init__(self, p, stride, stem):
        super().__init__()
        strides = {"conv1": 1, "conv2": stride, "conv3": 1, "proj": stride}
        layers = {name: Conv(p[name]["w"], strides[name], stem) for name in strides if name in p}
        norms = {name: norm(p[name], stem) for name in ("norm1", "norm2", "norm3", "proj_norm") if name in p}
        self.layers = nn.ModuleDict({**layers, **norms})

    def forward(self, x):
        part = self.layers
        shortcut = part["proj_norm"](part["proj"](x)) if "proj" in part else x
        y = F.relu(part["norm1"](part["conv1"](x)))
        y = F.relu(part["norm2"](part["conv2"](y)))
        return F.relu(shortcut + part["norm3"](part["conv3"](y)))


class Conv(nn.Module):
    """A convolution with SAME padding, its weights standardised once."""

    def __init__(self, w, stride, stem):
        super().__init__()
        from minivit.ops.conv.ref import standardise

        w = standardise(w.astype(np.float64), stem.weight_eps, stem.weight_eps_on)
        self.w, self.stride = nn.Parameter(torch.tensor(w.transpose(3, 2, 0, 1), dtype=torch.float32)), stride

    def forward(self, x):
        left, right, top, bottom = pads = same(x, self.w.shape[-1], self.stride)
        if (left, top) == (right, bottom):  # alike on both sides: the convolution itself can pad
            return F.conv2d(x, self.w, stride=self.stride, padding=(top, left))
        return F.conv2d(F.pad(x, pads), self.w, stride=self.stride)


def norm(p, stem):
    made = nn.GroupNorm(stem.groups, len(p["scale"]), stem.norm_eps)
    made.load_state_dict({"weight": torch.tensor(p["scale"]), "bias": torch.tensor(p["bias"])})
    return made


def same(x, side, stride):
    """The padding (left, right, top, bottom) of a map that a SAME convolution wants."""
    pads = []
    for size in map(int, reversed(x.shape[2:])):
        total = max((-(-size // stride) - 1) * stride + side - size, 0)
        pads += [total // 2, total - total // 2]
    return pads


def mixer(tree, config):
    """The MLP-Mixer whose parameters are `tree`."""
    return Mixer(tree, config).eval()


class Mixer(nn.Module):
    def __init__(self, p, config):
        super().__init__()
        self.stem = nn.Conv2d(config.channels, config.width, config.patch, config.patch)
        fill(self.stem, p["embed"]["w"].transpose(3, 2, 0, 1), p["embed"]["b"])
        self.blocks = nn.Sequential(*(MixerBlock(block, config) for block in p["blocks"]))
        self.norm, self.head = layernorm(p["norm"], config), linear(p["head"])

    def forward(self, pixels):
        x = self.blocks(self.stem(pixels).flatten(2).transpose(1, 2))
        return self.head(self.norm(x).mean(1))


class MixerBlock(nn.Module):
    def __init__(self, p, config):
        super().__init__()
        self.norm1, self.token_mlp = layernorm(p["ln1"], config), mlp(p["token_mlp"], config)
        self.norm2, self.mlp = layernorm(p["ln2"], config), mlp(p["mlp"], config)

    def forward(self, x):
        x = x + self.token_mlp(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp(self.norm2(x))


def mlp(p, config):
    return nn.Sequential(linear(p["fc1"]), nn.GELU("tanh" if config.gelu == "tanh" else "none"), linear(p["fc2"]))


def linear(p):
    return fill(nn.Linear(*p["w"].shape), p["w"].T, p["b"])


def layernorm(p, config):
    return fill(nn.LayerNorm(config.width, eps=config.eps), p["scale"], p["bias"])


def fill(layer, weight, bias):
    layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return layer
