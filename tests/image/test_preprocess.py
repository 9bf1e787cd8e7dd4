"""Resize, crop and normalise equal the published pipelines bit by bit."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import GOLDEN, PIXELS
from PIL import Image

from minivit.config import DEIT, GOOGLE, HUGGING_FACE, IMAGENET_MEAN, IMAGENET_STD, TIMM
from minivit.errors import InputError
from minivit.preprocess import batch, centre_crop, normalise, preprocess, resize, resized_shape

DECODED = np.load(GOLDEN / "preprocess__images" / "decoded.npz")
TF = np.load(GOLDEN / "preprocess__vit_jax_inference" / "tensors.npz")
HF = np.load(GOLDEN / "preprocess__hf_vit" / "tensors.npz")
HF13 = np.load(GOLDEN / "preprocess__hf_vit_pillow13" / "tensors.npz")
TIMM_GOLDEN = np.load(GOLDEN / "preprocess__timm" / "tensors.npz")
TIMM_CASES = json.loads((GOLDEN / "preprocess__timm" / "case.json").read_text())["cases"]
BICUBIC_IMAGENET = "rgb_211x300.png@48x72_bicubic_imagenet"


def named(golden):
    """("rgb_37x53.png@64", its pixels, 64) for every square picture of a golden case."""
    squares = [name for name in golden if name != BICUBIC_IMAGENET]
    return [pytest.param(name, name.rsplit("@", 1)[0], int(name.rsplit("@", 1)[1]), id=name) for name in squares]


@pytest.mark.parametrize(("name", "file", "side"), named(TF))
def test_tensorflow_bilinear_is_exact(name, file, side):
    x = preprocess(DECODED[file], GOOGLE, (side, side))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, TF[name])


@pytest.mark.parametrize(("name", "file", "side"), named(HF))
def test_hugging_face_is_exact(name, file, side):
    x = preprocess(DECODED[file], HUGGING_FACE, (side, side))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, HF[name].transpose(1, 2, 0))


def test_hugging_face_bicubic_with_other_statistics_and_a_wide_shape_is_exact():
    policy = replace(HUGGING_FACE, resample="bicubic", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    x = preprocess(DECODED["rgb_211x300.png"], policy, (48, 72))
    np.testing.assert_array_equal(x, HF[BICUBIC_IMAGENET].transpose(1, 2, 0))


@pytest.mark.parametrize(("name", "file", "side"), named(HF13))
def test_the_order_of_passes_of_pillow_13_is_exact(name, file, side):
    height, width = DECODED[file].shape[:2]
    vertical_first = side < height and height - side > 2 * (width - side)  # found by experiment with Pillow 13.0
    resized = resize(DECODED[file], (side, side), "bilinear", vertical_first)
    np.testing.assert_array_equal(normalise(resized, HUGGING_FACE), HF13[name].transpose(1, 2, 0))


@pytest.mark.parametrize("case", TIMM_CASES, ids=lambda case: case["name"])
def test_timm_is_exact(case):
    policy = replace(TIMM, crop_fraction=case["crop_pct"])
    x = preprocess(DECODED[case["file"]], policy, (case["size"], case["size"]))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, TIMM_GOLDEN[case["name"]].transpose(1, 2, 0))


@pytest.mark.skipif("MINIVIT_DATA" not in os.environ, reason="MINIVIT_DATA is not set")
def test_a_photograph_for_deit_is_exact():
    data = Path(os.environ["MINIVIT_DATA"])
    x = preprocess(data / "photos" / "coco_cats.png", DEIT, (224, 224))
    with np.load(data / "deit_tiny" / "coco_cats_trace.npz") as trace:
        np.testing.assert_array_equal(x, trace["pixels"][0].transpose(1, 2, 0))


def test_stretch_then_crop_keeps_the_middle():
    policy = replace(HUGGING_FACE, resize=(32, 30))  # the processor of Hugging Face's DeiT does 256 -> 224
    whole = preprocess(PIXELS, replace(policy, resize=None), (32, 30))
    np.testing.assert_array_equal(preprocess(PIXELS, policy, (24, 20)), whole[4:28, 5:25])


@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos"])
def test_a_single_pass_is_pillows_own(resample):
    theirs = Image.fromarray(PIXELS).resize((13, PIXELS.shape[0]), Image.Resampling[resample.upper()])
    np.testing.assert_array_equal(resize(PIXELS, (PIXELS.shape[0], 13), resample), np.asarray(theirs))


def test_tensorflow_bilinear_does_not_antialias():
    every_fourth_row = np.zeros((8, 8, 3), np.uint8)
    every_fourth_row[::4] = 255
    assert not resize(every_fourth_row, (2, 8), "tf_bilinear").any()  # centres 1.5 and 5.5 see rows 1, 2 and 5, 6 only
    assert resize(every_fourth_row, (2, 8), "bilinear").all()


@pytest.mark.parametrize(("margin", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_odd_margins_round_to_even(margin, expected):
    x = np.arange(10 + margin)[:, None, None] * np.ones((1, 4, 3))
    assert centre_crop(x, (10, 4))[0, 0, 0] == expected


@pytest.mark.parametrize(
    ("shape", "size", "fraction", "expected"),
    [
        ((480, 640), (224, 224), 0.875, (256, 341)),  # int(256 * 640 / 480): cut off, not rounded
        ((427, 640), (224, 224), 0.9, (248, 371)),
        ((480, 640), (224, 320), None, (240, 320)),  # not square: the width decides
        ((300, 640), (224, 320), 0.9, (248, 529)),  # the height decides, and 529.07 is rounded
        ((361, 640), (300, 200), None, (300, 532)),  # 531.86 is rounded
    ],
)
def test_the_shorter_side_follows_torchvision_and_timm(shape, size, fraction, expected):
    assert resized_shape(shape, replace(TIMM, crop_fraction=fraction), size) == expected


def test_an_explicit_resize_decides_the_shorter_side():
    assert resized_shape((480, 640), replace(TIMM, resize=256), (224, 224)) == (256, 341)


SIDES = st.integers(2, 5000)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.sampled_from([None, 0.875, 0.9, 0.95, 1.0]))
def test_the_resized_picture_always_covers_the_crop(shape, size, fraction):
    height, width = resized_shape(shape, replace(TIMM, crop_fraction=fraction), size)
    assert height >= size[0]
    assert width >= size[1]


@given(st.tuples(st.integers(2, 40), st.integers(2, 40)), st.tuples(st.integers(1, 40), st.integers(1, 40)))
@pytest.mark.parametrize("policy", [GOOGLE, HUGGING_FACE, TIMM], ids=lambda policy: policy.name)
def test_a_uniform_picture_stays_uniform_at_every_size(policy, shape, size):
    x = preprocess(np.full((*shape, 3), 51, np.uint8), policy, size)
    assert x.shape == (*size, 3)
    np.testing.assert_array_equal(x, np.full_like(x, x[0, 0, 0]))
    assert abs(x[0, 0, 0] + 0.6) < 1e-6


@pytest.mark.parametrize("size", [(224,), 224, (0, 8), (8, -1), (8.5, 8), "ab", None])
def test_senseless_sizes_are_refused(size):
    with pytest.raises(InputError, match=r"expected a size \(height, width\)"):
        preprocess(PIXELS, GOOGLE, size)


def test_a_crop_larger_than_the_resized_picture_is_refused():
    with pytest.raises(InputError, match="resized to 16×16 pixels, smaller than the crop of 24×24"):
        preprocess(PIXELS, replace(HUGGING_FACE, resize=(16, 16)), (24, 24))


def test_a_resize_beyond_the_pixel_limit_is_refused():
    panorama = np.zeros((2, 200, 3), np.uint8)
    with pytest.raises(InputError, match="200×2 pixels to 120000×1200 takes more than 100 megapixels"):
        preprocess(panorama, replace(TIMM, resize=1200), (1200, 1200))


def test_a_picture_between_the_passes_beyond_the_pixel_limit_is_refused():
    tall = np.zeros((20_000, 200, 3), np.uint8)
    with pytest.raises(InputError, match="more than 100 megapixels"):
        resize(tall, (10, 6000), "bilinear")


@pytest.mark.parametrize(("field", "wrong", "near"), [("resample", "bicubik", "bicubic"), ("fit", "short", "shorter")])
def test_an_unknown_policy_gets_a_hint(field, wrong, near):
    with pytest.raises(InputError, match=f"unknown .* '{wrong}'; did you mean '{near}'"):
        preprocess(PIXELS, replace(TIMM, **{field: wrong}), (8, 8))


def test_a_batch_stacks_pictures_of_different_shapes():
    sources = [PIXELS, PIXELS[:, :9], PIXELS[..., 0]]
    x = batch(sources, TIMM, (8, 6))
    assert x.shape == (3, 8, 6, 3)
    for image, source in zip(x, sources, strict=True):
        np.testing.assert_array_equal(image, preprocess(source, TIMM, (8, 6)))


@pytest.mark.parametrize("sources", ["cat.jpg", Path("cat.jpg"), PIXELS, Image.fromarray(PIXELS), None])
def test_one_picture_is_not_a_batch(sources):
    with pytest.raises(InputError, match=r"for one picture write \[picture\]"):
        batch(sources, TIMM, (8, 8))


def test_an_empty_batch_is_refused():
    with pytest.raises(InputError, match="at least one picture"):
        batch([], TIMM, (8, 8))
