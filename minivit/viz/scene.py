"""One picture in front of one model: what every figure of plots.py starts from, and the checks of what was asked."""

import numpy as np

from .. import names
from ..errors import InputError, nearest
from ..trace import Trace
from . import maps
from .panels import short


def silent(done, total):
    """Progress that nobody watches: what functions that take long call where no `progress` is given."""


class Scene:
    """A model and one picture, preprocessed: `pixels` (1,h,w,c), its colours `rgb` (h,w,3), its `grid` of patches.

    `Scene.of(model, image)` makes one.  Without a model it shows what a trace kept.
    """

    def __init__(self, config, pixels, model=None, kept=None, name=None):
        self.config, self.pixels, self.model, self._kept = config, pixels, model, dict(kept or {})
        self.rgb = colours(pixels[0], config)
        self.grid = config.grid_of(*pixels.shape[1:3])
        self.name = name or config.name

    @classmethod
    def of(cls, model, image, size=None):
        """Raises InputError if `image` is not one picture."""
        pixels = model.preprocess(image, size)
        if len(pixels) != 1:
            raise InputError(f"expected one picture, got {len(pixels)}; draw a figure for each")
        untrained = model.source == "demo"
        return cls(model.config, pixels, model, name="demo model, never trained" if untrained else None)

    @property
    def asker(self):
        """The token that becomes the image's feature, in words: its row of attention is what the maps show."""
        return "class token" if self.config.prefix and self.config.pool != "gap" else "mean patch"

    def trace(self, keep):
        """A Trace of tensors by pattern; tensors that were recorded before are not computed again."""
        wanted = names.expand(keep, self.config)
        if self.model and not self._kept.keys() >= set(wanted):
            self._kept.update(self.model.trace(self.pixels, wanted))
        return Trace(self._kept, self.config)

    def per_block(self, tensor="attn.probs"):
        """That tensor of every block, first block first."""
        return maps.per_block(self.trace(f"block*.{tensor}"), tensor)

    def row(self, A, patch=None):
        """Where a patch (row, column) looks; without one, where the image's feature looks."""
        # A (B,...,N,N) -> (...,rows,columns)
        if patch:
            return maps.query_map(A, self.token(patch), self.config.prefix, self.grid)[0]
        return maps.readout_map(A, self.config, self.grid)[1][0]

    def token(self, patch):
        """The number among the tokens of a patch (row, column)."""
        return self.config.prefix + patch[0] * self.grid[1] + patch[1]

    def describe(self, patch=None):
        """Whose row `row` gives, in words."""
        return (
            f"patch {patch[0] * self.grid[1] + patch[1]} (row {patch[0]}, column {patch[1]})"
            if patch
            else f"the {self.asker}"
        )

    def logits(self):
        """(C,) of the picture.  Raises InputError for a model that has none, or one set per token."""
        if not self.config.classes or "unpooled" in self.config.pool:
            raise InputError(f"{self.config.name} gives no class for the image; choose a map that needs none")
        return self.trace("logits")["logits"][0]

    def probability(self, index):
        """Of a class, by softmax."""
        logits = self.logits().astype(np.float64)
        return float(1 / np.exp(logits - logits[index]).sum())

    def layer(self, asked):
        """The index of a block; None: the last."""
        return self.config.blocks - 1 if asked is None else _within(asked, self.config.blocks, "layer")

    def head(self, asked):
        """The index of a head; None: all."""
        return None if asked is None else _within(asked, self.config.heads, "head")

    def patch(self, asked):
        """(row, column) of a patch, from its number, "row,column" or a pair; None: none."""
        if asked is None:
            return None
        rows, columns = self.grid
        if isinstance(asked, str):
            asked = [_number(part, "patch", "a number or row,column") for part in asked.split(",")]
            asked = asked[0] if len(asked) == 1 else asked
        if isinstance(asked, (int, np.integer)):
            return divmod(_within(asked, rows * columns, "patch"), columns)
        if len(asked) != 2:
            raise InputError(f"patch {asked}: expected a number or row,column")
        return _within(asked[0], rows, "patch row"), _within(asked[1], columns, "patch column")

    def target(self, asked):
        """The index of a class, from its index or label; None: the most probable one."""
        logits = self.logits()
        if asked is None:
            return int(logits.argmax())
        if isinstance(asked, str) and not asked.strip().lstrip("-").isdigit():
            return self._labelled(asked)
        return _within(int(asked), len(logits), "class")

    def _labelled(self, asked):
        labels = self.model.labels
        if not labels:
            raise InputError(f"class {asked!r}: {self.config.name} has no labels; give an index or --labels FILE")
        known = {}
        for index, label in enumerate(labels):
            for part in (label, *label.split(",")):
                known.setdefault(part.strip().lower(), index)
        if asked.strip().lower() not in known:
            raise InputError(f"no class {asked!r}{nearest(asked, known)}")
        return known[asked.strip().lower()]

    def label(self, index):
        """A class as a title can hold it: "tabby (281)"."""
        first = self.model.label(index).split(",")[0]
        return first if not self.model.labels else f"{short(first, 20)} ({index})"


def colours(pixels, config):
    """Preprocessed pixels as colours again, cut to whole patches as the model cuts them: (h,w,3), from 0 to 1."""
    # pixels (h,w,c) -> (h,w,3)
    policy, cell = config.preprocess, config.cell
    rows, columns = config.grid_of(*pixels.shape[:2])
    pixels = pixels[: rows * cell, : columns * cell]
    if config.channels != 3:  # no colours known: the mean of the channels as grey
        pixels = np.repeat(pixels.mean(-1, keepdims=True), 3, axis=-1)
    return np.clip(pixels * np.float32(policy.std) + np.float32(policy.mean), 0, 1)


def _within(asked, count, what):
    if not 0 <= asked < count:
        raise InputError(f"{what} {asked} is out of range, expected 0 to {count - 1}")
    return int(asked)


def _number(text, what, expected):
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{what} {text!r}: expected {expected}") from None
