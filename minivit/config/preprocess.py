"""How a checkpoint wants its pixels, and the ways of the published ones."""

from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Preprocess:
    """How a checkpoint wants its pixels: resize, centre crop, then ``(pixel/255 - mean) / std``.

    fit: "stretch" resizes the whole image to ``resize`` (aspect ratio not kept);
         "shorter" resizes so that the shorter side is ``resize`` (aspect ratio kept), "shorter_rounded" by LiT's rule.
    resize: pixels before the crop, (height, width) for "stretch" or an int for "shorter"; None means the crop's size.
    resample: "tf_bilinear" (TensorFlow: no antialias, float) | "tf_bilinear_uint8" (LiT: then cut off to whole numbers)
         | "bilinear" | "bicubic" | "lanczos" (Pillow: uint8).
    """

    name: str
    resample: str
    fit: str = "stretch"
    resize: tuple[int, int] | int | None = None
    crop_fraction: float | None = None  # timm: shorter side = floor(crop size / crop_fraction)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self):
        if min(self.std) <= 0 or (self.crop_fraction is not None and not 0 < self.crop_fraction <= 1):
            raise InputError(f"preprocessing {self.name}: std must be positive and the crop fraction in (0, 1]")


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

GOOGLE = Preprocess("google", "tf_bilinear")  # vit_jax/input_pipeline.py, mode "test"
HUGGING_FACE = Preprocess("huggingface", "bilinear")  # transformers ViTImageProcessor
TIMM = Preprocess("timm", "bicubic", "shorter", crop_fraction=0.9)  # timm ViT default_cfg
DEIT = Preprocess(  # facebookresearch/deit: 256 -> 224
    "deit", "bicubic", "shorter", crop_fraction=0.875, mean=IMAGENET_MEAN, std=IMAGENET_STD
)
LIT = Preprocess("lit", "tf_bilinear_uint8")  # vit_jax/preprocess.py, crop=False
LIT_CROP = Preprocess("lit-crop", "tf_bilinear_uint8", "shorter_rounded")  # …, crop=True
POLICIES = {policy.name: policy for policy in (GOOGLE, HUGGING_FACE, TIMM, DEIT, LIT, LIT_CROP)}
