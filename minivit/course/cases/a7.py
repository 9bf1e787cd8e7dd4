"""Fast on a CPU: two compiled kernels, right and then fast.  All in float32, as kernels are."""

import numpy as np

from . import Spec, sizes
from .cost import Race


def fill(shape):
    """How a kernel that writes into its last argument is called: with a y of that shape, full of NaN."""

    def call(f, *inputs):
        y = np.full(shape(*inputs), np.nan, np.float32)
        f(*inputs, y)
        return y

    return call


def norm(rows, D, eps=1e-6, plus=0.0):
    def make(rng):
        x, scale, bias = rng.standard_normal((rows, D)) + plus, 1 + rng.standard_normal(D), rng.standard_normal(D)
        return np.float32(x), np.float32(scale), np.float32(bias), eps

    return make


def odd_norm(rng):
    rows, D = sizes(rng, 2, 3, 40)
    return norm(rows, D, eps=0.1)(rng)


def linear(rows, inputs, outputs):
    def make(rng):
        x, w, b = (rng.standard_normal(shape) for shape in ((rows, inputs), (inputs, outputs), outputs))
        return np.float32(x), np.float32(w), np.float32(b)

    return make


def odd_linear(rng):
    rows, inputs, outputs = sizes(rng, 3, 3, 40)
    return linear(rows, inputs, outputs)(rng)


def layernorm_reference():
    from ...ops.layernorm.ref import layernorm

    return layernorm


def linear_reference():
    from ...ops.linear.ref import linear

    return linear


SPECS = {
    "A7.1": Spec(
        {
            "one row": norm(1, 4),
            "several rows": norm(3, 4),
            "two numbers": norm(3, 2),
            "far from zero": norm(3, 4, plus=10.0),
            "large eps": norm(3, 4, eps=0.5),
            "odd sizes": odd_norm,
        },
        call=fill(lambda x, *_: x.shape),
        cost=Race(norm(788, 192), layernorm_reference, least=0.4),
        derived=False,
    ),
    "A7.2": Spec(
        {
            "one row": linear(1, 3, 2),
            "several rows": linear(3, 3, 2),
            "many inputs": linear(1, 200, 3),
            "many outputs": linear(1, 2, 700),
            "odd sizes": odd_linear,
        },
        call=fill(lambda x, w, b: (len(x), w.shape[1])),
        cost=Race(linear(197, 192, 576), linear_reference, least=0.1),
        derived=False,
    ),
}
