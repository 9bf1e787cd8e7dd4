"""All parameters as one flat vector: what an optimiser, a norm or an average works on.

    vector = Vector(params)
    vector.numbers     (P,)   one array, tensor after tensor
    vector.tree               the canonical tree of minivit/params.py; its arrays are views of `numbers`
    vector.flat               {flat name: view}

The model reads the tree, the optimiser writes the numbers, and both are the same memory.
"""

import numpy as np

from ..params import flatten, nest

#: numbers per chunk: the six arrays of AdamW fit a second-level cache of 1 MB together
CHUNK = 32_768


class Vector:
    """A copy of a parameter tree in one array of that dtype."""

    def __init__(self, tree, dtype=np.float32):
        arrays = flatten(tree)
        self.numbers = np.empty(sum(array.size for array in arrays.values()), dtype)
        self.flat, self.spans, start = {}, {}, 0
        for name, array in arrays.items():
            span = self.spans[name] = slice(start, start + array.size)
            self.flat[name] = self.numbers[span].reshape(array.shape)
            self.flat[name][...] = array
            start = span.stop
        self.tree = nest(self.flat)

    def __len__(self):
        return len(self.numbers)

    def like(self):
        """Zeros of the same layout and dtype: a gradient, for example."""
        zeros = Vector(self.tree, self.numbers.dtype)
        zeros.numbers[:] = 0
        return zeros

    def add(self, tree, weight=1.0):
        """Add weight · tree, in place."""
        arrays = flatten(tree)
        for name, view in self.flat.items():
            view += arrays[name] if weight == 1 else weight * arrays[name]

    def matrices(self):
        """The spans of `numbers` that hold weight matrices: weight decay pulls at these, not at biases, norms, tokens
        and positions (DeiT; timm `no_weight_decay`)."""
        return [span for name, span in self.spans.items() if name.rsplit(".", 1)[-1] == "w"]

    def block_matrices(self):
        """(span, shape, parts) of the matrices of the blocks; query, key and value are three parts side by side."""
        names = [name for name in self.spans if name.startswith("blocks.") and name.endswith(".w")]
        return [(self.spans[name], self.flat[name].shape, 3 if ".qkv." in name else 1) for name in names]


def chunks(size):
    """Slices that cover range(size) in order, each small enough to stay in the cache."""
    return (slice(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))
