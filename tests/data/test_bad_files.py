"""What is wrong with the files of a data set is said in one line, before training starts."""

import gzip
import pickle
import struct

import numpy as np
import pytest
from data_files import TRAIN, idx, pictures, python_batch, refusal, save_cifar, save_mnist, save_packed
from mutations import mutations

from minivit import data
from minivit.errors import InputError

# ---- CIFAR-10 batches


class Harmful:
    def __reduce__(self):
        return (print, ("this code must never run",))


def test_a_harmful_pickle_is_refused_and_not_run(tmp_path, capsys):
    save_cifar(tmp_path, names=["test_batch"])
    (tmp_path / "test_batch").write_bytes(pickle.dumps({"data": Harmful()}, protocol=2))
    assert "pickles can run code" in refusal(tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("suffix", ["", ".bin"])
def test_a_missing_batch_is_named(suffix, tmp_path):
    save_cifar(tmp_path, suffix, names=[*TRAIN[:2], *TRAIN[3:], "test_batch"])
    assert f"data_batch_3{suffix}: this batch is missing" in refusal(tmp_path)


@pytest.mark.parametrize("suffix", ["", ".bin"])
def test_a_truncated_batch_is_refused(suffix, tmp_path):
    path = save_cifar(tmp_path, suffix) / f"data_batch_2{suffix}"
    path.write_bytes(path.read_bytes()[:-100])
    assert path.name in refusal(tmp_path)


def test_a_batch_with_more_labels_than_pictures_is_refused(tmp_path):
    save_cifar(tmp_path, names=["test_batch"])
    (tmp_path / "test_batch").write_bytes(python_batch(pictures(3), [1, 2, 3, 4]))
    assert "9216 bytes of pixels for 4 labels" in refusal(tmp_path)


def test_a_label_out_of_range_is_refused(tmp_path):
    save_cifar(tmp_path, names=["test_batch"])
    (tmp_path / "test_batch").write_bytes(python_batch(pictures(3), [1, 10, 3]))
    assert "first 10 of picture 1; expected 0 to 9" in refusal(tmp_path)


# ---- idx


def broken_mnist(tmp_path, change, name="t10k-images-idx3-ubyte"):
    path = save_mnist(tmp_path) / name
    path.write_bytes(change(path.read_bytes()))
    return refusal(tmp_path)


def test_a_wrong_magic_number_is_refused(tmp_path):
    assert "expected 00 00 08 03" in broken_mnist(tmp_path, lambda whole: b"\0\0\x0d" + whole[3:])


def test_a_truncated_idx_file_is_refused(tmp_path):
    assert "only 3915 follow" in broken_mnist(tmp_path, lambda whole: whole[:-5])


def test_an_idx_file_that_goes_on_is_refused(tmp_path):
    assert "more follow" in broken_mnist(tmp_path, lambda whole: whole + b"x")


def test_an_idx_file_that_claims_terabytes_takes_no_memory(tmp_path):
    huge = struct.pack(">3I", 2**31, 2**10, 2**10)
    assert "its header claims" in broken_mnist(tmp_path, lambda whole: whole[:4] + huge + whole[16:])


def test_a_gz_file_that_never_ends_is_read_only_as_far_as_it_claims(tmp_path):
    save_mnist(tmp_path, packed=True)
    bomb = gzip.compress(idx(np.arange(5, dtype=np.uint8)) + bytes(50_000_000))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(bomb)
    assert "more follow" in refusal(tmp_path)


def test_a_damaged_gz_file_is_refused(tmp_path):
    path = save_mnist(tmp_path, packed=True) / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert "download it again" in refusal(tmp_path)


def test_as_many_labels_as_pictures_are_expected(tmp_path):
    changed = idx(np.arange(4, dtype=np.uint8))
    assert "5 pictures but 4 labels" in broken_mnist(tmp_path, lambda _: changed, "t10k-labels-idx1-ubyte")


def test_a_missing_idx_file_is_named(tmp_path):
    (save_mnist(tmp_path) / "train-labels-idx1-ubyte").unlink()
    assert "train-labels-idx1-ubyte: missing" in refusal(tmp_path)


# ---- packed files


def packed(tmp_path, **replace):
    return save_packed(tmp_path / "cifar10.npz", {"test": (pictures(4), [1, 2, 3, 4])}, **replace)


def test_a_packed_file_without_test_pictures_says_so(tmp_path):
    path = save_packed(tmp_path / "a.npz", {"train": (pictures(4), [1, 2, 3, 4])})
    assert "no 'test_jpeg'" in refusal(path)


def test_pickled_arrays_are_refused(tmp_path):
    assert "pickled" in refusal(packed(tmp_path, test_labels=np.array([Harmful()] * 4, object)))


@pytest.mark.parametrize("offsets", [[0, 5, 3, 9, 10], [0, 1, 2, 3, 10**9], [-1, 1, 2, 3, 4], [5, 6, 7, 8, 9]])
def test_offsets_that_do_not_fit_the_stream_are_refused(offsets, tmp_path):
    assert "must increase from 0" in refusal(packed(tmp_path, test_offsets=np.array(offsets)))


def test_offsets_and_labels_that_do_not_match_are_refused(tmp_path):
    assert "3 test labels, but 5 offsets" in refusal(packed(tmp_path, test_labels=np.array([1, 2, 3])))


def test_fractional_labels_are_refused(tmp_path):
    assert "expected one row of integers" in refusal(packed(tmp_path, test_labels=np.array([1.0, 2, 3, 4])))


def test_negative_labels_are_refused(tmp_path):
    assert "first -1 of picture 0" in refusal(packed(tmp_path, test_labels=np.array([-1, 2, 3, 4])))


def test_damaged_packed_pictures_are_left_out_with_one_warning(tmp_path):
    stream = np.load(packed(tmp_path))["test_jpeg"].copy()
    offsets = np.load(packed(tmp_path))["test_offsets"]
    stream[offsets[1] : offsets[2]] = 0
    with pytest.warns(UserWarning, match="1 of 4 pictures cannot be read.*test picture 1") as said:
        found = data.load(packed(tmp_path, test_jpeg=stream))
    assert len(said) == 1 and list(found.test.skipped) == [1]
    assert found.test.labels.tolist() == [1, 3, 4] and len(found.test.pixels) == 3


def test_a_packed_file_of_damaged_pictures_only_is_refused(tmp_path):
    zeros = np.zeros(len(np.load(packed(tmp_path))["test_jpeg"]), np.uint8)
    assert "4 of 4 pictures cannot be read" in refusal(packed(tmp_path, test_jpeg=zeros))


def test_pictures_of_another_size_are_left_out(tmp_path):
    path = save_packed(tmp_path / "a.npz", {"test": (pictures(2, side=16), [0, 1])})
    assert "16×16 pixels, expected 32×32" in refusal(path)


# ---- any damage at all


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["packed", "python", "binary", "mnist", "mnist.gz"])
def test_damaged_files_are_read_or_refused(kind, tmp_path):
    if kind == "packed":
        path = source = packed(tmp_path)
    elif kind.startswith("mnist"):
        source, path = save_mnist(tmp_path, ["t10k"], packed=kind == "mnist.gz"), next(tmp_path.glob("*images*"))
    else:
        source = save_cifar(tmp_path, {"python": "", "binary": ".bin"}[kind], names=["test_batch"])
        path = next(tmp_path.iterdir())
    outcomes = set()
    for damaged in mutations(path.read_bytes(), 200, seed=len(kind)):
        path.write_bytes(damaged)
        try:
            found = data.load(source)
            outcomes.add(found.test.pixels.shape[1:] in ((32, 32, 3), (28, 28, 3)))
        except InputError as error:
            assert len(str(error).splitlines()) == 1
            outcomes.add("refused")
    assert "refused" in outcomes and False not in outcomes
