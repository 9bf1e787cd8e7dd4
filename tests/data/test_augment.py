"""Augmentation changes what it should, by as much as it should, and nothing else."""

import numpy as np
import pytest
from data_files import pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from minivit.data import Augment, mix
from minivit.data.augment import random_box, random_crop, random_erase, random_flip
from minivit.data.colour import brightness, contrast, saturation, sharpness
from minivit.data.trivial import CHANGES, rotate, solarise, stretch, trivial_augment, warp
from minivit.errors import InputError

ALL = Augment(crop=3, flip=True, auto=True, brightness=0.5, contrast=0.5, saturation=0.5, erase=0.5)
SEEDS = st.integers(0, 2**32)


def random(seed=0):
    return np.random.default_rng(seed)


@given(SEEDS, st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_a_crop_is_a_window_of_the_mirrored_picture(seed, border):
    pixels = pictures(3, side=8)
    around = np.pad(pixels, ((0, 0), (border, border), (border, border), (0, 0)), "reflect")
    for cropped, picture in zip(random_crop(pixels, border, random(seed)), around, strict=True):
        places = [(y, x) for y in range(2 * border + 1) for x in range(2 * border + 1)]
        assert any((picture[y : y + 8, x : x + 8] == cropped).all() for y, x in places)


def test_crops_reach_every_place():
    column = np.tile(np.arange(8, dtype=np.uint8)[:, None, None], (500, 1, 8, 3))
    assert set(random_crop(column, 2, random())[:, 3, 3, 0]) == {1, 2, 3, 4, 5}


def test_flipping_twice_is_nothing():
    pixels = pictures(9)
    flipped = random_flip(pixels, random(5))
    assert (flipped != pixels).any() and (random_flip(flipped, random(5)) == pixels).all()


def test_about_half_are_flipped():
    pixels = pictures(400, side=4)
    changed = (random_flip(pixels, random()) != pixels).any((1, 2, 3)).mean()
    assert 0.4 < changed < 0.6


@given(SEEDS, st.floats(0.01, 1), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_a_random_box_is_a_part_of_the_picture(seed, smallest, more):
    picture = np.arange(20 * 30).reshape(20, 30, 1)
    box = random_box(picture, (smallest, smallest + more * (1 - smallest)), random(seed))
    top, left = divmod(int(box[0, 0, 0]), 30)
    assert box.size and (box == picture[top : top + len(box), left : left + box.shape[1]]).all()


def test_a_box_of_the_whole_area_is_about_the_whole_picture():
    sizes = [random_box(np.zeros((40, 40, 3)), (1, 1), random(seed)).size for seed in range(50)]
    assert min(sizes) >= 4800 * 0.86  # an aspect ratio of 4:3 cuts off √(3/4)


@pytest.mark.parametrize("change", [brightness, contrast, saturation, sharpness])
def test_a_factor_of_one_changes_no_colour(change):
    pixels = pictures(3)
    np.testing.assert_allclose(change(pixels, np.ones(3)), pixels, atol=1e-4)


def test_a_factor_of_zero_leaves_black_the_mean_grey_or_grey():
    pixels, none = pictures(2), np.zeros(2)
    luma = pixels @ [0.299, 0.587, 0.114]
    assert not brightness(pixels, none).any()
    np.testing.assert_allclose(contrast(pixels, none)[1], luma[1].mean(), rtol=1e-5)
    np.testing.assert_allclose(saturation(pixels, none), np.stack([luma] * 3, -1), rtol=1e-5)


def test_strength_belongs_to_each_picture():
    changed = brightness(np.full((2, 4, 4, 3), 100, np.uint8), [0.5, 2])
    assert (changed[0] == 50).all() and (changed[1] == 200).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_type_and_the_range_of_pixels_stay(dtype):
    changed = ALL(pictures(40).astype(dtype), random())
    assert changed.dtype == dtype and changed.min() >= 0 and changed.max() <= 255


def test_the_same_generator_gives_the_same_pictures():
    assert (ALL(pictures(20), random(3)) == ALL(pictures(20), random(3))).all()


def test_the_given_pictures_are_not_written_to():
    pixels = pictures(20)
    ALL(pixels, random())
    assert (pixels == pictures(20)).all()


def test_nothing_asked_for_changes_nothing():
    assert (Augment()(pictures(4), random()) == pictures(4)).all()


def test_erasing_hits_the_asked_share_of_the_pictures():
    hit = (random_erase(np.zeros((500, 16, 16, 3), np.uint8), 0.3, random()) == 128).all(-1)
    assert 0.2 < hit.any((1, 2)).mean() < 0.35
    assert hit.mean((1, 2)).max() <= 0.4


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_keeps_shape_and_stays_finite(change):
    changed = change(pictures(4), np.array([-1, -0.5, 0.5, 1]))
    assert changed.shape == (4, 32, 32, 3) and np.isfinite(changed).all()


def test_the_identity_map_is_exact():
    pixels = pictures(3)
    assert (warp(pixels) == pixels).all()


def test_a_shift_by_whole_pixels_shows_the_neighbours():
    pixels = pictures(2)
    moved = warp(pixels, move_x=np.array([4, -8]) / 32)
    assert (moved[0, :, :-4] == pixels[0, :, 4:]).all() and (moved[0, :, -4:] == 128).all()
    assert (moved[1, :, 8:] == pixels[1, :, :-8]).all() and (moved[1, :, :8] == 128).all()


def test_a_quarter_turn_is_exact():
    pixels = pictures(1)
    np.testing.assert_allclose(rotate(pixels, np.array([3.0])), np.rot90(pixels, axes=(1, 2)), atol=1e-3)


def test_solarising_turns_only_bright_pixels():
    half = solarise(pictures(1), np.array([0.5]))
    assert (half == np.where(pictures(1) >= 128, 255 - pictures(1), pictures(1))).all()


def test_stretching_uses_the_whole_range():
    stretched = stretch(100 + pictures(2) // 4, np.zeros(2))
    assert stretched.min((1, 2)).max() == 0 and abs(stretched.max((1, 2)) - 255).max() < 1e-3


def test_one_change_per_picture():
    changed = trivial_augment(pictures(200), random())
    unchanged = (changed == pictures(200)).all((1, 2, 3)).mean()
    assert 1 / 30 < unchanged < 1 / 4  # one of thirteen is to do nothing


# ---- two pictures in one


def flat_pictures(count):
    """Picture number i has i everywhere, its target is 1 at i: so target and pixels must tell the same."""
    return np.tile(np.arange(count, dtype=np.float32)[:, None, None, None], (1, 10, 12, 3)), np.eye(count, dtype="f4")


@given(SEEDS, st.sampled_from([{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}]))
@settings(max_examples=60, deadline=None)
def test_targets_are_in_proportion_to_the_pixels(seed, alphas):
    images, targets = mix(*flat_pictures(6), random(seed), **alphas)
    np.testing.assert_allclose(targets.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(targets @ np.arange(6), images.mean((1, 2, 3)), rtol=1e-4, atol=1e-4)


def test_cutmix_pastes_one_box():
    images, targets = mix(*flat_pictures(6), random(4), cutmix=1.0)
    pasted = images[..., 0] != np.arange(6)[:, None, None]
    box = pasted[np.argmax(pasted.sum((1, 2)))]
    rows, columns = box.any(1).sum(), box.any(0).sum()
    assert 0 < box.sum() == rows * columns
    assert targets.min(initial=1, where=targets > 0) == pytest.approx(min(box.mean(), 1 - box.mean()))


def test_both_kinds_take_turns():
    kinds = {np.isin(mix(*flat_pictures(6), random(i), 1.0, 1.0)[0], range(6)).all() for i in range(20)}
    assert kinds == {True, False}


def test_mixing_keeps_the_types_and_does_not_write_to_the_batch():
    before = flat_pictures(6)
    images, targets = mix(*before, random(), mixup=0.5, cutmix=0.5)
    assert images.dtype == targets.dtype == np.float32
    assert all((x == y).all() for x, y in zip(before, flat_pictures(6), strict=True))


def test_without_alphas_the_batch_stays():
    images, targets = flat_pictures(3)
    assert mix(images, targets, random()) == (images, targets)


@pytest.mark.parametrize("wrong", [{"area": (0, 1)}, {"area": (0.9, 0.5)}, {"erase": 1.5}, {"crop": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Augment(**wrong)
