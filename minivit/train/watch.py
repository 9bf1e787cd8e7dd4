"""Looking at a model while it learns: how often it is right, and where it looks."""

import numpy as np

from .. import models
from ..data import Stream
from ..errors import InputError
from ..ops.cross_entropy.ref import one_hot
from ..preprocess import batch
from ..trace import make_tap

PICTURES, BLOCKS = 4, 8  # at most so many are drawn


def test(split, params, config, ops, size=128):
    """(accuracy, mean loss) of a model on all readable pictures of a split, `size` at a time; params: prepared.

    Raises InputError if no picture can be read.
    """
    stream = Stream(split, size, config.image, config.preprocess, shuffle=False)
    right = loss = count = 0
    for images, labels in stream.prefetch(0, stream.steps):
        if len(labels):
            logits = models.of(config).forward(params, images, config, ops)
            right += int((logits.argmax(-1) == labels).sum())
            loss += len(labels) * float(ops.cross_entropy(logits, one_hot(labels, config.classes, dtype=logits.dtype)))
            count += len(labels)
    if not count:
        raise InputError(f"none of the {len(split)} test pictures can be read, expected at least one")
    return right / count, loss / count


def some_pictures(split, config):
    """The first picture of each of the first classes, as the model reads it: (B,h,w,3), without unreadable ones."""
    _, first = np.unique(split.labels, return_index=True)
    pictures, _ = split.take(first[:PICTURES])
    return batch(list(pictures), config.preprocess, config.image) if len(pictures) else np.empty(0)


def attention(images, params, config, ops, title):
    """A Plot of where a model looks: a row per picture (B,h,w,3), normalised, and in it the mean map of some blocks."""
    from ..viz import maps, panels

    tap = make_tap(config, "block*.attn.probs")
    models.of(config).forward(params, images, config, ops, tap)
    grid = rows, columns = config.grid_of(*images.shape[1:3])
    whole = images[:, : rows * config.cell, : columns * config.cell]
    rgb = np.clip(whole * np.float32(config.preprocess.std) + np.float32(config.preprocess.mean), 0, 1)
    blocks = np.unique(np.linspace(0, config.blocks - 1, min(config.blocks, BLOCKS)).round().astype(int))
    figure = panels.new_figure(0.6 + len(rgb) * (panels.WIDTH / (1 + len(blocks)) + 0.2))
    axes = figure.subplots(len(rgb), 1 + len(blocks), squeeze=False)
    for row, picture in zip(axes, rgb, strict=True):
        panels.picture(picture, patch=config.cell)(row[0])
    for i, block in enumerate(blocks, 1):
        who, by_head = maps.readout_map(tap.store[f"block{block}.attn.probs"], config, grid)
        for ax, picture, values in zip(axes[:, i], rgb, by_head.mean(1), strict=True):
            panels.overlay(picture, values, f"block{block}" if ax is axes[0, i] else "")(ax)
    figure.suptitle(f"{title}: attention from the {who} to the patches, mean of the heads", fontsize=11)
    return panels.Plot(figure)
