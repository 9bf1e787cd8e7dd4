"""`minivit inspect`: what a file is, also when its parameters are not read."""

import json

import numpy as np
import pytest
from checkpoint_files import GOLDEN, golden_path, save_npz, tiny_jax

from minivit import checkpoints
from minivit.errors import InputError


def test_a_plain_vit_is_described_as_json():
    path = golden_path("vit__token")
    report = json.loads(json.dumps(checkpoints.describe(path)))
    config = report.pop("config")
    assert (config["width"], config["heads"], config["preprocess"]["name"]) == (96, 3, "google")
    assert report == {
        "file": str(path),
        "bytes": 1_135_727,
        "container": "npz",
        "what": "a plain Vision Transformer",
        "family": "vit",
        "layout": "vit_jax npz",
        "name": "ViT (width 96, 3 blocks, patch 16)",
        "parameters": 301_066,
        "dtypes": ["float32"],
        "labels": None,
        "provenance": {},
        "warnings": [],
        "problem": None,
        "tensors": [],
    }


def test_labels_are_counted():
    assert checkpoints.describe(GOLDEN / "hf__vit_classification")["labels"] == 5


@pytest.mark.parametrize(
    ("name", "family", "what"),
    [
        ("conv_root/kernel", "hybrid", "a hybrid (ResNet stem and Vision Transformer)"),
        ("MixerBlock_0/LayerNorm_0/bias", "mixer", "an MLP-Mixer"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "params/", "opt/target/"])
def test_relatives_are_named_for_what_they_are_even_if_they_cannot_be_read(name, family, what, prefix, tmp_path):
    arrays = {f"{prefix}{name}": np.ones(6, np.float32), f"{prefix}embedding/kernel": np.ones(4, np.float32)}
    path = save_npz(tmp_path / "a.npz", arrays)
    report = checkpoints.describe(path)
    assert (report["family"], report["what"], report["parameters"]) == (family, what, 10)
    assert "has shape" in report["problem"] or "it is missing" in report["problem"]
    with pytest.raises(InputError, match=r"has shape|it is missing"):
        checkpoints.read(path)


def test_a_file_with_a_problem_is_described_with_its_tensors(tmp_path):
    arrays = tiny_jax() | {"head/bias": np.ones(3, np.float32)}
    report = checkpoints.describe(save_npz(tmp_path / "a.npz", arrays))
    assert (report["family"], report["layout"], report["config"]) == ("vit", "vit_jax npz", None)
    assert "'head/bias' has shape (3,), expected (2,)" in report["problem"]
    assert "head/bias (3,) float32" in report["tensors"]
    assert len(report["tensors"]) == len(arrays)


def test_an_unknown_model_is_described_by_its_tensors(tmp_path):
    report = checkpoints.describe(save_npz(tmp_path / "a.npz", {"w": np.ones((2, 3), np.float16)}))
    assert (report["what"], report["family"], report["layout"]) == ("not recognised", None, None)
    assert report["tensors"] == ["w (2, 3) float16"]


def test_warnings_are_told():
    assert "DeiT's way assumed" in checkpoints.describe(GOLDEN / "timm__vit_token")["warnings"][1]
