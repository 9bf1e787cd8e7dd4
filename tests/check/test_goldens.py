"""Every tensor of every golden case, in float64 and float32: the claim of the project.

Tolerances and their reasons stand in minivit/check/verdict.py.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from minivit import check, load
from minivit.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden"
ALL = sorted(path.parent.name for path in GOLDEN.glob("*/case.json"))
CASES = [name for name in ALL if not name.startswith("train__")]  # those: tests/train/test_goldens.py
LARGE = {"real__vit_l16": 5}  # GB of memory that the float64 run takes


def test_the_goldens_are_all_here():
    families = {name.split("__")[0] for name in ALL}
    plain = {"vit", "hf", "timm", "real", "posembed", "preprocess", "grad", "train"}
    assert families == plain | {"hybrid", "mixer", "lit", "tokenizer"} and len(ALL) == 49


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_every_tensor_agrees_with_the_official_one(case, dtype):
    if _free_memory_gb() < LARGE.get(case, 0):
        pytest.skip(f"needs {LARGE[case]} GB of free memory")
    verdicts = check.run(GOLDEN / case, dtype=dtype)
    expected = json.loads((GOLDEN / case / "case.json").read_text())
    assert len(verdicts) == (len(expected["tensors"] or expected.get("files", ())) or expected["strings"])
    assert [v for v in verdicts if not v.ok] == []


def _free_memory_gb():
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return float("inf")
    available = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable"))
    return int(available.split()[1]) / 1e6


@pytest.mark.parametrize(
    ("mistake", "first"),
    [
        ({"eps": 1e-5}, "block00/ln1"),
        ({"gelu": "tanh"}, "block00/gelu"),
        ({"position_resize": "bilinear"}, "large/pos_embed"),
    ],
)
def test_a_wrong_setting_is_found_where_it_acts(mistake, first, monkeypatch):
    read = check.forward.checkpoints.read
    monkeypatch.setattr(check.forward.checkpoints, "read", lambda path, **more: read(path, **more, **mistake))
    verdicts = check.run(GOLDEN / "timm__vit_token", dtype="float64")
    assert next(v.name for v in verdicts if not v.ok) == first


def test_a_tensor_that_minivit_does_not_have_fails_and_is_not_skipped(tmp_path):
    case = json.loads((GOLDEN / "vit__headless" / "case.json").read_text())
    for file in ("weights.npz", "inputs.npz"):
        (tmp_path / file).symlink_to(GOLDEN / "vit__headless" / file)
    case["tensors"].append({"name": "block00/unheard_of", "shape": [1], "dtype": "float32"})
    case["float32_vs_float64_error_of_the_reference"]["block00/unheard_of"] = {"max_abs": 1.0}
    tensors = dict(np.load(GOLDEN / "vit__headless" / "tensors.npz"))
    np.savez(tmp_path / "tensors.npz", **tensors, **{"block00/unheard_of": np.ones(1, np.float32)})
    (tmp_path / "case.json").write_text(json.dumps(case))
    failed = [v for v in check.run(tmp_path) if not v.ok]
    assert [(v.name, v.note) for v in failed] == [("block00/unheard_of", "missing")]


def test_changed_seeds_are_noticed(tmp_path):
    case = json.loads((GOLDEN / "real__vit_ti16" / "case.json").read_text())
    case["weights"]["seed"] += 1
    (tmp_path / "case.json").write_text(json.dumps(case))
    (tmp_path / "tensors.npz").symlink_to(GOLDEN / "real__vit_ti16" / "tensors.npz")
    with pytest.raises(InputError, match="drawn from the seed have sha256"):
        check.run(tmp_path)


DATA = os.environ.get("MINIVIT_DATA")
DEIT_TINY = Path(DATA or "") / "deit_tiny" / "deit_tiny_patch16_224.timm.safetensors"
needs_data = pytest.mark.skipif(not DATA, reason="MINIVIT_DATA is not set: real weights and photographs are not here")


@needs_data
def test_deit_tiny_agrees_on_every_tensor_of_the_cats():
    truth = np.load(Path(DATA) / "deit_tiny" / "coco_cats_trace.npz")
    model = load(DEIT_TINY, preprocess="deit")
    trace = model.trace(Path(DATA) / "photos" / "coco_cats.png")
    expected = {
        "image": truth["pixels"].transpose(0, 2, 3, 1),
        "embed.out": truth["hidden_0"],
        "logits": truth["logits"],
    }
    for i in range(12):
        expected[f"block{i}.attn.probs"] = truth[f"attn_probs_{i}"][None]
        expected[f"block{i}.resid_post"] = truth[f"hidden_{i + 1}"]
    diff = trace.diff(expected)
    assert diff.ok, diff
    assert (
        np.abs(trace["logits"] - truth["logits"]).max() < 10 * 7.5e-6
    )  # the reference's own float32 run is off by 7.5e-6


@needs_data
def test_deit_tiny_on_100_photographs():
    folder = Path(DATA) / "photos" / "imagenet_samples"
    truth = np.load(folder / "deit_tiny_logits.npz")
    model = load(DEIT_TINY, preprocess="deit")
    logits = np.concatenate([model.run(folder / file) for file in truth["files"]])
    assert np.abs(logits - truth["logits"]).max() < 2e-4
    order = np.argsort(-logits, axis=1)
    assert (order[:, 0] == truth["labels"]).sum() == 76
    assert (order[:, :5] == truth["labels"][:, None]).any(1).sum() == 97
