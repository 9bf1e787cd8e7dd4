"""Dropout and stochastic depth: named tensors times random masks, in the forward pass and in its backward.

    dropout               embed.out, attn.out, mlp.act, mlp.out: single numbers    (vit_jax/models_vit.py; timm, DeiT)
    attention dropout     attn.probs: single weights                              (0 in every published configuration)
    stochastic depth      attn.out, mlp.out: the whole branch of an image          (Huang et al., arXiv:1603.09382)

In a Mixer the two layers of token_mlp, its MLP across tokens, take the place of attn.out.
What is kept is divided by the probability of being kept, so every expectation stays what it is without noise.
A mask is a pure function of (seed, step, part, tensor name): the backward pass draws it again instead of keeping it,
and a resumed run repeats it.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np

from ..config import ViTConfig
from ..errors import InputError
from ..names import no_attention


@dataclass(frozen=True)
class Noise:
    """The settings; each rate is the probability of becoming 0.  `at` gives the taps of one forward and backward pass.

    stochastic_depth: the rate of the last block; block l = 1 … L has l / L of it (Huang et al., eq. 4).
    """

    config: ViTConfig
    dropout: float = 0.0
    attention_dropout: float = 0.0
    stochastic_depth: float = 0.0
    seed: int = 0

    def __post_init__(self):
        for name in ("dropout", "attention_dropout", "stochastic_depth"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected a probability of at least 0 and below 1")
        if self.attention_dropout and self.config.family == "mixer":
            raise no_attention(self.config)

    def at(self, step, part=0):
        """(forward tap, backward tap) of one part of the batch of one step: they multiply by the same masks."""
        masks = Masks(self._rates(), (self.seed, step, part))
        return masks, masks

    def _rates(self):
        """{tensor name: (rate per number, rate per image)} of every tensor that is touched."""
        rates, mixer = {"embed.out": (self.dropout, 0.0)}, self.config.family == "mixer"
        for i in range(self.config.blocks):
            depth = self.stochastic_depth * (i + 1) / self.config.blocks
            rates[f"block{i}.attn.probs"] = (self.attention_dropout, 0.0)
            for hidden in ("token_mlp.act", "mlp.act") if mixer else ("mlp.act",):
                rates[f"block{i}.{hidden}"] = (self.dropout, 0.0)
            for branch in ("token_mlp.out" if mixer else "attn.out", "mlp.out"):
                rates[f"block{i}.{branch}"] = (self.dropout, depth)
        return {name: pair for name, pair in rates.items() if any(pair)}


class Masks:
    """A tap that multiplies the tensors named in `rates` by their masks."""

    def __init__(self, rates, key, prefix=""):
        self.rates, self.key, self.prefix = rates, key, prefix

    @property
    def active(self):
        return any(name.startswith(self.prefix) for name in self.rates)

    def inside(self, part):
        return Masks(self.rates, self.key, f"{self.prefix}{part}.")

    def __call__(self, name, x):
        # x (B,…) -> (B,…): a new array, because others may still need the old one
        name = self.prefix + name
        if name not in self.rates:
            return x
        per_number, per_image = self.rates[name]
        rng = np.random.default_rng((*self.key, zlib.crc32(name.encode())))
        if per_image:
            x = x * mask(rng, per_image, (len(x), *[1] * (x.ndim - 1)), x.dtype)
        return x * mask(rng, per_number, x.shape, x.dtype) if per_number else x


def mask(rng, rate, shape, dtype):
    # -> shape: 0 with probability `rate`, otherwise 1 / (1 − rate); the rate is a whole number of 65536ths
    threshold = int(rate * 65536)
    words = rng.integers(0, 2**64, -(-math.prod(shape) // 4), np.uint64)  # four draws each
    kept = words.view(np.uint16)[: math.prod(shape)].reshape(shape) >= threshold
    return kept * np.dtype(dtype).type(65536 / (65536 - threshold))
