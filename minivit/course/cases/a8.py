"""Fast on a GPU: a kernel in the simulator, right in every order of its threads, and attention without an N×N array."""

import numpy as np

from . import Spec, several, sizes
from .cost import Peak, Traffic

SIDE = 8  # of a block of threads, and of a tile


def launch(f, x, w, seed):
    """y = x wᵀ (M,N) of a kernel; seed: of the order in which threads take turns, or None."""
    return run(f, x.reshape(-1), w.reshape(-1), len(x), len(w), seed).reshape(len(x), len(w))


def run(f, x, w, M, N, seed):
    # x (M·K,), w (N·K,) -> y (M·N,)
    from ...gpu import sim

    y, sizes = np.full(M * N, np.nan, np.float32), [np.int64(n) for n in (M, len(x) // M, N)]
    signature = ", ".join(["float32[::1]"] * 3 + ["int64"] * 3)
    try:
        with sim.schedule(seed):
            sim.run(f, (-(-N // SIDE), -(-M // SIDE)), (SIDE, SIDE), signature, [x, w, y, *sizes])
    except sim.KernelError as error:
        if isinstance(error.__cause__, NotImplementedError):  # not wrong: not written yet
            raise error.__cause__ from None
        raise
    return y


def product(M, K, N, seed=None):
    def make(rng):
        x, w = rng.standard_normal((M, K)), rng.standard_normal((N, K))
        return np.float32(x), np.float32(w), seed

    return make


def odd_product(rng):
    return product(*sizes(rng, 3, 9, 20), seed=3)(rng)


def reads(f, x, w, seed):
    """How many numbers a kernel reads from memory, over how many it reads with tiles of SIDE×SIDE."""
    from ..counting import counted

    M, N, x, w = len(x), len(w), counted(x.reshape(-1)), counted(w.reshape(-1))
    run(f, x, w, M, N, seed)
    tiled = x.size * -(-N // SIDE) + w.size * -(-M // SIDE)
    return (x.numbers_read + w.numbers_read) / tiled


def attention(B, H, N, K, tile, times=1.0, steep=False):
    def make(rng):
        q, k, v = (rng.standard_normal((B, H, N, K)) for _ in range(3))
        if steep:  # the first key fits much better than all that follow
            q, k[:, :, 1:] = abs(q) + 1, -abs(k[:, :, 1:])
        return times * q, times * k, v, tile

    return make


def odd_attention(rng):
    B, H, N, K, tile = sizes(rng, 5, 2, 7)
    return attention(B, H, 3 * N + 1, K, tile)(rng)


SPECS = {
    "A8.1": Spec(
        {
            "one tile": product(8, 8, 8),
            "several tiles": product(16, 24, 8),
            "less than a tile": product(3, 5, 2),
            "few rows": product(3, 8, 8),
            "few columns": product(8, 8, 3),
            "threads in another order": product(16, 24, 16, seed=1),
            "and in yet another": product(8, 40, 8, seed=2),
            "odd sizes": odd_product,
        },
        call=launch,
        cost=Traffic(product(32, 16, 24), reads),
        derived=False,
    ),
    "A8.2": Spec(
        {
            "one tile": attention(1, 1, 3, 4, 3),
            "two tiles": attention(1, 1, 6, 4, 3),
            "several heads and images": attention(2, 3, 4, 2, 2),
            "tokens left over": attention(1, 1, 5, 4, 3),
            "large numbers": attention(1, 1, 6, 4, 2, times=40.0),
            "scores that fall": attention(1, 1, 6, 4, 2, times=40.0, steep=True),
            "odd sizes": odd_attention,
        },
        call=several,
        cost=Peak(attention(1, 1, 1024, 8, 32), allowed=3 * 2**20, without="an N×N array"),
    ),
}
