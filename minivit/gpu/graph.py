"""A whole forward pass as one CUDA graph: launched once kernel by kernel and recorded, then replayed.

A forward pass of ViT-B is some 90 launches, and Python needs longer for a launch than the GPU for a small kernel.  A
graph is one launch.  It is recorded for the shapes of its inputs, images or what a text tower reads, and keeps the
memory that its kernels use.
"""

import warnings
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import numpy as np

from . import compat
from .arrays import DeviceArray, dense, on_device
from .formats import FLOAT32
from .parameters import refuse_too_large

#: graphs to keep, the last used: each holds the memory of a forward pass
KEPT = 4


@dataclass
class Recorded:
    inputs: list  # of DeviceArray: what `launch` reads
    launch: object  # () -> the output, on the device
    memory: object  # what is used in between
    params: object  # kept, so that their address stays theirs


class Replay:
    """`Ops.run` of tier "gpu": one array or a tuple of arrays in, NumPy array out.

    By graph, unless somebody looks inside, an op was replaced, or `forward` is a partial, with inputs of its own.
    """

    def __init__(self):
        self.graphs = OrderedDict()

    def __call__(self, forward, params, inputs, config, ops, tap):
        # images (B,h,w,c), or what else `forward` reads -> what it gives
        several = isinstance(inputs, tuple)
        arrays = [_array(x) for x in (inputs if several else (inputs,))]
        if config.family != "text":  # a batch of texts is small
            refuse_too_large(config, arrays[0].shape, ops.dtype)

        def run(given):
            return forward(params, tuple(given) if several else given[0], config, ops, tap)

        if compat.SIMULATED or tap.active or not ops.fused or isinstance(forward, partial):
            return np.asarray(run([on_device(x) for x in arrays]))
        graph = self.recorded((forward, id(params), *(x.shape for x in arrays)), run, arrays, params)
        for buffer, x in zip(graph.inputs, arrays, strict=True):
            compat.copy_to(buffer.data, dense(x).flat if isinstance(x, DeviceArray) else x.reshape(-1))
        return np.asarray(graph.launch())

    def recorded(self, key, *what):
        if key not in self.graphs:
            self.graphs[key] = record(*what)
        self.graphs.move_to_end(key)
        if len(self.graphs) > KEPT:
            self.graphs.popitem(last=False)
        return self.graphs[key]


def _array(x):
    return x if isinstance(x, DeviceArray) else np.ascontiguousarray(x, np.float32)


def record(run, arrays, params):
    """Run the pass once, which compiles kernels and finds memory; then once more, recorded."""
    memory = compat.Pool()
    with memory:
        buffers = [on_device(np.asarray(x), getattr(x, "format", FLOAT32)) for x in arrays]

        def again():
            return run(buffers)

        again()
        try:
            replay, output = compat.record(again)
        except compat.NoGraph as error:
            warnings.warn(f"no CUDA graph, so kernels are launched one by one ({error})", stacklevel=4)
            return Recorded(buffers, again, memory, params)

    def launch():
        replay()
        return output

    return Recorded(buffers, launch, memory, params)
