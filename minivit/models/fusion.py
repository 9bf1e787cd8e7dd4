"""Let a tier do a whole step of a model in one kernel, as long as nobody looks inside it."""

import functools


def fusable(name):
    """Mark a model step `step(…, ops, tap)`: it runs as written, or as ``ops.fused[name](…)`` if that exists.

    As soon as the tap wants a tensor inside, the step runs as written, so every tensor can be seen and replaced.
    """

    def mark(step):
        @functools.wraps(step)
        def run(*inputs):
            *arrays, ops, tap = inputs
            kernel = ops.fused.get(name)
            return kernel(*arrays) if kernel and not tap.active else step(*inputs)

        return run

    return mark
