"""Small data sets on disk, written as their publishers write them."""

import gzip
import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image

from minivit import data
from minivit.errors import InputError

SIDE = 32


def refusal(source):
    """The one line that refuses a source, without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as caught:
            data.load(source)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def pictures(count, seed=0, side=SIDE):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


def save_folders(folder, parts=("train", "test"), classes=("cat", "dog"), count=3, suffix=".png"):
    """{part}/{class}/0.png, … of 8×12 pixels, each of one colour that tells part, class and number."""
    for p, part in enumerate(parts):
        for c, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (12, 8), (100 * p, 10 * c, i)).save(folder / part / name / f"{i}{suffix}")
    return folder


def save_packed(path, splits, **replace):
    """An .npz like cifar10_jpeg.npz; splits: {part: (pixels, labels)}; `replace` replaces whole arrays."""
    arrays = {}
    for part, (pixels, labels) in splits.items():
        files = [jpeg(picture) for picture in pixels]
        arrays[f"{part}_jpeg"] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{part}_offsets"] = np.cumsum([0, *map(len, files)])
        arrays[f"{part}_labels"] = np.asarray(labels, np.uint8)
    np.savez(path, **{**arrays, **replace})
    return path


def jpeg(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


def idx(array):
    """The bytes of an idx file of uint8."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def save_mnist(folder, parts=("train", "t10k"), count=5, packed=False):
    """The four files; the pictures are 28×28 of noise, the labels 0, 1, 2, …"""
    for part in parts:
        files = {"images-idx3": pictures(count, side=28)[..., 0], "labels-idx1": np.arange(count, dtype=np.uint8) % 10}
        for kind, array in files.items():
            path = folder / f"{part}-{kind}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return folder


TRAIN = [f"data_batch_{i}" for i in range(1, 6)]


def save_cifar(folder, suffix="", names=(*TRAIN, "test_batch"), count=4):
    """Batches whose batch number i holds pictures(count, seed=i), labelled i, i + 1, …; returns the folder."""
    write = python_batch if suffix == "" else binary_batch
    for i, name in enumerate(names):
        (folder / (name + suffix)).write_bytes(write(pictures(count, seed=i), (np.arange(count) + i) % 10))
    return folder


def planes(pixels):
    # (n,32,32,3) -> (n,3072) uint8: red, green, blue
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), -1)


def binary_batch(pixels, labels):
    return np.concatenate([np.uint8(labels)[:, None], planes(pixels)], axis=1).tobytes()


def python_batch(pixels, labels):
    """The bytes that Python 2's cPickle wrote of the dict, protocol 2, as in cifar-10-python.tar.gz."""

    def string(text):
        return b"U" + bytes([len(text)]) + text.encode()

    def number(n):
        return b"K" + bytes([n]) if n < 256 else b"M" + n.to_bytes(2, "little")

    numbers = planes(pixels).tobytes()
    dtype = b"cnumpy\ndtype\nq\x0a" + string("u1") + b"K\x00K\x01\x87Rq\x0b(K\x03" + string("|") + b"NNN"
    dtype += b"J\xff\xff\xff\xff" * 2 + b"K\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85" + string("b") + b"\x87Rq\x09"
    array += b"(K\x01" + number(len(pixels)) + number(3072) + b"\x86" + dtype
    array += b"\x89T" + len(numbers).to_bytes(4, "little") + numbers + b"tb"
    names = b"".join(string(f"truck_s_{i:06}.png") for i in range(len(labels)))
    return (
        b"\x80\x02}q\x01(" + string("batch_label") + b"q\x02" + string("training batch 1 of 5") + b"q\x03"
        + string("labels") + b"q\x04]q\x05(" + b"".join(number(int(n)) for n in labels) + b"e"
        + string("data") + b"q\x06" + array + string("filenames") + b"q\x0c]q\x0d(" + names + b"eu."
    )  # fmt: skip
