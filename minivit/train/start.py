"""Where a run starts: fresh parameters as vit_jax draws them, or a checkpoint, with a new head for new classes."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import params
from ..errors import InputError
from ..ops.positions.ref import resize_positions
from .mimetic import mimetic

INITIALS = ("vit_jax", "mimetic")
START = 3  # a random stream of its own: data.Stream has 0 and 1, learner.py has 2


def initial(config, seed=0, kind="vit_jax"):
    """A tree of float32 parameters to train from scratch (vit_jax/models_vit.py; flax.linen.initializers).

    Attention and MLP matrices are Xavier-uniform (query, key and value each for itself), MLP biases N(0, 1e-6),
    positions N(0, 0.02), convolutions, the patch embedding and the representation LeCun-normal, the scales of norms
    one, but that of the last norm of a ResNet's unit zero: it begins as its shortcut.  The rest is zero, the head too:
    the first prediction is the same for all classes.  kind: "mimetic" draws attention and positions as mimetic.py does.
    """
    rng = np.random.default_rng((seed, START))
    flat = {name: _drawn(name, shape, rng) for name, shape in params.shapes(config).items()}
    if kind == "mimetic":
        mimetic(config, flat, rng)
    return params.nest(flat)


def _drawn(name, shape, rng):
    # -> (shape) float32; where nothing is drawn, rng stays as it is
    *_, layer, leaf = name.split(".")
    if leaf == "scale":
        return np.full(shape, layer != "norm3", np.float32)
    if layer in ("qkv", "out", "fc1", "fc2") and leaf == "w":
        outputs = shape[1] // 3 if layer == "qkv" else shape[1]
        limit = math.sqrt(6 / (shape[0] + outputs))
        return rng.uniform(-limit, limit, shape).astype(np.float32)
    if layer in ("fc1", "fc2"):
        return (1e-6 * rng.standard_normal(shape)).astype(np.float32)
    if leaf == "position":
        return (0.02 * rng.standard_normal(shape)).astype(np.float32)
    if name in ("embed.w", "representation.w") or (name.startswith("stem.") and leaf == "w"):
        return _lecun_normal(shape, rng)
    return np.zeros(shape, np.float32)


def _lecun_normal(shape, rng):
    # normal numbers cut at two standard deviations, then stretched so that their variance is 1 / inputs
    z = rng.standard_normal(shape)
    while (outside := np.abs(z) > 2).any():
        z[outside] = rng.standard_normal(outside.sum())
    return (z / (0.87962566103423978 * math.sqrt(math.prod(shape[:-1])))).astype(np.float32)


def adapted(config, tree, dataset, size=None, labels=None):
    """(config, tree) of a trained model made ready to learn a dataset: what fine-tuning starts from.

    labels: the names of the model's classes.  If they are the dataset's, in its order, the head stays; otherwise it is
    zero, one column per class, and a tanh layer in front of it is left out, as vit_jax/checkpoint.py does.
    The position table is resized once to `size` (height, width), by the config's own mode.
    Raises InputError for a size of less than one patch, or other than a Mixer's own, and for a model that does not
    read RGB.
    """
    size = size or config.image
    if min(config.grid_of(*size)) < 1:
        raise InputError(f"size {size[0]}×{size[1]} is less than one patch of {config.cell} pixels")
    if config.channels != 3:
        raise InputError(f"{config.name} reads {config.channels} channels, expected 3 (RGB) to learn from pictures")
    if config.family == "mixer":
        config.check_image(*size)
    pool = {"unpooled": "gap", "token_unpooled": "token"}.get(config.pool, config.pool)
    flat = params.flatten(tree)
    changed = replace(config, image=size, preprocess=_fit(config, size))
    if pool != config.pool:
        changed = replace(changed, pool=pool)
    if pool != config.pool or labels is None or tuple(labels) != tuple(dataset.classes):
        changed = _for_classes_of(dataset, changed)
        heads = {n: shape for n, shape in params.shapes(changed).items() if n.startswith("head")}
        flat |= {name: np.zeros(shape, np.float32) for name, shape in heads.items()}
    if "embed.position" in flat:
        flat["embed.position"] = resize_positions(
            flat["embed.position"], config.grid, changed.grid, config.prefix, config.position_resize
        )
    return changed, params.nest({name: flat[name] for name in params.shapes(changed)})


def _for_classes_of(dataset, config):
    name = f"{config.name} on {Path(dataset.name).name}"
    changed = replace(config, name=name, classes=len(dataset.classes))
    return changed if config.family == "mixer" else replace(changed, representation=None)


def _fit(config, size):
    # a resize in pixels belongs to the old size; what stays is the fraction that the crop leaves
    policy = config.preprocess
    if policy.resize is None or size == config.image:
        return policy
    before = policy.resize if isinstance(policy.resize, int) else policy.resize[0]
    return replace(policy, resize=None, crop_fraction=min(1.0, config.image[0] / before))
