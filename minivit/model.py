"""A loaded model: configuration, parameters and the functions to run it with, in a handful of short methods."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from . import models, names, tiers
from .errors import InputError
from .trace import NO_TAP, Trace, make_tap


@dataclass(frozen=True)
class Prediction:
    """One class of a classified image.  `probability` is the softmax over all classes."""

    index: int
    label: str
    logit: float
    probability: float

    def __str__(self):
        return f"{self.probability:6.1%}  {self.label}"


def ranked(logits, label, count=None):
    # logits (C,) -> the `count` largest (default: all) as Predictions, largest first; label: number of a class -> name
    logits = np.asarray(logits, np.float64)
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    order = np.argsort(-logits, kind="stable")[:count]
    return [Prediction(int(i), label(i), float(logits[i]), float(probabilities[i])) for i in order]


class Model:
    """What `minivit.load` returns.

    `images` below is a file, a Pillow image, a uint8 array (h,w,3), an already preprocessed float array (h,w,c) or
    (B,h,w,c), or a list of files and Pillow images.  `size` is (height, width) in pixels; None: the trained one.
    """

    def __init__(self, config, params, ops=None, labels=None, source=""):
        # params: the canonical tree, or pairs (flat name, array)
        self.config, self.labels, self.source = config, labels, source
        self.ops = ops or tiers.load()
        self.params = self.ops.prepare(params)

    def __repr__(self):
        return f"<{self.config.name} from {self.source or 'arrays'}, tier {self.ops.tier} in {self.ops.dtype}>"

    def preprocess(self, images, size=None):
        """Pixels as the model wants them: (B,h,w,c), by the checkpoint's own policy.

        Float arrays are taken as already preprocessed.  Raises InputError for what is not an image, or holds NaN.
        """
        from .image import load_array
        from .preprocess import batch, check_pixels

        if isinstance(images, (str, Path)) and str(images).lower().endswith(".npy"):
            images = load_array(images)
        if isinstance(images, np.ndarray) and images.dtype != np.uint8:
            pixels = check_pixels(images, self.config.channels)
        else:
            if self.config.channels != 3:
                raise InputError(f"{self.config.name} reads {self.config.channels} channels; give preprocessed arrays")
            several = isinstance(images, (list, tuple)) or getattr(images, "ndim", 3) == 4
            pixels = batch(images if several else [images], self.config.preprocess, size or self.config.image)
        height, width = pixels.shape[1:3]
        if 0 in self.config.grid_of(height, width):
            raise InputError(f"{height}×{width} pixels are less than one patch of {self.config.name}")
        if self.config.family == "mixer":
            self.config.check_image(height, width)
        return pixels.astype(self.ops.activations, copy=False)

    def run(self, images, size=None, patch=None, tap=None, mask=None):
        """The model's output: logits (B,C), or the pooled feature (B,D) of a model without a head.

        patch: {tensor name or pattern: function of the array}, to replace tensors on the way.
        mask: for masked image modelling, whose output is the painted pixels (B,h,w,c): true where a patch is hidden,
            (B,G) or (B,rows,columns); default: nothing is.
        """
        pixels = self.preprocess(images, size)
        tap = tap or make_tap(self.config, patch=patch)
        hidden = {} if mask is None else {"mask": self._mask(mask, pixels)}
        forward = models.of(self.config).forward
        forward = partial(forward, **hidden) if hidden else forward
        return self.ops.run(forward, self.params, pixels, self.config, self.ops, tap)

    __call__ = run

    def _mask(self, mask, pixels):
        # mask (B,G) or (B,rows,columns) -> (B,G)
        if self.config.family != "masked":
            raise InputError(f"{self.config.name} hides no patches; masked image modelling does")
        mask, grid = np.asarray(mask), self.config.grid_of(*pixels.shape[1:3])
        if mask.dtype != bool or mask.shape not in ((len(pixels), grid[0] * grid[1]), (len(pixels), *grid)):
            wanted = f"true or false for {len(pixels)} × {grid[0]}×{grid[1]} patches"
            raise InputError(f"the mask is {mask.dtype} of shape {mask.shape}, expected {wanted}")
        return mask.reshape(len(mask), -1)

    def trace(self, images, keep="*", size=None, patch=None, mask=None):
        """Run and record: a Trace of the tensors whose names match `keep` (a pattern, or several)."""
        tap = make_tap(self.config, keep, patch)
        self.run(images, size, tap=tap, mask=mask)
        return Trace(tap.store, self.config)

    def gradients(self, images, targets, keep=(), size=None):
        """Gradients of the cross-entropy: of the image, of tensors whose names match `keep`, and of the parameters.

        targets: the label of each image, or a distribution over the classes (B,C).
        """
        from . import gradients

        pixels = self.preprocess(images, size)
        targets = gradients.as_targets(targets, self.config, pixels)
        tap = make_tap(self.config, ["image", *names.expand(keep, self.config)])
        found = gradients.loss_and_gradients(self.params, pixels, targets, self.config, self.ops, (NO_TAP, tap))
        return gradients.Gradients(tap.store, self.config, *found)

    def classify(self, images, top=5, size=None):
        """The `top` most probable classes: a list of Prediction, or one such list per image for a list of images."""
        if not self.config.classes:
            raise InputError(f"{self.config.name} has no classification head; use features() instead")
        if "unpooled" in self.config.pool:
            raise InputError(f"{self.config.name} gives logits for every token; load it with pool='token' to classify")
        predictions = [self.top(logits, top) for logits in self.run(images, size)]
        return predictions if isinstance(images, (list, tuple)) else predictions[0]

    def top(self, logits, count=5):
        # logits (C,) -> the `count` largest as Predictions, largest first
        return ranked(logits, self.label, count)

    def label(self, index):
        return self.labels[index] if self.labels else f"class {index}"

    def features(self, images, size=None):
        """{"cls": (B,D), "mean": (B,D), "tokens": (B,N,D)} after the final LayerNorm; "cls" only with a class token.

        "mean" averages the patch tokens; "tokens" has every token, prefix first.
        """
        last = f"block{self.config.blocks - 1}.resid_post"
        tap = make_tap(self.config, last)
        self.run(images, size, tap=tap)
        tokens = np.asarray(self.ops.layernorm(tap.store[last], **self.params["norm"], eps=self.config.eps))
        prefix = self.config.prefix
        return {**({"cls": tokens[:, 0]} if prefix else {}), "mean": tokens[:, prefix:].mean(1), "tokens": tokens}

    def names(self):
        """The names of every tensor of a forward pass, in order; see minivit/names for what they mean."""
        return list(names.of(self.config))
