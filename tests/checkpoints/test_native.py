"""minivit's own checkpoints: what is written is read back, and what is not exactly that is refused in one line."""

import errno
import json
import os
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from checkpoint_files import assert_same_tree
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import minivit
from minivit import checkpoints, params
from minivit.checkpoints import native
from minivit.config import DEIT, VARIANTS, HybridConfig, MixerConfig, Preprocess, Stem, ViTConfig
from minivit.errors import InputError

TINY = ViTConfig(
    *("tiny, ours", 4, 8, 2, 2, 16, 3, (8, 12)), pool="gap", gelu="erf", preprocess=Preprocess("own", "bicubic")
)
LABELS = ("cat", "dog", "owl")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.safetensors"
    native.write(path, TINY, params.seeded(TINY), LABELS, {"seed": 3, "data": "pictures"})
    return path


def refused(path):
    with pytest.raises(InputError) as caught:
        checkpoints.read(path).params()
    message = str(caught.value)
    assert "\n" not in message
    return message


def changed(file, about=None, **arrays):
    """The same file with other metadata, or other arrays (None: left out)."""
    with safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
    if about is not None:
        metadata = {"minivit": about if isinstance(about, str) else json.dumps(about)}
    held = {**load_file(file), **{name.replace("__", "."): array for name, array in arrays.items()}}
    save_file({name: array for name, array in held.items() if array is not None}, file, metadata)
    return file


def about(config=None, **entries):
    settings = {**asdict(TINY), **(config or {})}
    return {"version": 1, "config": settings, "labels": list(LABELS), "provenance": {}, **entries}


# ---- there and back -------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_to_the_bit(file):
    checkpoint = checkpoints.read(file)
    assert (checkpoint.config, checkpoint.labels, checkpoint.layout) == (TINY, LABELS, "minivit")
    assert checkpoint.provenance == {"seed": 3, "data": "pictures"} and not checkpoint.warnings
    assert_same_tree(params.flatten(checkpoint.params()), params.flatten(params.seeded(TINY)))


def test_transposed_views_are_saved_as_they_look(tmp_path):
    flat = {name: np.asfortranarray(array) for name, array in params.flatten(params.seeded(TINY)).items()}
    native.write(tmp_path / "tiny.safetensors", TINY, params.nest(flat))
    assert_same_tree(params.flatten(checkpoints.read(tmp_path / "tiny.safetensors").params()), flat)


@pytest.mark.parametrize(
    "config",
    [
        replace(TINY, prefix=0, qkv_bias=False),
        replace(TINY, representation=5),
        replace(TINY, prefix=2, distilled_head=True, preprocess=DEIT),
        replace(TINY, classes=None, norm_after_pool=True),
        replace(VARIANTS["DeiT-Ti/16"], blocks=1),
        HybridConfig("small hybrid", 1, 4, 1, 2, 8, classes=3, image=(32, 32), stem=Stem((1, 2), width=4, groups=2)),
        MixerConfig("small mixer", 4, 4, 2, 3, 8, classes=3, image=(8, 12)),
    ],
    ids=["gap", "representation", "distilled", "headless", "DeiT", "hybrid", "mixer"],
)
def test_every_kind_of_model_is_read_back(config, tmp_path):
    native.write(tmp_path / "m.safetensors", config, params.seeded(config))
    checkpoint = checkpoints.read(tmp_path / "m.safetensors")
    assert checkpoint.config == config and checkpoint.labels is None
    assert_same_tree(params.flatten(checkpoint.params()), params.flatten(params.seeded(config)))


def test_float16_halves_the_file_and_rounds_the_numbers(file, tmp_path):
    small = tmp_path / "half.safetensors"
    native.write(small, TINY, params.seeded(TINY), dtype="float16")
    checkpoint = checkpoints.read(small)
    assert checkpoint.dtypes == ("float16",) and small.stat().st_size < 0.7 * file.stat().st_size
    rounded = {name: array.astype(np.float16) for name, array in params.flatten(params.seeded(TINY)).items()}
    assert_same_tree(params.flatten(checkpoint.params()), rounded)


def test_the_same_model_gives_the_same_bytes(file, tmp_path):
    again = tmp_path / "again.safetensors"
    native.write(again, TINY, params.seeded(TINY), LABELS, {"seed": 3, "data": "pictures"})
    assert again.read_bytes() == file.read_bytes()


def test_load_gives_a_model_with_its_labels(file):
    model = minivit.load(file)
    images = np.random.default_rng(0).standard_normal((1, 8, 12, 3), dtype=np.float32)
    direct = minivit.Model(TINY, params.seeded(TINY)).run(images)
    np.testing.assert_array_equal(model.run(images), direct)
    assert {prediction.label for prediction in model.classify(images)} == set(LABELS)


def test_describe_tells_the_provenance(file):
    facts = checkpoints.describe(file)
    assert facts["name"] == "tiny, ours" and facts["provenance"] == {"seed": 3, "data": "pictures"}
    assert facts["problem"] is None and facts["labels"] == 3


# ---- writing what cannot be written ---------------------------------------------------------------------------------


def test_numbers_beyond_float16_are_refused(tmp_path):
    tree = params.seeded(TINY)
    tree["norm"]["scale"][0] = 1e6
    with pytest.raises(InputError, match=r"norm\.scale holds numbers that are not finite in float16"):
        native.write(tmp_path / "m.safetensors", TINY, tree, dtype="float16")
    assert not list(tmp_path.iterdir())


def test_parameters_of_another_config_are_refused(tmp_path):
    with pytest.raises(InputError, match="the parameters are not those of tiny, ours"):
        native.write(tmp_path / "m.safetensors", TINY, params.seeded(replace(TINY, mlp=20)))


def test_a_label_too_many_is_refused(tmp_path):
    with pytest.raises(InputError, match="4 labels, but the model has 3 classes"):
        native.write(tmp_path / "m.safetensors", TINY, params.seeded(TINY), [*LABELS, "yak"])


def test_a_full_disk_leaves_the_old_file(file, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = file.read_bytes()
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(InputError, match=r"cannot write .*tiny.safetensors: No space left on device"):
        native.write(file, TINY, params.seeded(TINY, seed=1))
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]


# ---- reading what is not ours ---------------------------------------------------------------------------------------


def test_a_newer_version_asks_for_an_update(file):
    assert "version 2 of minivit's format, this program reads version 1; update minivit" in refused(
        changed(file, about(version=2))
    )


def test_a_missing_tensor_is_named(file):
    assert "expected 'blocks.1.ln1.bias' of shape (8,)" in refused(changed(file, blocks__1__ln1__bias=None))


def test_a_tensor_too_many_is_named(file):
    assert "'blocks.1.ln3.bias' of shape (8,) is not part of tiny, ours; did you mean" in refused(
        changed(file, blocks__1__ln3__bias=np.ones(8, np.float32))
    )


def test_a_wrong_shape_is_named(file):
    message = refused(changed(file, head__b=np.ones(4, np.float32)))
    assert "'head.b' has shape (4,), expected (3,) for tiny, ours at 8×12 pixels" in message


def test_integers_are_no_weights(file):
    assert "'head.b' is stored as int32" in refused(changed(file, head__b=np.ones(3, np.int32)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "its metadata is not JSON"),
        ("[" * 100_000, "its metadata is not JSON"),
        ("[]", r"its metadata is \[\], expected an object"),
        ("{}", "version None of minivit's format"),
        (about(version=1.0, extra=1), "unknown metadata 'extra'"),
        (about() | {"config": 5}, "config is 5, expected an object"),
        (about() | {"config": {"name": "x"}}, "config lacks the field 'patch'"),
        (about({"patch": 4.0}), r"config: patch is 4\.0, expected a whole number"),
        (about({"patch": True}), "config: patch is True, expected a whole number"),
        (about({"patch": 0}), "patch is 0, expected a positive number"),
        (about({"blocks": 10**12}), "expected 1000000000000 blocks, but there are only"),
        (about({"width": 10**400}), r"config: width is 1000\d+…, expected a number below 1e\+15"),
        (about({"image": [8]}), r"config: image is \[8\], expected a list of 2 numbers"),
        (about({"image": [8, "12"]}), "config: image is '12', expected a whole number"),
        (about({"image": [10**9, 10**9]}), "'embed.position' has shape"),
        (about({"image": [2, 2]}), r"image \(2, 2\) is smaller than one patch of 4 pixels"),
        (about({"eps": float("nan")}), "config: eps is nan, expected a number"),
        (about({"classes": "3"}), "config: classes is '3', expected a whole number or null"),
        (about({"heads": 3}), "width 8 is not a multiple of 3 heads"),
        (about({"gelu": "tan"}), "unknown gelu 'tan'; did you mean 'tanh'"),
        (about({"depth": 2}), "config has an unknown field 'depth'"),
        (about({"name": "two\nlines"}), r"config: name is 'two\\nlines', expected printable text"),
        (about({"preprocess": None}), "config: preprocess is None, expected an object"),
        (about({"preprocess": {"name": "x", "resample": "nearest"}}), "resample 'nearest'"),
        (about({"preprocess": {"name": "x", "resample": "bicubic", "std": [0, 1, 1]}}), "std must be positive"),
        (about(labels="abc"), "labels is 'abc', expected a list of texts"),
        (about(labels=["cat", "dog", 3]), r"labels is \['cat', 'dog', 3\], expected a list of texts"),
        (about(labels=["cat"]), "1 labels, but the model has 3 classes"),
        (about(provenance=[1]), r"provenance is \[1\], expected an object"),
    ],
)
def test_hostile_metadata_is_one_line(file, text, message):
    found = refused(changed(file, text))
    assert re.search(message, found), found


def test_damaged_bytes_end_in_one_line_or_in_numbers(file):
    content, rng = file.read_bytes(), np.random.default_rng(0)
    header = 8 + int.from_bytes(content[:8], "little")
    refusals = 0
    for _ in range(150):
        damaged = bytearray(content)
        for at in rng.integers(0, header, rng.integers(1, 4)):
            damaged[at] = rng.integers(32, 127)
        file.write_bytes(damaged)
        try:
            checkpoints.read(file).params()
        except InputError as error:
            refusals += 1
            assert "\n" not in str(error)
    assert refusals > 100
