"""Golden images: decoding, and the resize, crop and normalisation of each official pipeline.

The cases start from the image files of the folder `preprocess__images` beside them, already decoded, because JPEG
decoders may differ by a grey level or two.
"""

import re
from dataclasses import replace

from ..config import GOOGLE, HUGGING_FACE, IMAGENET_MEAN, IMAGENET_STD, LIT, LIT_CROP, TIMM
from ..errors import InputError
from ..files import read_arrays
from ..image import read_pixels
from ..preprocess import centre_crop, normalise, resize, resized_shape
from .verdict import exact, judge


def check(case, tier, dtype, against):
    if "files" in case:
        return _decoding(case)
    policy, channels_first = _pipeline(case)
    decoded = read_arrays(case["folder"].parent / "preprocess__images" / "decoded.npz")
    expected = read_arrays(case["folder"] / "tensors.npz")
    noise = case.get("float32_vs_float64_error_of_the_reference")
    verdicts = []
    for name in (tensor["name"] for tensor in case["tensors"]):
        file, _, options = name.partition("@")
        x = _process(decoded[file], *_settings(policy, options), new_pillow=_is_new(case))
        x = x.transpose(2, 0, 1) if channels_first else x
        if noise:  # float arithmetic: as close as rounding allows
            verdicts.append(judge(name, x, expected[name], noise[name]["max_abs"], tier, "float32"))
        else:  # uint8 arithmetic: equal
            verdicts.append(exact(name, x, expected[name]))
    return verdicts


def _decoding(case):
    decoded = read_arrays(case["folder"] / "decoded.npz")
    verdicts = []
    for file in (entry["file"] for entry in case["files"]):
        levels = 2 if file.endswith(".jpg") else 0
        verdicts.append(exact(file, read_pixels(case["folder"] / file), decoded[file], levels))
    return verdicts


def _pipeline(case):
    """(policy, whether the tensors are channels-first) of the library that made the case."""
    package = str(case["source"].get("package", ""))
    if package.startswith("transformers"):
        return HUGGING_FACE, True
    if package.startswith("timm"):
        return TIMM, True
    if "PreprocessImages" in case["notes"][0]:
        return LIT, False
    if "test" in case["notes"][0] and "tensorflow" in case["source"]:
        return GOOGLE, False
    raise InputError(f"{case['folder']}: minivit does not have the preprocessing of this case")


def _settings(policy, options):
    """What follows the @ of a name: "224", "64_0.875" (crop fraction), "48x72_bicubic_imagenet", "48_crop1" (LiT)."""
    size, *more = options.split("_")
    height, width = re.fullmatch(r"(\d+)(?:x(\d+))?", size).groups()
    if more == ["bicubic", "imagenet"]:
        policy = replace(policy, resample="bicubic", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    elif more[:1] in (["crop0"], ["crop1"]):
        policy = LIT_CROP if more == ["crop1"] else LIT
    elif more:
        policy = replace(policy, crop_fraction=float(more[0]))
    return policy, (int(height), int(width or height))


def _process(pixels, policy, size, new_pillow):
    # pixels (h,w,3) uint8 -> (height,width,3) float32: minivit.preprocess, with the pass order of the case's Pillow
    shape = resized_shape(pixels.shape[:2], policy, size)
    shorter, narrower = pixels.shape[0] - shape[0], pixels.shape[1] - shape[1]
    vertical_first = new_pillow and shorter > max(0, 2 * narrower)
    return normalise(centre_crop(resize(pixels, shape, policy.resample, vertical_first), size, policy.fit), policy)


def _is_new(case):
    """True if the case was made with Pillow 13 or later, which may start with the vertical pass."""
    return int(str(case["source"].get("pillow", "0")).split(".")[0]) >= 13
