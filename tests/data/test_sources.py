"""Every source gives the pictures and labels that were put in."""

import os
from pathlib import Path

import numpy as np
import pytest
from data_files import pictures, planes, save_cifar, save_folders, save_mnist, save_packed
from PIL import Image

from minivit import data
from minivit.data.cifar import CLASSES


def test_folder_labels_are_places_in_the_sorted_class_names(tmp_path):
    found = data.load(save_folders(tmp_path, classes=("dog", "cat", "Bird")))
    assert found.classes == ("Bird", "cat", "dog")
    taken, labels = found.train.take(np.arange(9))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [int(picture[0, 0, 1]) // 10 for picture in taken] == [2, 2, 2, 1, 1, 1, 0, 0, 0]  # as they were written


def test_folder_splits_are_not_mixed_up(tmp_path):
    found = data.load(save_folders(tmp_path))
    assert [picture[0, 0, 0] for picture in found.train.take(np.arange(6))[0]] == [0] * 6
    assert [picture[0, 0, 0] for picture in found.test.take(np.arange(6))[0]] == [100] * 6


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp", ".bmp"])
def test_a_folder_may_hold_any_format(suffix, tmp_path):
    found = data.load(save_folders(tmp_path, suffix=suffix))
    assert len(found.test) == 6 and found.test.take([0])[0][0].shape == (8, 12, 3)


def test_other_files_and_hidden_ones_are_not_pictures(tmp_path):
    folder = save_folders(tmp_path)
    for name in ("notes.txt", "._0.png", "Thumbs.db"):
        (folder / "test" / "cat" / name).write_text("no picture")
    (folder / "test" / ".cache").mkdir()
    assert len(data.load(folder).test) == 6


def test_a_test_folder_may_lack_a_class(tmp_path):
    save_folders(tmp_path, parts=("train",), classes=("ant", "bee", "cow"))
    save_folders(tmp_path, parts=("test",), classes=("cow", "ant"))
    assert np.unique(data.load(tmp_path).test.labels).tolist() == [0, 2]


def test_labels_are_the_same_without_the_training_split(tmp_path):
    save_folders(tmp_path, parts=("train",), classes=("ant", "bee", "cow"))
    save_folders(tmp_path, parts=("test",), classes=("cow", "bee"))
    whole, only_test = data.load(tmp_path), data.load(tmp_path, train=False)
    assert only_test.train is None and only_test.classes == whole.classes
    assert (only_test.test.labels == whole.test.labels).all()


def test_pictures_are_turned_upright(tmp_path):
    folder = save_folders(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.new("RGB", (12, 8)).save(folder / "test" / "cat" / "0.jpg", exif=exif)
    sides = {picture.shape[:2] for picture in data.load(folder).test.take(np.arange(4))[0]}
    assert sides == {(8, 12), (12, 8)}


@pytest.mark.parametrize("suffix", ["", ".bin"], ids=["python", "binary"])
def test_cifar_batches_give_their_pictures_in_order(suffix, tmp_path):
    found = data.load(save_cifar(tmp_path, suffix))
    assert found.classes == CLASSES
    assert (found.train.pixels == np.concatenate([pictures(4, seed=i) for i in range(5)])).all()
    assert (found.test.pixels == pictures(4, seed=5)).all()
    assert found.test.labels.tolist() == [5, 6, 7, 8]
    assert found.train.labels.tolist() == [i + j for i in range(5) for j in range(4)]


def test_the_first_byte_of_a_cifar_picture_is_its_upper_left_red(tmp_path):
    found = data.load(save_cifar(tmp_path, ".bin"))
    assert found.test.pixels[0, 0, :2, 0].tolist() == planes(pictures(4, seed=5))[0, :2].tolist()


def test_cifar_may_be_only_the_test_batch(tmp_path):
    found = data.load(save_cifar(tmp_path, names=["test_batch"]))
    assert found.train is None and len(found.test) == 4


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_mnist_grey_is_repeated_to_three_channels(packed, tmp_path):
    found = data.load(save_mnist(tmp_path, packed=packed))
    grey = pictures(5, side=28)[..., 0]
    assert all((found.train.pixels[..., channel] == grey).all() for channel in range(3))
    assert found.test.labels.tolist() == [0, 1, 2, 3, 4] and found.classes == tuple("0123456789")


def test_a_packed_file_gives_decoded_pictures(tmp_path):
    smooth = np.full((6, 32, 32, 3), 40 * np.arange(6)[:, None, None, None], np.uint8)
    splits = {"train": (smooth, [0, 1, 2, 3, 4, 9]), "test": (smooth[::-1], [9, 8, 7, 6, 5, 4])}
    found = data.load(save_packed(tmp_path / "cifar10.npz", splits))
    assert abs(found.train.pixels.astype(int) - smooth).max() <= 1
    assert abs(found.test.pixels.astype(int) - smooth[::-1]).max() <= 1
    assert found.test.labels.tolist() == [9, 8, 7, 6, 5, 4]


def test_the_training_split_can_be_left_out(tmp_path):
    splits = {part: (pictures(3), [0, 1, 2]) for part in ("train", "test")}
    assert data.load(save_packed(tmp_path / "cifar10.npz", splits), train=False).train is None
    assert data.load(save_mnist(tmp_path), train=False).train is None
    assert data.load("shapes", train=False).train is None


def test_the_name_of_a_data_set_loads_it_again(tmp_path):
    found = data.load(save_mnist(tmp_path))
    assert (data.load(found.name).test.pixels == found.test.pixels).all()


@pytest.mark.skipif("MINIVIT_DATA" not in os.environ, reason="MINIVIT_DATA is not set: no real pictures")
def test_the_real_packed_file_is_whole():
    found = data.load(Path(os.environ["MINIVIT_DATA"]) / "cifar10" / "cifar10_jpeg.npz", train=False)
    assert np.bincount(found.test.labels).tolist() == [1000] * 10 and not found.test.skipped
