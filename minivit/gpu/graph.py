"""A whole forward pass as one CUDA graph: launched once kernel by kernel and recorded, then replayed.

A forward pass of ViT-B is some 90 launches, and Python needs longer for a launch than the GPU for a small kernel.  A
graph is one launch.  It is recorded for a batch and an image size, and keeps the memory that its kernels use.
"""

import warnings
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import numpy as np

from . import compat
from .arrays import DeviceArray, on_device
from .parameters import refuse_too_large

#: graphs to keep, the last used: each holds the memory of a forward pass
KEPT = 4


@dataclass
class Recorded:
    images: DeviceArray  # what `launch` reads
    launch: object  # () -> the output, on the device
    memory: object  # what is used in between
    params: object  # kept, so that their address stays theirs


class Replay:
    """`Ops.run` of tier "gpu": images in, NumPy array out.

    By graph, unless somebody looks inside, an op was replaced, or `forward` is a partial, with inputs of its own.
    """

    def __init__(self):
        self.graphs = OrderedDict()

    def __call__(self, forward, params, images, config, ops, tap):
        # images (B,h,w,c) -> what `forward` gives
        if not isinstance(images, DeviceArray):
            images = np.ascontiguousarray(images, np.float32)
        refuse_too_large(config, images.shape, ops.dtype)
        if compat.SIMULATED or tap.active or not ops.fused or isinstance(forward, partial):
            return np.asarray(forward(params, on_device(images), config, ops, tap))
        graph = self.recorded(forward, params, images, config, ops, tap)
        compat.copy_to(graph.images.data, images)
        return np.asarray(graph.launch())

    def recorded(self, *what):
        forward, params, images, *_ = what
        key = forward, id(params), images.shape
        if key not in self.graphs:
            self.graphs[key] = record(*what)
        self.graphs.move_to_end(key)
        if len(self.graphs) > KEPT:
            self.graphs.popitem(last=False)
        return self.graphs[key]


def record(forward, params, images, config, ops, tap):
    """Run the pass once, which compiles kernels and finds memory; then once more, recorded."""
    memory = compat.Pool()
    with memory:
        buffer = on_device(np.asarray(images))

        def run():
            return forward(params, buffer, config, ops, tap)

        run()
        try:
            replay, output = compat.record(run)
        except compat.NoGraph as error:
            warnings.warn(f"no CUDA graph, so kernels are launched one by one ({error})", stacklevel=4)
            return Recorded(buffer, run, memory, params)

    def launch():
        replay()
        return output

    return Recorded(buffer, launch, memory, params)
