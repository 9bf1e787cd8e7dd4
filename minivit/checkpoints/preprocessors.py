"""The preprocessing that a checkpoint asks for: the JSON of Hugging Face or timm -> Preprocess."""

from dataclasses import replace

from ..config import IMAGENET_MEAN, IMAGENET_STD, POLICIES, Preprocess

#: Pillow's numbers of its filters, as Hugging Face stores them.
FILTERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
#: timm's crop_mode -> fit
FITS = {"center": "shorter", "squash": "stretch"}
HALF = (0.5, 0.5, 0.5)


def huggingface(settings, family, image):
    """preprocessor_config.json -> Preprocess; what it leaves out has the default of the family's image processor.

    Raises InputError for steps that minivit does not have.  Source: transformers, image_processing_vit and _deit.
    """
    for step in ("do_resize", "do_rescale"):
        if not settings.get(step, True):
            raise settings.wrong(f"{step} is off, expected images to be resized and divided by 255")
    if abs(settings.fraction("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
        raise settings.wrong(f"rescale_factor is {settings.get('rescale_factor')}, expected 1/255")
    resample = settings.get("resample", 3 if family == "deit" else 2)
    if type(resample) is not int or resample not in FILTERS:
        raise settings.wrong(f"resample is {resample!r}, expected one of {FILTERS}")
    fit, resize, fraction = _huggingface_size(settings, family, image)
    mean, std = _mean_std(settings, "image_", HALF, HALF)
    if not settings.get("do_normalize", True):
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return _known(Preprocess(f"huggingface {family}", FILTERS[resample], fit, resize, fraction, mean, std))


def _huggingface_size(settings, family, image):
    """(fit, resize, crop fraction): a centre crop cuts ``size`` to the model's image, else the two are the same."""
    crops, size = settings.get("do_center_crop", family == "deit"), settings.get("size")
    final = settings.pair("crop_size", image) if crops else image
    if crops and size is None and final == image:
        return "stretch", None, 224 / 256
    if isinstance(size, dict) and "shortest_edge" in size:
        fit, resize = "shorter", settings.table("size").whole("shortest_edge")
        smallest = (resize, resize)
    else:
        fit, smallest = "stretch", settings.pair("size", image)
        resize = None if smallest == image else smallest
    if final != image or (not crops and resize is not None) or smallest[0] < image[0] or smallest[1] < image[1]:
        raise settings.wrong(f"it makes images of {final if crops else smallest} pixels, but the model reads {image}")
    return fit, resize, None


def timm(settings):
    """pretrained_cfg of a timm config.json -> Preprocess; what it leaves out has timm's default (timm/data/config.py).

    Raises InputError for an interpolation or a crop that minivit does not have.
    """
    resample, mode = settings.get("interpolation", "bicubic"), settings.get("crop_mode", "center")
    if resample not in FILTERS.values():
        raise settings.wrong(f"interpolation is {resample!r}, expected one of {', '.join(FILTERS.values())}")
    crop = settings.fraction("crop_pct", 0.875)
    mean, std = _mean_std(settings, "", IMAGENET_MEAN, IMAGENET_STD)
    if mode not in list(FITS):
        raise settings.wrong(f"crop_mode is {mode!r}, expected one of {', '.join(FITS)}")
    return _known(Preprocess("timm config", resample, FITS[mode], None, crop, mean, std))


def _mean_std(settings, prefix, mean, std):
    mean, std = settings.colours(prefix + "mean", mean), settings.colours(prefix + "std", std)
    if min(std) <= 0:
        raise settings.wrong(f"{prefix}std is {std}, expected positive numbers")
    return mean, std


def _known(policy):
    """The published policy of the same values, or else this one."""
    return next((known for known in POLICIES.values() if replace(policy, name=known.name) == known), policy)
