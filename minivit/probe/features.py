"""Features of a frozen model's last blocks, side by side:

cls        the class token, through the final LayerNorm                                        D numbers a block
mean       the mean of the patches, through the final LayerNorm                                D
quadrants  the same for each quarter of the picture                                           4·D
hidden     the mean of the MLP's hidden layer after GELU, over the patches                     M (mostly 4·D)
"""

import numpy as np

from ..errors import InputError
from ..evaluate import spread

FEATURES = ("cls", "mean", "quadrants", "hidden")


def extract(
    model, split, blocks=1, batch=32, limit=None, size=None, progress=None, which=("cls", "mean"), mirror=False
):
    """The features of a data.Split: {"cls": (n,·), "mean": (n,·), "labels": (n,)}, or others of FEATURES; see `pooled`.

    mirror: the mean of what a picture and its mirror image give.  As a probe is linear, its logits are then the mean of
    both.  Pictures that cannot be read are left out.  limit, size, progress: as in `evaluate`.
    Raises InputError if no picture can be read, and for more blocks than the model has.
    """
    if not 1 <= blocks <= model.config.blocks:
        raise InputError(f"features of {blocks} blocks: {model.config.name} has {model.config.blocks}")
    indices, parts = spread(len(split), limit), []
    for start in range(0, len(indices), batch):
        pictures, labels = split.take(indices[start : start + batch])
        if len(labels):
            found = pooled(model, pictures, blocks, size, which)
            if mirror:
                other = pooled(model, [np.ascontiguousarray(x[:, ::-1]) for x in pictures], blocks, size, which)
                found = {name: (x + other[name]) / 2 for name, x in found.items()}
            parts.append({**found, "labels": labels})
        if progress:
            progress(min(start + batch, len(indices)), len(indices))
    if not parts:
        raise InputError(f"none of {len(indices)} pictures can be read, expected at least one")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def pooled(model, pictures, blocks=1, size=None, which=("cls", "mean")):
    """Those of FEATURES that are asked for, of the last blocks: (B,blocks·…) each; no "cls" without a class token.

    blocks=1 gives for "cls" and "mean" what `Model.features` does.
    """
    prefix, numbers = model.config.prefix, range(model.config.blocks - blocks, model.config.blocks)
    names = {"resid_post"} | ({"mlp.act"} if "hidden" in which else set())
    trace = model.trace(pictures, [f"block{i}.{name}" for i in numbers for name in names], size)
    found = {name: [] for name in which if name != "cls" or prefix}
    for i in numbers:
        x = model.ops.layernorm(trace[f"block{i}.resid_post"], **model.params["norm"], eps=model.config.eps)
        patches = x[:, prefix:]
        parts = {"cls": x[:, 0], "mean": patches.mean(1)}
        if "quadrants" in which:
            parts["quadrants"] = quadrants(patches, grid_of(model.config, size))
        if "hidden" in which:
            parts["hidden"] = trace[f"block{i}.mlp.act"][:, prefix:].mean(1)
        for name, part in found.items():
            part.append(parts[name])
    return {name: np.concatenate(part, axis=1) for name, part in found.items()}


def grid_of(config, size=None):
    """Rows and columns of patches of a picture of `size`, (height, width), or of the model's own."""
    if size is None:
        return config.grid
    return tuple(cells * length // own for cells, length, own in zip(config.grid, size, config.image, strict=True))


def quadrants(x, grid):
    # x (B,N,D), the patches row by row -> (B,4·D), the means of the four quarters; without a middle row or column
    rows, columns = grid
    x = x.reshape(len(x), rows, columns, -1)
    top, left = max(1, rows // 2), max(1, columns // 2)
    parts = x[:, :top, :left], x[:, :top, -left:], x[:, -top:, :left], x[:, -top:, -left:]
    return np.concatenate([part.mean((1, 2)) for part in parts], axis=1)


def select(features, which):
    """Features from what `extract` found, "cls+mean" for two side by side: (n,·).  InputError for one not there."""
    missing = [name for name in which.split("+") if name not in features or name == "labels"]
    if missing:
        known = [name for name in FEATURES if name in features]
        raise InputError(f"the model gives no feature {missing[0]!r}, expected {' or '.join(known)}")
    return np.concatenate([features[name] for name in which.split("+")], axis=1)
