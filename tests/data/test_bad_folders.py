"""What is wrong with a folder of pictures is said in one line; single damaged pictures are left out."""

import gzip

import numpy as np
import pytest
from data_files import refusal, save_folders

from minivit import data
from minivit.config import Preprocess
from minivit.errors import InputError

POLICY = Preprocess("test", "bilinear")


# ---- no data set at all


@pytest.mark.parametrize("source", ["nowhere", "a\0b"])
def test_a_missing_source_is_told_what_was_expected(source):
    assert "no such file" in refusal(source) and "shapes" in refusal(source)


def test_a_folder_of_something_else_tells_what_it_holds(tmp_path):
    (tmp_path / "cat.jpg").touch()
    assert "it holds cat.jpg; expected a folder with {train,test}" in refusal(tmp_path)


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "data.tar.gz").write_bytes(gzip.compress(b"archive"))
    assert "not a data set" in refusal(tmp_path / "data.tar.gz")


# ---- folders


def test_a_missing_test_folder_is_named(tmp_path):
    assert "there is no test/" in refusal(save_folders(tmp_path, parts=("train",)))


def test_an_empty_class_folder_is_named(tmp_path):
    (save_folders(tmp_path) / "train" / "emu").mkdir()
    assert str(tmp_path / "train" / "emu") in refusal(tmp_path)


def test_one_class_only_is_refused(tmp_path):
    assert "only one class (cat)" in refusal(save_folders(tmp_path, classes=("cat",)))


def test_folders_without_classes_are_refused(tmp_path):
    (tmp_path / "test").mkdir()
    assert "no class folders" in refusal(tmp_path)


def test_a_class_that_only_the_test_folder_has_is_named(tmp_path):
    save_folders(tmp_path, parts=("train",), classes=("cat", "dog"))
    save_folders(tmp_path, parts=("test",), classes=("cat", "dgo"))
    assert "did you mean 'dog'" in refusal(tmp_path)


def damaged_folder(tmp_path, which=("0.png",)):
    folder = save_folders(tmp_path)
    for name in which:
        (folder / "train" / "cat" / name).write_bytes(b"\x89PNG damaged")
    return folder, [str(folder / "train" / "cat" / name) for name in which]


def test_a_damaged_picture_is_left_out_named_once_and_counted(tmp_path):
    folder, (damaged,) = damaged_folder(tmp_path)
    train = data.load(folder).train
    with pytest.warns(UserWarning, match="skipped") as said:
        taken = [train.take(np.arange(6)) for _ in range(3)]
    assert len(said) == 1 and damaged in str(said[0].message)
    assert list(train.skipped) == [damaged]
    assert all(len(got) == 5 and labels.tolist() == [0, 0, 1, 1, 1] for got, labels in taken)


def test_the_batch_is_smaller_by_the_damaged_pictures(tmp_path):
    folder, _ = damaged_folder(tmp_path)
    stream = data.Stream(data.load(folder).train, 6, (8, 8), POLICY)
    with pytest.warns(UserWarning):
        images, labels = stream.batch(0)
    assert images.shape == (5, 8, 8, 3) and sorted(labels) == [0, 0, 1, 1, 1]


def test_a_batch_of_damaged_pictures_stops_the_training(tmp_path):
    folder, _ = damaged_folder(tmp_path, [f"{i}.png" for i in range(3)])
    stream = data.Stream(data.load(folder).train, 1, (8, 8), POLICY)
    with pytest.warns(UserWarning), pytest.raises(InputError, match="none of its 1 pictures can be read"):
        list(stream.prefetch(0, 6))
