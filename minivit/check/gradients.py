"""Golden gradients: of every parameter and of the image, for two sets of labels, one-hot and smoothed.

Only the float64 truth of gradients is stored.  Some are mathematically zero, and what is stored is rounding (1e-17): a
key bias adds the same number to every score of a row, which softmax ignores.
"""

import math
import re

import numpy as np

from .. import checkpoints, tiers
from ..files import read_arrays
from ..model import Model
from ..ops.cross_entropy.ref import one_hot
from ..params import flatten
from . import recipe
from .verdict import FLOAT64, ROUNDING, judge, within

#: float32 against the float64 truth: relative to the largest entry of the same gradient; absolute for the zero ones
FLOAT32, ZERO = 1e-4, 1e-6


def check(case, tier, dtype, against):
    expected = read_arrays(case["folder"] / "tensors.npz")
    names = [tensor["name"] for tensor in case["tensors"]]
    found = against if against is not None else produce(case, tier, dtype)
    largest = max(np.abs(expected[name]).max() for name in names if "/grad" in name)
    noise = case["float32_vs_float64_error_of_the_reference"]["logits"]["max_abs"]
    verdicts = []
    for name in names:
        stem = name.removesuffix("__f64")
        if "/grad" in name:
            verdicts.append(judge_gradient(name, found.get(stem), expected[name], largest, dtype))
        else:  # a loss inherits the noise of the logits; its own, one number, may be tiny by luck
            verdicts.append(judge(name, found.get(stem), expected[name], noise, tier, dtype))
    return verdicts


def judge_gradient(name, found, reference, largest, dtype):
    """The verdict on one gradient; `largest` is the largest number in any gradient of the case."""
    size = np.abs(reference).max()
    if dtype == "float64" or dtype in ROUNDING:
        tolerance = 10 * ROUNDING[dtype] if dtype in ROUNDING else FLOAT64
        return within(name, found, reference, largest, tolerance, "of the largest gradient")
    if size < 1e-12 * largest:
        return within(name, found, reference, 1.0, ZERO, "absolute: this gradient is zero")
    return within(name, found, reference, size, FLOAT32)


def produce(case, tier, dtype):
    """{golden name: our loss, logits or gradient, in the layout of the official weights}."""
    jax = case["family"] == "gradients_vit_jax"
    overrides = {"pool": case["config"]["classifier"]} if "classifier" in case["config"] else {}
    checkpoint = checkpoints.read(case["folder"] / ("weights.npz" if jax else "."), **overrides)
    model = Model(checkpoint.config, checkpoint.params(), tiers.load(tier, dtype))
    images, found = recipe.inputs(case)[""], {}
    for kind, targets in labels(case, model.ops.activations).items():
        gradients = model.gradients(images, targets)
        found |= {f"{kind}/loss": gradients.loss, "logits": gradients.logits}
        for name, gradient in as_official(flatten(gradients.params), checkpoint).items():
            if re.search(r"(^|/)gn\w*/", name):  # published GroupNorms are (1,1,1,C)
                gradient = gradient.reshape(1, 1, 1, -1)
            found[f"{kind}/grad/{name}"] = gradient
        pixels = gradients["image"]
        found[f"{kind}/grad_images"] = pixels if jax else pixels.transpose(0, 3, 1, 2)
    return found


def labels(case, dtype):
    """{"onehot": targets, "smooth": targets}: those that vit_jax stores in float32, or those that PyTorch makes."""
    stored = read_arrays(case["folder"] / "inputs.npz")
    if "labels_onehot" in stored:
        return {kind: stored[f"labels_{kind}"] for kind in ("onehot", "smooth")}
    smoothing = {"onehot": 0.0, "smooth": case["label_smoothing"]}
    return {kind: one_hot(stored["labels"], case["num_classes"], s, dtype) for kind, s in smoothing.items()}


def as_official(flat, checkpoint):
    """{our flat name: array} -> {official name: array}, the reverse of how the checkpoint's reader moves numbers.

    A reader only moves them.  So it is given the numbers 0, 1, 2 … in the official layout, and where it puts them
    tells which entry of ours belongs where.
    """
    official = {}
    for ours, (names, shape, turn) in checkpoint.wanted.items():
        places = np.arange(len(names) * math.prod(shape)).reshape(len(names), *shape)
        parts = np.empty_like(places, dtype=flat[ours].dtype)
        parts.reshape(-1)[turn(*places).reshape(-1)] = flat[ours].reshape(-1)
        official |= {checkpoint.arrays[name].name: part for name, part in zip(names, parts, strict=True)}
    return official
