"""What a model costs before it runs: parameters, arithmetic, memory.  Counted, not measured."""

import math

from . import names, params


def flops(config, image=None):
    """Floating-point operations of one image's forward pass: 2 per multiply-add of every matrix product.

    LayerNorm, softmax and GELU add about 1 % and are left out, as is usual.
    """
    rows, columns = config.grid_of(*(image or config.image))
    G, N, D, M = rows * columns, rows * columns + config.prefix, config.width, config.mlp
    patches = 2 * G * config.patch**2 * config.channels * D
    block = 2 * N * D * (3 * D + D + 2 * M) + 2 * 2 * N * N * D  # qkv, out, both MLP layers; scores and mix
    heads = 2 if config.distilled_head else 1
    feature = config.representation or D
    read = N if "unpooled" in config.pool else 1
    representation = 2 * read * D * config.representation if config.representation else 0
    head = 2 * read * feature * config.classes * heads if config.classes else 0
    return patches + config.blocks * block + representation + head


def trace_bytes(config, batch=1, image=None, itemsize=4):
    """Bytes of a trace that keeps every tensor."""
    known = names.of(config).values()
    return itemsize * sum(math.prod(names.shape(tensor, config, batch, image)) for tensor in known)


def activation_bytes(config, batch=1, image=None, itemsize=4):
    """Bytes of activations alive at the worst moment of a NumPy forward pass: in the MLP or in the attention.

    Alive are the stream (twice before the block, once inside) and what the step makes: in the MLP its input and the
    hidden layer before and after GELU; in the attention q, k, v, the scaled q, scores and probabilities.
    """
    rows, columns = config.grid_of(*(image or config.image))
    N, D = rows * columns + config.prefix, config.width
    mlp = 4 * N * D + 2 * N * config.mlp
    attention = 7 * N * D + 2 * config.heads * N * N
    return itemsize * batch * max(mlp, attention)


def learning_bytes(config, batch=1, image=None, itemsize=4):
    """Bytes of activations of a training step of tier "cpu", `batch` images at a time (a part of the recipe's batch).

    Of every block are kept its input, q k v, the heads' result, the stream in the middle and the hidden layer before
    GELU; the backward pass of one block works with six arrays of the widest layer or less (ops/block/training.py); the
    embedding and the head have eight arrays as wide as the stream.
    """
    rows, columns = config.grid_of(*(image or config.image))
    N, D, M = rows * columns + config.prefix, config.width, config.mlp
    kept = config.blocks * (6 * D + M)
    work = 3 * max(3 * D, M) + max(D, M) + D
    return itemsize * batch * N * (kept + work + 8 * D)


def summary(config):
    """The figures of one config as a dict: the row of `minivit zoo`."""
    parameters = params.count(config)
    return {
        "name": config.name,
        "patch": config.patch,
        "width": config.width,
        "blocks": config.blocks,
        "heads": config.heads,
        "mlp": config.mlp,
        "tokens": config.tokens,
        "parameters": parameters,
        "gflops": flops(config) / 1e9,
        "weights_mb": 4 * parameters / 1e6,
        "activations_mb": activation_bytes(config) / 1e6,
        "trace_mb": trace_bytes(config) / 1e6,
        "learning_mb": learning_bytes(config) / 1e6,
    }
