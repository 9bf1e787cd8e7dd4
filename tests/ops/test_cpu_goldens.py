"""Every golden tensor on this machine's own CPU, and trained weights in every dtype."""

import os
from pathlib import Path

import numpy as np
import pytest

from minivit import check, load

pytest.importorskip("numba", reason="tier cpu needs Numba")

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/case.json"))
FORWARD = [name for name in CASES if name.split("__")[0] in ("vit", "hf", "timm", "hybrid", "real", "lit")]


@pytest.mark.parametrize("case", FORWARD)
def test_every_tensor_agrees_with_the_official_one(case):
    verdicts = check.run(GOLDEN / case, tier="cpu")
    assert verdicts and [v for v in verdicts if not v.ok] == []


DATA = os.environ.get("MINIVIT_DATA")


@pytest.mark.skipif(not DATA, reason="MINIVIT_DATA is not set: real weights and photographs are not here")
def test_deit_tiny_sees_the_same_in_every_dtype():
    folder = Path(DATA) / "photos" / "imagenet_samples"
    truth = np.load(folder / "deit_tiny_logits.npz")
    weights = Path(DATA) / "deit_tiny" / "deit_tiny_patch16_224.timm.safetensors"
    pixels = load(weights, preprocess="deit").preprocess([folder / file for file in truth["files"]])
    best, correct = {}, {}
    for dtype in ("float32", "float16", "bfloat16", "int8"):
        model = load(weights, tier="cpu", dtype=dtype, preprocess="deit")
        logits = np.concatenate([model.run(pixels[i : i + 10]) for i in range(0, len(pixels), 10)])
        best[dtype] = logits.argmax(1)
        correct[dtype] = (best[dtype] == truth["labels"]).sum()
    assert (best["float32"] == truth["logits"].argmax(1)).all()
    for dtype in ("float16", "bfloat16", "int8"):
        assert (best[dtype] == best["float32"]).sum() >= 98, dtype
        assert abs(int(correct[dtype]) - int(correct["float32"])) <= 1, dtype
