"""Files of embeddings, and exact nearest neighbours in them."""

import json
import mmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minivit
from minivit import search
from minivit.errors import InputError


def points(count, width=12, seed=0):
    x = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def embeddings(count=20, **more):
    return search.Embeddings(points(count), [f"{i}.png" for i in range(count)], "image", "ViT-B/16", "b16.npz", **more)


@settings(deadline=None)
@given(
    count=st.integers(1, 60), queries=st.integers(1, 4), top=st.integers(1, 12), rows=st.integers(1, 70),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_neighbours_are_those_of_a_full_sort(count, queries, top, rows, seed):
    vectors, asked = points(count, seed=seed), points(queries, seed=seed + 1)
    places, cosines = search.nearest(asked, vectors, top, rows)
    every = asked.astype(np.float64) @ vectors.T
    np.testing.assert_allclose(cosines, -np.sort(-every, axis=1)[:, :top], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(every, places, 1), cosines, atol=1e-6)
    assert all(len(set(row)) == len(row) == min(top, count) for row in places.tolist())


def test_of_equals_the_first_comes_first():
    vectors = np.repeat(points(1), 9, axis=0)
    places, _ = search.nearest(points(1), vectors, 9, rows=4)
    assert places.tolist() == [list(range(9))]


def test_what_is_written_is_read_and_mapped_not_loaded(tmp_path):
    written = embeddings()
    written.write(tmp_path / "e.npz")
    found = search.read(tmp_path / "e.npz")
    np.testing.assert_array_equal(found.vectors, written.vectors)
    assert (found.names, found.kind, found.model, found.weights) == (written.names, "image", "ViT-B/16", "b16.npz")
    base = found.vectors
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    assert found.vectors.ctypes.data % 64 == 0


def test_the_file_is_plain_numpy_and_json(tmp_path):
    embeddings(3).write(tmp_path / "e.npz")
    arrays = np.load(tmp_path / "e.npz")
    assert arrays["embeddings"].shape == (3, 12)
    assert json.loads(arrays["about"].tobytes())["names"] == ["0.png", "1.png", "2.png"]


def test_names_may_be_any_text(tmp_path):
    names = ["Ä\nB", "", "猫" * 5000]
    search.Embeddings(points(3), names, "text", "LiT-B16B").write(tmp_path / "e.npz")
    assert search.read(tmp_path / "e.npz").names == names


def test_numbers_that_are_not_finite_are_never_written_nor_found(tmp_path):
    bad = embeddings()
    bad.vectors[7, 3] = np.nan
    with pytest.raises(InputError, match="NaN"):
        bad.write(tmp_path / "e.npz")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="NaN"):
        search.nearest(points(1), bad.vectors, 3)


def about(**changes):
    told = {"model": "m", "weights": "w", "kind": "image", "names": ["a", "b"], **changes}
    return np.frombuffer(json.dumps({k: v for k, v in told.items() if v is not None}).encode(), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x": np.ones(3)}, "not a file of embeddings, it holds 'x'"),
        ({"embeddings": points(2), "about": np.frombuffer(b"{", np.uint8)}, "is damaged"),
        ({"embeddings": points(2), "about": about(names=None)}, "is damaged"),
        ({"embeddings": points(2), "about": about(names=["a", 3])}, "is damaged"),
        ({"embeddings": points(2), "about": about(kind="sound")}, "is damaged"),
        ({"embeddings": points(2), "about": about(more=1)}, "is damaged"),
        ({"embeddings": points(3), "about": about()}, r"shape \(3, 12\) for 2 names"),
        ({"embeddings": points(2).astype(np.float64), "about": about()}, "expected float32"),
        ({"embeddings": points(2)[0], "about": about()}, "expected float32"),
        ({"embeddings": points(2)[:, :0], "about": about()}, "expected float32"),
        ({"embeddings": points(0), "about": about(names=[])}, "expected float32"),
    ],
)
def test_what_is_not_such_a_file_is_refused(tmp_path, arrays, problem):
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(InputError, match=problem):
        search.read(tmp_path / "e.npz")


def test_a_missing_or_damaged_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        search.read(tmp_path / "e.npz")
    embeddings(200).write(tmp_path / "e.npz")
    content = bytearray((tmp_path / "e.npz").read_bytes())
    content[5000] ^= 1
    (tmp_path / "e.npz").write_bytes(content)
    with pytest.raises(InputError, match="wrong checksum"):
        search.read(tmp_path / "e.npz")
    (tmp_path / "e.npz").write_bytes(content[:5000])
    with pytest.raises(InputError, match="not a complete"):
        search.read(tmp_path / "e.npz")


def test_a_plain_model_gives_the_feature_of_its_head_at_length_one():
    model = minivit.load("demo")
    pixels = np.random.default_rng(0).standard_normal((2, 224, 224, 3)).astype(np.float32)
    cls = model.features(pixels)["cls"]
    found = search.image_vectors(model, pixels)
    np.testing.assert_allclose(found, cls / np.linalg.norm(cls, axis=1, keepdims=True), rtol=1e-6)
