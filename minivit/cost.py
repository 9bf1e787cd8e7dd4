"""What a model costs before it runs: parameters, arithmetic, memory.  Counted, not measured."""

import math

from . import names, params

#: Bytes of a number of a weight matrix, as tier "cpu" keeps it
ITEMSIZES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}


def flops(config, image=None):
    """Floating-point operations of one image's forward pass: 2 per multiply-add of every matrix product.

    LayerNorm, softmax and GELU add about 1 % and are left out, as is usual.  Of LiT it is the image tower alone: texts
    are embedded once, and not for every image.
    """
    if config.family == "lit":
        config = config.img
    height, width = image or config.image
    rows, columns = config.grid_of(height, width)
    G, N, D, M = rows * columns, rows * columns + config.prefix, config.width, config.mlp
    patches = 2 * G * config.patch**2 * config.patch_channels * D
    mixing = 2 * N * D * (3 * D + D) + 2 * 2 * N * N * D  # qkv, out; scores and mix
    if config.family == "mixer":
        mixing = 2 * 2 * D * N * config.token_mlp
    stem = stem_flops(config.stem, height, width, config.channels) if config.family == "hybrid" else 0
    return stem + patches + config.blocks * (mixing + 2 * N * 2 * D * M) + _head_flops(config, G, N)


def _head_flops(config, G, N):
    D = config.width
    if config.family == "masked":
        return 2 * G * D * config.patch**2 * config.channels
    representation = getattr(config, "representation", None)
    read = N if "unpooled" in config.pool else 1
    heads = 2 if getattr(config, "distilled_head", False) else 1
    head = (representation or D) * (config.classes or 0) * heads
    return 2 * read * (D * (representation or 0) + head)


def stem_flops(stem, height, width, channels=3):
    """The same for the ResNet of a hybrid."""
    return sum(2 * out * math.prod(kernel) for kernel, out, _ in _convolutions(stem, height, width, channels))


def _convolutions(stem, height, width, channels):
    """(shape of the kernel, cells of the map that it makes, numbers of the shortcut beside it) of every convolution."""

    def cells(side):
        return -(-height // side) * -(-width // side)

    yield (7, 7, channels, stem.width), cells(2), 0
    for name, inner, outer, inputs, projected in stem.layers():
        stage = int(name.split(".")[1])
        after = cells(4 * 2**stage)
        before = cells(2 * 2**stage) if projected and stage else after
        if projected:
            yield (1, 1, inputs, outer), after, 0
        yield (1, 1, inputs, inner), before, after * outer
        yield (3, 3, inner, inner), after, after * outer
        yield (1, 1, inner, outer), after, after * outer


def weight_bytes(config, dtype="float32"):
    """Bytes of a model's parameters as tier "cpu" keeps them: matrices in that dtype, vectors in float32."""
    total = 0
    for name, shape in params.shapes(config).items():
        # a Mixer has these turned, too, a ResNet standardised
        kept = 2 if (".token_mlp." in name or name.startswith("stem.")) and name.endswith(".w") else 1
        total += kept * math.prod(shape) * (ITEMSIZES[_kept_as(name, dtype)] if name.endswith(".w") else 4)
    return total


def _kept_as(name, dtype):
    if name.startswith("stem.") and dtype != "float64":  # see ops/conv/packed.py
        return "float32"
    if dtype != "int8":
        return dtype
    from .ops.linear.packed import kept_as

    return kept_as(name, dtype)


def trace_bytes(config, batch=1, image=None, itemsize=4):
    """Bytes of a trace that keeps every tensor."""
    known = names.of(config).values()
    return itemsize * sum(math.prod(names.shape(tensor, config, batch, image)) for tensor in known)


def activation_bytes(config, batch=1, image=None, itemsize=4):
    """Bytes of activations alive at the worst moment of a NumPy forward pass: in the stem, an MLP or the attention.

    Alive are the stream (twice before the block, once inside) and what the step makes: in the MLP its input and the
    hidden layer before and after GELU; in the attention q, k, v, the scaled q, scores and probabilities.  In a stem
    it is the shortcut, and a convolution's windows, or its result four times in GroupNorm, or its weights twice while
    they are standardised.
    """
    if config.family == "lit":
        config = config.img
    height, width = image or config.image
    rows, columns = config.grid_of(height, width)
    N, D = rows * columns + config.prefix, config.width
    worst = [4 * N * D + 2 * N * config.mlp]
    if config.family == "mixer":
        worst.append(4 * N * D + 2 * D * config.token_mlp)
    else:
        worst.append(7 * N * D + 2 * config.heads * N * N)
    if config.family == "hybrid":
        for kernel, cells, shortcut in _convolutions(config.stem, height, width, config.channels):
            made = cells * kernel[3]
            windows = cells * math.prod(kernel[:3])
            worst.append(shortcut + max(windows + made, 4 * made, 2 * math.prod(kernel)))
    return itemsize * batch * max(worst)


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
    """The figures of one config as a dict: the row of `minivit zoo`.  Sizes of a LiT are those of its image tower."""
    tower = config.img if config.family == "lit" else config
    return {
        "name": config.name,
        "patch": tower.patch,
        "width": tower.width,
        "blocks": tower.blocks,
        "heads": getattr(tower, "heads", None),
        "mlp": tower.mlp,
        "tokens": tower.tokens,
        "parameters": params.count(config),
        "gflops": flops(config) / 1e9,
        **{f"{dtype}_mb": weight_bytes(config, dtype) / 1e6 for dtype in ("float32", "bfloat16", "int8")},
        "activations_mb": activation_bytes(config) / 1e6,
        "trace_mb": trace_bytes(tower) / 1e6,
        "learning_mb": learning_bytes(config) / 1e6 if config.family == "vit" else None,
    }
