"""Whole models in float16 and bfloat16 against float64 with the weights as they are: what a user of halves gets.

Of max|output|, measured on every golden ViT and Mixer: float16 6e-4 to 2e-3; bfloat16 1.3e-3 to 3.8e-3, and 7.8e-3 on
`hf__vit_model_pooler`.  With every product in bfloat16 it would be 2e-3 to 1.7e-2 (benchmarks/NOTES_GPU.md).
"""

import json
from pathlib import Path

import numpy as np
import pytest
from simulated import error

from minivit.check import forward, recipe
from minivit.errors import InputError
from minivit.gpu.formats import BFLOAT16, FLOAT16, FLOAT32
from minivit.gpu.parameters import formats, store

GOLDEN = Path(__file__).parent.parent / "golden"
ALLOWED = 1e-2
CASES = ("vit__token", "vit__gap", "vit__token_representation", "vit__headless", "vit__patch8", "timm__vit_avg",
         "hf__vit_classification", "hf__deit_distilled", "hf__vit_model_pooler")  # fmt: skip


def off_by(name, dtype):
    """How far the output of a golden model is from float64, of its largest number."""
    case = {**json.loads((GOLDEN / name / "case.json").read_text(encoding="utf-8")), "folder": GOLDEN / name}
    images = recipe.inputs(case)[""]
    truth = forward.load_model(case, "ref", "float64").run(images.astype("float64"))
    return error(forward.load_model(case, "gpu", dtype).run(images), truth)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_is_within_a_hundredth_of_the_exact_model(name):
    assert off_by(name, "bfloat16") <= ALLOWED


def test_float16_is_within_a_hundredth_of_the_exact_model():
    assert off_by("hf__deit_distilled", "float16") <= ALLOWED


def test_models_of_bfloat16_multiply_in_float16_what_is_normalised():
    inside = {name: formats(f"blocks.0.{name}", "bfloat16") for name in ("attn.qkv.w", "attn.out.w", "mlp.fc1.w")}
    assert inside == {
        "attn.qkv.w": (FLOAT16, FLOAT16), "attn.out.w": (FLOAT16, FLOAT32), "mlp.fc1.w": (FLOAT16, BFLOAT16)
    }  # fmt: skip
    assert formats("blocks.0.mlp.fc2.w", "bfloat16") == (BFLOAT16, FLOAT32)
    assert formats("blocks.0.ln1.scale", "bfloat16") == (FLOAT32, FLOAT16)
    assert formats("representation.w", "bfloat16") == (FLOAT16, FLOAT16)
    assert formats("blocks.0.attn.qkv.w", "float32") == (FLOAT32, FLOAT32)


def test_parameters_that_could_lead_out_of_float16_are_refused():
    # a row behind LayerNorm is √D long: with D = 4, twice the length of a column
    w = np.full((4, 3), 16_000, np.float32)
    assert store("blocks.0.attn.qkv.w", w, "bfloat16").format is FLOAT16
    with pytest.raises(InputError, match=r"qkv\.w can give numbers of 7\.2e\+04, beyond float16; use float32"):
        store("blocks.0.attn.qkv.w", w * 1.125, "bfloat16")
    with pytest.raises(InputError, match=r"ln1\.scale can give numbers of 8e\+04"):
        store("blocks.0.ln1.scale", np.full(4, 4e4, np.float32), "bfloat16")
    with pytest.raises(InputError, match="can give numbers of inf"):
        store("head.w", np.full((4, 3), np.inf, np.float32), "float16")
    assert store("blocks.0.mlp.fc2.w", w * 1e6, "bfloat16").format is BFLOAT16
    assert store("blocks.0.attn.qkv.w", w * 1e6, "float32").format is FLOAT32
