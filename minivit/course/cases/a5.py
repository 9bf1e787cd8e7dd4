"""Looking inside: query maps, distance, rollout, relevance."""

import numpy as np

from . import Spec, distribution, inside, sizes


def query(B, H, grid, prefix, token):
    def make(rng):
        N = prefix + grid[0] * grid[1]
        return distribution(rng, B, H, N, N), token, prefix, grid

    return make


def odd_query(rng):
    B, H, rows, columns = sizes(rng, 4, 2, 6)
    return query(B, H, (rows, columns), 2, 3)(rng)


def distances(B, H, grid, prefix, patch):
    def make(rng):
        N = prefix + grid[0] * grid[1]
        return distribution(rng, B, H, N, N), prefix, grid, patch

    return make


def odd_distances(rng):
    B, H, rows, columns, patch = sizes(rng, 5, 2, 7)
    return distances(B, H, (rows, columns), 2, patch)(rng)


def blocks(L, B, H, N):
    return lambda rng: ([distribution(rng, B, H, N, N) for _ in range(L)],)


def odd_blocks(rng):
    return blocks(*sizes(rng, 4, 2, 6))(rng)


def uniform(rng):
    return ([np.full((1, 2, 3, 3), 1 / 3)] * 2,)


def with_gradient(B, H, N, sign=None):
    def make(rng):
        gradient = rng.standard_normal((B, H, N, N))
        return distribution(rng, B, H, N, N), np.abs(gradient) * sign if sign else gradient

    return make


def odd_gradient(rng):
    return with_gradient(*sizes(rng, 3, 2, 6))(rng)


def with_gradients(L, B, H, N):
    return lambda rng: (*blocks(L, B, H, N)(rng), [rng.standard_normal((B, H, N, N)) for _ in range(L)])


def odd_gradients(rng):
    return with_gradients(*sizes(rng, 4, 3, 7))(rng)


SPECS = {
    "A5.1": Spec(
        {
            "no token in front": query(1, 1, (2, 2), 0, 1),
            "a class token, which asks": query(1, 1, (2, 2), 1, 0),
            "a patch asks": query(1, 2, (2, 2), 1, 3),
            "higher than wide": query(1, 1, (3, 2), 1, 0),
            "odd sizes": odd_query,
        },
        inside=inside.view("attention"),
    ),
    "A5.2": Spec(
        {
            "two patches of one pixel": distances(1, 1, (1, 2), 0, 1),
            "two patches of four pixels": distances(1, 1, (1, 2), 0, 4),
            "a class token": distances(1, 1, (1, 2), 1, 4),
            "a square of patches": distances(1, 2, (2, 2), 0, 1),
            "odd sizes": odd_distances,
        },
        inside=inside.distances,
    ),
    "A5.3": Spec(
        {
            "one block, one head": blocks(1, 1, 1, 3),
            "one block, two heads": blocks(1, 1, 2, 3),
            "everybody looks everywhere": uniform,
            "two blocks": blocks(2, 1, 1, 3),
            "odd sizes": odd_blocks,
        },
        inside=inside.view("rollout"),
    ),
    "A5.4": Spec(
        {
            "all for the class, one head": with_gradient(1, 1, 3, sign=1),
            "all for the class, two heads": with_gradient(1, 2, 3, sign=1),
            "all against the class": with_gradient(1, 2, 3, sign=-1),
            "for and against": with_gradient(1, 2, 3),
            "odd sizes": odd_gradient,
        },
        inside=inside.view("gradient"),
    ),
    "A5.5": Spec(
        {
            "one block": with_gradients(1, 1, 1, 3),
            "two blocks": with_gradients(2, 1, 2, 3),
            "three blocks": with_gradients(3, 1, 2, 4),
            "odd sizes": odd_gradients,
        },
        inside=inside.view("relevance"),
    ),
}
