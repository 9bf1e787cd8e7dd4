"""Checkpoint files for the tests: the golden ones, written in other ways, and tiny ones that are quick to damage."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from minivit import checkpoints, params

GOLDEN = Path(__file__).parents[1] / "golden"


def golden_arrays(case):
    """{official name: array} of a golden case."""
    folder = GOLDEN / case
    if (folder / "weights.npz").exists():
        with np.load(folder / "weights.npz") as file:
            return dict(file)
    return load_file(folder / "model.safetensors")


def golden_path(case):
    folder = GOLDEN / case
    return folder / "weights.npz" if (folder / "weights.npz").exists() else folder


def golden_config(case):
    return json.loads((GOLDEN / case / "config.json").read_text())


def save_huggingface(folder, arrays, config, name="model.safetensors"):
    folder.mkdir(exist_ok=True)
    save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, folder / name)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def save_safetensors(path, arrays):
    save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, path)
    return path


def save_npz(path, arrays, compressed=False):
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def flat(path, **overrides):
    """{our flat name: array} of a checkpoint."""
    return params.flatten(checkpoints.read(path, **overrides).params())


def assert_same_tree(found, wanted):
    assert list(found) == list(wanted)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


def raw_safetensors(header, data=b"", length=None):
    """The bytes of a safetensors file with any header, true or false."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


TINY_HF_CONFIG = {
    "model_type": "vit",
    "hidden_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 4,
    "image_size": 4,
    "patch_size": 2,
    "id2label": {"0": "cat", "1": "dog"},
}


def tiny_jax(seed=0):
    """A vit_jax tree of width 4, 1 block, 2 heads, patch 2, a 2×2 grid and 2 classes."""
    block, attention = "Transformer/encoderblock_0", "Transformer/encoderblock_0/MultiHeadDotProductAttention_1"
    shapes = {
        "cls": (1, 1, 4),
        "embedding/kernel": (2, 2, 3, 4),
        "embedding/bias": (4,),
        "Transformer/posembed_input/pos_embedding": (1, 5, 4),
        **{f"{attention}/{part}/kernel": (4, 2, 2) for part in ("query", "key", "value")},
        **{f"{attention}/{part}/bias": (2, 2) for part in ("query", "key", "value")},
        f"{attention}/out/kernel": (2, 2, 4),
        f"{attention}/out/bias": (4,),
        **{f"{block}/LayerNorm_{i}/{leaf}": (4,) for i in (0, 2) for leaf in ("scale", "bias")},
        **{f"{block}/MlpBlock_3/Dense_{i}/kernel": (4, 4) for i in (0, 1)},
        **{f"{block}/MlpBlock_3/Dense_{i}/bias": (4,) for i in (0, 1)},
        **{f"Transformer/encoder_norm/{leaf}": (4,) for leaf in ("scale", "bias")},
        "head/kernel": (4, 2),
        "head/bias": (2,),
    }
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def tiny_huggingface(seed=0):
    """The same sizes under Hugging Face's names."""
    layer = "vit.encoder.layer.0"
    linears = {
        **{f"{layer}.attention.attention.{part}": (4, 4) for part in ("query", "key", "value")},
        f"{layer}.attention.output.dense": (4, 4),
        f"{layer}.intermediate.dense": (4, 4),
        f"{layer}.output.dense": (4, 4),
        "vit.embeddings.patch_embeddings.projection": (4, 3, 2, 2),
        "classifier": (2, 4),
    }
    norms = (f"{layer}.layernorm_before", f"{layer}.layernorm_after", "vit.layernorm")
    shapes = {
        "vit.embeddings.cls_token": (1, 1, 4),
        "vit.embeddings.position_embeddings": (1, 5, 4),
        **{f"{name}.weight": shape for name, shape in linears.items()},
        **{f"{name}.bias": shape[:1] for name, shape in linears.items()},
        **{f"{name}.{leaf}": (4,) for name in norms for leaf in ("weight", "bias")},
    }
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
