"""Every kind of picture becomes the RGB pixels that the published pipelines start from."""

import json
import pickle

import numpy as np
import pytest
from pictures import GOLDEN, PIXELS, encode, exif, npy, png, samples
from PIL import Image

from minivit.errors import InputError
from minivit.image import load_array, read_pixels

IMAGES = GOLDEN / "preprocess__images"
FILES = [entry["file"] for entry in json.loads((IMAGES / "case.json").read_text())["files"]]
GREY = PIXELS[..., 0]
GREY16 = GREY.astype(np.uint16) * 256 + 255  # the low byte must vanish, and nothing may be clipped


def saved(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", FILES)
def test_golden_files_decode_exactly(name):
    decoded = np.load(IMAGES / "decoded.npz")[name]
    pixels = read_pixels(IMAGES / name)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, decoded)


def test_a_path_as_text_a_pil_image_and_an_array_give_the_same_pixels():
    path = IMAGES / "rgb_37x53.png"
    with Image.open(path) as image:
        for source in (str(path), image, np.asarray(image)):
            np.testing.assert_array_equal(read_pixels(source), read_pixels(path))


def test_grey_arrays_are_replicated():
    np.testing.assert_array_equal(read_pixels(GREY), np.stack([GREY] * 3, axis=-1))


@pytest.mark.parametrize("alpha", [0, 128])
def test_alpha_is_dropped_not_composited(alpha):
    rgba = np.dstack([PIXELS, np.full_like(GREY, alpha)])
    np.testing.assert_array_equal(read_pixels(rgba), PIXELS)
    np.testing.assert_array_equal(read_pixels(Image.fromarray(rgba)), PIXELS)


def test_alpha_of_grey_is_dropped():
    grey_alpha = Image.fromarray(np.dstack([GREY, np.zeros_like(GREY)]), "LA")
    np.testing.assert_array_equal(read_pixels(grey_alpha), read_pixels(GREY))


def test_a_transparent_palette_keeps_its_colours(tmp_path):
    opaque = Image.fromarray(PIXELS).quantize(16)
    path = saved(tmp_path, "a.png", encode(opaque, "PNG", transparency=b"\x00\x80"))
    np.testing.assert_array_equal(read_pixels(path), np.asarray(opaque.convert("RGB")))


def test_one_bit_pictures_are_black_and_white():
    bits = GREY > 100
    np.testing.assert_array_equal(read_pixels(Image.fromarray(bits)), read_pixels(bits.astype(np.uint8) * 255))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", encode(Image.fromarray(GREY16), "PNG")),
        ("little.tif", encode(Image.fromarray(GREY16), "TIFF")),
        ("big.tif", encode(Image.fromarray(GREY16.astype(">u2")), "TIFF")),
        ("a.pgm", b"P5 20 24 65535\n" + GREY16.astype(">u2").tobytes()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_16_bit_grey_keeps_its_high_byte(tmp_path, name, data):
    np.testing.assert_array_equal(read_pixels(saved(tmp_path, name, data)), read_pixels(GREY))


def test_16_bit_rgb_keeps_its_high_bytes(tmp_path):
    wide = (PIXELS.astype(">u2") * 256 + 255).astype(">u2").reshape(24, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    path = saved(tmp_path, "a.png", png(20, 24, 16, 2, rows))
    np.testing.assert_array_equal(read_pixels(path), PIXELS)


@pytest.mark.parametrize("values", [GREY16.astype(np.int32) * 2, GREY16.astype(np.int32) - 256])
def test_integers_outside_16_bits_are_refused(tmp_path, values):
    path = saved(tmp_path, "a.tif", encode(Image.fromarray(values), "TIFF"))
    with pytest.raises(InputError, match="expected 16 bits"):
        read_pixels(path)


def test_floating_point_pictures_are_refused(tmp_path):
    path = saved(tmp_path, "a.tif", encode(Image.fromarray(GREY.astype(np.float32)), "TIFF"))
    with pytest.raises(InputError, match=r"a\.tif: floating-point"):
        read_pixels(path)


@pytest.mark.parametrize(("form", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_animations_show_their_first_frame(tmp_path, form, options):
    first = Image.fromarray(PIXELS).quantize(16).convert("RGB")
    frames = encode(first, form, save_all=True, append_images=[first.rotate(180)], **options)
    np.testing.assert_array_equal(read_pixels(saved(tmp_path, "a", frames)), np.asarray(first))


UPRIGHT = {  # what must be done to the stored rows and columns (EXIF 2.3, tag 0x0112)
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("form", ["PNG", "TIFF"])  # Pillow turns a TIFF by itself: it must not be turned twice
def test_exif_orientation_is_applied_once(tmp_path, form, orientation):
    path = saved(tmp_path, "a", encode(Image.fromarray(PIXELS), form, exif=exif(orientation)))
    np.testing.assert_array_equal(read_pixels(path), UPRIGHT[orientation](PIXELS))


@pytest.mark.parametrize("name", samples())
def test_every_sample_format_is_read(tmp_path, name):
    pixels = read_pixels(saved(tmp_path, name, samples()[name]))
    assert pixels.dtype == np.uint8
    assert sorted(pixels.shape) == [3, 20, 24]


def test_uint8_npy_files_are_pixels(tmp_path):
    np.testing.assert_array_equal(read_pixels(saved(tmp_path, "a.NPY", npy(PIXELS))), PIXELS)


def test_fortran_order_npy_files_are_read(tmp_path):
    np.testing.assert_array_equal(load_array(saved(tmp_path, "a.npy", npy(np.asfortranarray(PIXELS)))), PIXELS)


def test_float_arrays_are_not_taken_for_pixels(tmp_path):
    path = saved(tmp_path, "a.npy", npy(PIXELS / 255))
    for source in (path, PIXELS / 255):
        with pytest.raises(InputError, match="expected uint8 pixels, got float64"):
            read_pixels(source)


def test_channels_first_arrays_are_named_as_such():
    with pytest.raises(InputError, match="looks like channels-first"):
        read_pixels(np.ascontiguousarray(PIXELS.transpose(2, 0, 1)))


@pytest.mark.parametrize("shape", [(8,), (8, 8, 1), (8, 8, 5), (2, 8, 8, 3), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match="expected pixels of shape"):
        read_pixels(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("source", [None, 3, b"a.png", [1, 2]])
def test_other_sources_are_refused(source):
    with pytest.raises(InputError, match="expected a path, a PIL image or a uint8 array"):
        read_pixels(source)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was run')",)


def test_pickles_are_never_loaded(tmp_path):
    objects = npy(np.array([None, Bomb()], dtype=object))
    for data in (objects, pickle.dumps(Bomb())):
        with pytest.raises(InputError, match="pickled objects are never loaded"):
            load_array(saved(tmp_path, "a.npy", data))
