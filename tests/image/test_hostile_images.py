"""Whatever bytes a file holds, the reader gives whole pixels or one clear line."""

import contextlib
import os
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from mutations import mutations
from pictures import PIXELS, encode, npy, png, samples
from PIL import Image, ImageFile

from minivit import image
from minivit.errors import InputError
from minivit.image import load_array, read_pixels

SAMPLES = samples()


@pytest.fixture
def save(tmp_path):
    def save(data, name="picture.png"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return save


def refusal(path, reader=read_pixels):
    """The message that refuses the file: one line that begins with the file's name, without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as caught:
            reader(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in refusal(tmp_path / "cat.jpg")


@pytest.mark.parametrize("name", ["a\0b.png", "a" * 5000 + ".png"])
def test_impossible_names_are_missing_files(name):
    assert "no such file" in refusal(name)


def test_a_folder_is_not_a_picture(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_an_empty_file_is_not_a_picture(save):
    assert "empty" in refusal(save(b""))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes exist on Unix only")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "a device or a pipe" in refusal(tmp_path / "pipe.png")


def test_text_named_jpg_is_not_a_picture(save):
    assert "expected one of JPEG, PNG" in refusal(save(b"just a letter\n" * 9, "letter.jpg"))


def test_formats_off_the_list_are_not_tried(save):
    for form in ("EPS", "ICNS", "PCX"):
        assert "not an image" in refusal(save(encode(Image.fromarray(PIXELS), form)))


@pytest.mark.parametrize("side", [10_001, 12_000, 40_000, 2**31 - 1])
def test_too_many_pixels_are_refused_from_the_header(save, side):
    assert "more than 100 megapixels" in refusal(save(png(side, side, 8, 2, b"\0")))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 50), (5000, 1)])
def test_a_side_of_one_pixel_is_refused(save, width, height):
    assert "nothing to see" in refusal(save(encode(Image.new("RGB", (width, height)), "PNG")))


def test_two_by_two_pixels_are_enough(save):
    assert read_pixels(save(encode(Image.new("RGB", (2, 2)), "PNG"))).shape == (2, 2, 3)


def test_aspect_ratios_beyond_100_are_refused(save):
    assert "longer than 100:1" in refusal(save(encode(Image.new("RGB", (2, 201)), "PNG")))
    assert read_pixels(save(encode(Image.new("RGB", (2, 200)), "PNG"))).shape == (200, 2, 3)


def test_arrays_and_pil_images_have_the_same_limits():
    for source in (np.zeros((1, 9, 3), np.uint8), Image.new("RGB", (9, 1))):
        with pytest.raises(InputError, match="9×1 pixels: nothing to see"):
            read_pixels(source)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_truncated_file_never_gives_other_pixels(save, name):
    data = SAMPLES[name]
    whole = read_pixels(save(data, name))
    refused = 0
    for length in range(0, len(data), 7):
        try:
            np.testing.assert_array_equal(read_pixels(save(data[:length], name)), whole)
        except InputError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("name", ["baseline.jpg", "progressive.jpg", "rgb.png", "palette.png"])
def test_half_a_file_is_an_error_even_if_the_caller_lets_pillow_load_it(save, monkeypatch, name):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    refusal(save(SAMPLES[name][: len(SAMPLES[name]) * 3 // 4], name))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_lazy_pil_image_of_half_a_file_is_an_error(save):
    with Image.open(save(SAMPLES["baseline.jpg"][:700])) as lazy, pytest.raises(InputError, match="the PIL image"):
        read_pixels(lazy)


def test_the_callers_limit_of_pixels_is_neither_used_nor_changed(save, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    assert read_pixels(save(SAMPLES["rgb.bmp"])).shape == PIXELS.shape
    assert Image.MAX_IMAGE_PIXELS == 5


def test_settings_survive_reading_in_several_threads(save, monkeypatch):
    monkeypatch.setattr(image, "_check_shape", lambda *_: time.sleep(0.005))  # so that the threads would meet inside
    path = save(SAMPLES["rgb.png"])
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_pixels, [path] * 12))
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files_give_pixels_or_one_line(save, name):
    for damaged in mutations(SAMPLES[name], count=250, seed=7):
        path = save(damaged, name)
        try:
            pixels = read_pixels(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: ")
            assert len(str(error).splitlines()) == 1
        else:
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3


def test_damaged_files_cause_no_warnings_and_no_log(save, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, data in SAMPLES.items():
            for damaged in mutations(data, count=100, seed=8):
                with contextlib.suppress(InputError):
                    read_pixels(save(damaged, name))
    assert not caplog.records


def test_an_npy_header_that_claims_more_than_the_file_holds_is_refused(save):
    data = npy(np.zeros((2, 3), np.float32))
    claims = data.replace(b"(2, 3), }        ", b"(2000000, 300), }", 1)
    assert len(claims) == len(data) and claims != data
    assert "greater than file size" in refusal(save(claims, "a.npy"), load_array)


def test_a_truncated_npy_file_is_refused(save):
    refusal(save(npy(np.zeros((2, 3), np.float32))[:-1], "a.npy"), load_array)


@pytest.mark.parametrize("shape", [b"(-2, -3), }", b"(2**9, 1),}", b"(4294967296, 4294967296), }"])
def test_senseless_npy_shapes_are_refused(save, shape):
    data = npy(np.zeros((2, 3), np.float32)).replace(b"(2, 3), }" + b" " * (len(shape) - 9), shape, 1)
    refusal(save(data, "a.npy"), load_array)
