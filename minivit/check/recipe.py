"""Arrays of a golden case: stored in files, or drawn from a seed where the files would be large."""

import hashlib

import numpy as np

from ..errors import InputError
from ..files import read_arrays


def inputs(case):
    """{"": images, "large/": images of another size if the case has them}, float32 (B,h,w,3)."""
    if "inputs" in case:  # the seed recipe of the real-size cases
        size = case["image_size"]
        images = images_from_seed((case["batch"], *size, 3), case["seeds"]["images"])
        _verify({"images": images}, case["inputs"]["sha256"], "images")
        return {"": images}
    stored = read_arrays(case["folder"] / "inputs.npz")
    found = {"": stored.get("images", stored.get("pixel_values"))}
    large = stored.get("images_large", stored.get("pixel_values_large"))
    if large is not None:
        found["large/"] = large
    channels_first = case["family"] in ("huggingface", "timm", "gradients_huggingface")
    return {part: x.transpose(0, 2, 3, 1) if channels_first else x for part, x in found.items()}


def mask(case):
    """{"mask": (B,G)} of a case of masked image modelling, which patches are hidden; {} of others."""
    if "inputs" in case:
        return {}
    stored = read_arrays(case["folder"] / "inputs.npz")
    return {"mask": stored["bool_masked_pos"]} if "bool_masked_pos" in stored else {}


def parameters(case):
    """Official parameters drawn from the case's seed; checked against its sha256."""
    weights = case["weights"]
    drawn = parameters_from_seed(weights["shapes"], weights["seed"])
    _verify(drawn, weights["sha256"], "parameters")
    return drawn


def parameters_from_seed(shapes, seed):
    """{official key: float32 array}, drawn over the sorted keys from one generator; non-trivial everywhere."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for key in sorted(shapes):
        z = rng.standard_normal(tuple(shapes[key]), dtype=np.float32)
        drawn[key] = _scaled(z, *key.split("/")[-2:])
    return drawn


def _scaled(z, *path):
    # z standard normal, of any shape -> the same shape; the last part of the path says what kind of parameter it is
    leaf, layer = path[-1], path[0]
    if leaf == "kernel":
        per_head = z.ndim == 3 and layer in ("query", "key", "value")  # (D,H,K); others sum over all axes but the last
        inputs = z.shape[0] if per_head else int(np.prod(z.shape[:-1]))
        gain = 1.5 if layer in ("query", "key") else 1.0
        return np.float32(gain / np.sqrt(inputs)) * z
    if leaf == "scale":
        return np.float32(1) + np.float32(0.2) * z
    sizes = {"bias": 0.1, "pos_embedding": 0.3, "cls": 0.5}
    if leaf not in sizes:
        raise InputError(f"the seed recipe does not cover parameters named {leaf!r}")
    return np.float32(sizes[leaf]) * z


def images_from_seed(shape, seed):
    """float32 pixels in [−1, 1)."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32) * np.float32(2) - np.float32(1)


def _verify(named, sha256, what):
    digest = hashlib.sha256()
    for key in sorted(named):
        digest.update(np.ascontiguousarray(named[key], "<f4").tobytes())
    if digest.hexdigest() != sha256:
        raise InputError(f"the {what} drawn from the seed have sha256 {digest.hexdigest()}, the case expects {sha256}")
