"""Already preprocessed pixels are taken as they are, or refused with the reason."""

import numpy as np
import pytest
from pictures import PIXELS, npy

from minivit.config import TIMM
from minivit.errors import InputError
from minivit.preprocess import check_pixels, preprocess


@pytest.mark.parametrize(("given_type", "kept"), [("f2", "f4"), (">f4", "f4"), ("f4", "f4"), ("f8", "f8")])
def test_float_pixels_become_a_batch_of_native_floats(given_type, kept):
    x = check_pixels(np.ones((4, 6, 3), given_type))
    assert x.shape == (1, 4, 6, 3)
    assert x.dtype == np.dtype(kept)


def test_a_batch_of_pixels_is_not_copied():
    x = np.ones((2, 4, 6, 1), np.float32)
    assert check_pixels(x, channels=1) is x


def test_float_pixels_are_read_from_an_npy_file(tmp_path):
    x = preprocess(PIXELS, TIMM, (8, 8))
    (tmp_path / "x.npy").write_bytes(npy(x))
    np.testing.assert_array_equal(check_pixels(tmp_path / "x.npy"), x[None])


@pytest.mark.parametrize(("bad", "count"), [(np.nan, 1), (np.inf, 2), (-np.inf, 3)])
def test_numbers_that_are_not_finite_are_counted_and_located(bad, count):
    x = np.zeros((2, 4, 5, 3), np.float32)
    x[1, 2, 4, 3 - count :] = bad
    with pytest.raises(InputError, match=rf"{count} of 120 .* NaN or infinite, first at \[1, 2, 4, {3 - count}\]"):
        check_pixels(x)


@pytest.mark.parametrize(("shape", "axes"), [((3, 8, 9), r"\(1, 2, 0\)"), ((2, 3, 8, 9), r"\(0, 2, 3, 1\)")])
def test_channels_first_pixels_are_named_as_such(shape, axes):
    with pytest.raises(InputError, match=rf"look like channels-first, transpose with x.transpose{axes}"):
        check_pixels(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 4), (1, 2, 8, 9, 3), (), (0, 8, 9, 3)])
def test_other_shapes_of_pixels_are_refused(shape):
    with pytest.raises(InputError, match=r"expected pixels of shape \(h,w,3\) or \(B,h,w,3\)"):
        check_pixels(np.zeros(shape, np.float32))


@pytest.mark.parametrize("kind", ["i4", "i8", "u2", "?", "c8", "O", "U3", "M8[s]"])
def test_pixels_that_are_no_floats_are_refused(kind):
    with pytest.raises(InputError, match="expected preprocessed float pixels, got"):
        check_pixels(np.zeros((8, 9, 3), kind))


def test_raw_pixels_are_sent_to_preprocess():
    with pytest.raises(InputError, match="give raw pixels to preprocess"):
        check_pixels(PIXELS)


def test_a_list_is_not_an_array_of_pixels():
    with pytest.raises(InputError, match="expected an array of preprocessed pixels, got list"):
        check_pixels([[[0.0, 0.0, 0.0]]])
