"""Figures of a traced forward pass."""

import math

import numpy as np

from . import maps, panels

NOTE = (
    "Rows of softmax(q kᵀ / √D_h), not rescaled: what a map lacks to a sum of 1 went to tokens before the patches.\n"
    "Colour runs from 0 to the largest value of each map; the range of its values stands below it."
)


def attention_figure(trace, block=None, name=None):
    """What the image's feature attended to: every head of one block, and the mean of the heads block by block.

    trace: of one image, from a model, with "image" and "block*.attn.probs"; block: the one shown head by head (default:
    the last); name: what to call the model.  Raises InputError if the trace lacks one of these tensors.
    """
    config, rgb = trace.config, visible(trace)
    block = config.blocks - 1 if block is None else block
    grid = config.grid_of(*rgb.shape[:2])
    who, by_head = maps.readout_map(trace[f"block{block}.attn.probs"], config, grid)
    by_depth = [maps.readout_map(trace[f"block{i}.attn.probs"], config, grid)[1].mean(1) for i in range(config.blocks)]

    rows = 1 if config.heads <= 3 else max(2, math.ceil(config.heads / 4))  # the image is as high as all of them
    columns = rows + math.ceil(config.heads / rows)
    per_row = 8 if config.blocks > 12 else min(max(config.blocks, 4), 6)
    shapes = (rows, columns), (math.ceil(config.blocks / per_row), per_row)
    figure, top, bottom, foot = _sections(shapes, np.clip(rgb.shape[0] / rgb.shape[1], 0.4, 2.5))
    figure.suptitle(f"{name or config.name}: attention from the {who} to the patches", fontsize=13, color=panels.INK)
    top.suptitle(f"block{block}.attn.probs, head by head", fontsize=10, color=panels.INK)
    bottom.suptitle("block*.attn.probs, mean of the heads", fontsize=10, color=panels.INK)
    cells = top.add_gridspec(*shapes[0])
    image = panels.picture(rgb, f"the image, {grid[0]}×{grid[1]} patches", config.patch)
    image(top.add_subplot(cells[:, :rows]))
    small = [top.add_subplot(cells[i, j]) for i in range(rows) for j in range(rows, columns)]
    _draw(small, rgb, by_head[0], "head {}")
    _draw(bottom.subplots(*shapes[1], squeeze=False).flat, rgb, [m[0] for m in by_depth], "block{}")
    _legend(foot)
    return panels.Plot(figure)


def visible(trace):
    """The traced image as colours again, cut to whole patches as the model cuts it: (h,w,3), from 0 to 1."""
    # image (B,h,w,3) -> (h,w,3) of the first one
    policy, patch = trace.config.preprocess, trace.config.patch
    rows, columns = trace.config.grid_of(*trace["image"].shape[1:3])
    image = trace["image"][0, : rows * patch, : columns * patch]
    return np.clip(image * np.float32(policy.std) + np.float32(policy.mean), 0, 1)


def _sections(shapes, aspect):
    # a figure of two grids of (rows,columns) pictures of that height/width, and a foot
    heights = [0.4 + rows * (panels.WIDTH / columns * aspect + 0.35) for rows, columns in shapes]
    figure = panels.new_figure(sum(heights) + 0.9)
    return figure, *figure.subfigures(3, 1, height_ratios=[*heights, 0.5])


def _draw(axes, rgb, values, title):
    for i, ax in enumerate(axes):
        if i < len(values):
            panels.overlay(rgb, values[i], title.format(i))(ax)
        else:
            ax.remove()


def _legend(foot):
    foot.text(0.25, 0.55, NOTE, fontsize=8, va="center", color=panels.INK)
    strip = foot.add_axes((0.04, 0.42, 0.16, 0.3))
    strip.imshow([[0.5]], cmap="gray", vmin=0, vmax=1, extent=(0, 1, 0, 1), aspect="auto")
    panels.shade(strip, np.linspace(0, 1, 256)[None], extent=(0, 1, 0, 1), aspect="auto")
    strip.set(xticks=[0, 1], xticklabels=["0", "largest"], yticks=[])
    strip.tick_params(labelsize=8, length=0)
    strip.spines[:].set_color(panels.FAINT)
