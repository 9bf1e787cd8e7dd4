"""Optimisers: functions of flat vectors, in place, a chunk at a time so that the arithmetic stays in the cache.

One protocol:  state = optimiser.start(size, dtype)                            a dict of arrays, to be saved as it is
               optimiser.update(numbers, gradient, state, rate, step)          steps count from 0
All that changes from step to step is in `numbers` and `state`; the optimiser itself is only its settings.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError, nearest
from .vector import CHUNK, chunks

BUFFERS = ("bfloat16", "float32", "float64")


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum:  u = g + μ m,   θ ← θ − rate · u,   m ← u      (no Nesterov, no dampening)

    buffer: the type that m has between steps.  "bfloat16" is the official program, bit for bit (vit_jax/train.py,
    optax `accumulator_dtype`): μ, μ m and m are rounded to bfloat16, but the step is taken with u before it is rounded.
    """

    momentum: float = 0.9
    buffer: str = "bfloat16"

    def __post_init__(self):
        if self.buffer not in BUFFERS:
            raise InputError(f"unknown momentum buffer {self.buffer!r}{nearest(self.buffer, BUFFERS)}")

    def start(self, size, dtype):
        # NumPy has no bfloat16: its 16 bits are kept as an integer
        return {"momentum": np.zeros(size, np.uint16 if self.buffer == "bfloat16" else self.buffer)}

    def update(self, numbers, gradient, state, rate, step):
        # numbers, gradient (P,), changed in place: numbers and state
        rounded = self.buffer == "bfloat16"
        mu = float(round_to_bfloat16(self.momentum)) if rounded else self.momentum
        for span in chunks(len(numbers)):
            m = state["momentum"][span]
            u = gradient[span] + (round_to_bfloat16(mu * from_bfloat16(m)) if rounded else mu * m)
            m[:] = to_bfloat16(u) if rounded else u
            u *= rate
            numbers[span] -= u


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101, algorithm 2; as torch.optim.AdamW).

        m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²      θ ← θ − rate · (λ θ + m̂ / (√v̂ + ε))

    with m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), t = 1 in the first step.  decayed: the spans of θ that λ acts on
    (`Vector.matrices()`), None for all; elsewhere λ is 0.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.05
    decayed: tuple[slice, ...] | None = None

    def start(self, size, dtype):
        return {"mean": np.zeros(size, dtype), "square": np.zeros(size, dtype)}

    def update(self, numbers, gradient, state, rate, step):
        # numbers, gradient (P,), changed in place: numbers and state
        for span in (slice(None),) if self.decayed is None else self.decayed:
            numbers[span] *= 1 - rate * self.weight_decay
        first, second = (1 - beta ** (step + 1) for beta in self.betas)  # what the zeros of the start took away
        spare = np.empty((2, CHUNK), numbers.dtype)
        for span in chunks(len(numbers)):
            a, b = spare[:, : span.stop - span.start]
            g, m, v = gradient[span], state["mean"][span], state["square"][span]
            _towards(m, g, 1 - self.betas[0], a)
            np.multiply(g, g, out=b)
            _towards(v, b, 1 - self.betas[1], a)
            np.multiply(v, 1 / second, out=b)
            np.sqrt(b, out=b)
            b += self.eps
            np.divide(m, b, out=a)
            a *= rate / first
            numbers[span] -= a


def _towards(average, target, share, spare):
    # average ← (1 − share) · average + share · target
    average *= 1 - share
    np.multiply(target, share, out=spare)
    average += spare


def to_bfloat16(x):
    # finite numbers -> uint16, the upper half of each as float32, rounded to nearest even
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bfloat16(bits):
    # uint16 -> float32
    return (bits.astype(np.uint32) << 16).view(np.float32)


def round_to_bfloat16(x):
    # float32 -> float32
    return from_bfloat16(to_bfloat16(x))
