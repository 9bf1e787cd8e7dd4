"""How this case was made: `python make.py` in this folder, with torch and transformers (extra `reference`)."""

import json
from pathlib import Path

import numpy as np
import safetensors
import torch
import transformers
from torch import nn
from transformers import ViTConfig, ViTForMaskedImageModeling
from transformers.models.vit import modeling_vit

HERE = Path(__file__).parent
SEEDS = {"params": 951, "images": 1951, "mask": 2951}
SIZES = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96}
CONFIG = ViTConfig(**SIZES, image_size=32, patch_size=8, encoder_stride=8, attn_implementation="eager")
IN_BLOCK = {
    "layernorm_before": "ln1",
    "attention.q_proj": "q",
    "attention.k_proj": "k",
    "attention.v_proj": "v",
    "attention.o_proj": "attn_out",
    "layernorm_after": "ln2",
    "mlp.fc1": "fc1",
    "mlp.activation_fn": "gelu",
    "mlp.fc2": "fc2",
    "": "out",
}
TRUTHS = ("embeddings", "block00/out", "block01/out", "last_hidden_state", "reconstruction")
NOTES = [
    "made by make.py in this folder",
    "bool_masked_pos of inputs.npz (batch, patches): true where the mask token replaces the patch embedding",
    "reconstruction (batch, channels, height, width): decoder.0 as a 1x1 convolution, then PixelShuffle(8)",
    "q, k, v (batch, tokens, heads, head_dim), before the 1/sqrt(head_dim) scaling",
    "library eager attention forces its softmax to float32; for __f64 it was kept in float64",
]


def parameters(shapes):
    """Every parameter is far from trivial, drawn over the sorted names from one generator."""
    rng, drawn = np.random.default_rng(SEEDS["params"]), {}
    for name in sorted(shapes):
        z = rng.standard_normal(shapes[name], dtype=np.float32)
        if "layernorm" in name and name.endswith("weight"):
            drawn[name] = 1 + np.float32(0.2) * z
        elif name.endswith("weight"):
            drawn[name] = z / np.float32(np.sqrt(np.prod(z.shape[1:])))
        else:
            drawn[name] = np.float32(0.1 if name.endswith("bias") else 0.4) * z
    return drawn


def run(model, pixels, mask):
    """{name: array} of one forward pass, by hooks on the modules."""
    found, heads = {}, CONFIG.num_attention_heads

    def keep(name, split=False):
        def hook(module, inputs, output):
            x = (output[0] if isinstance(output, tuple) else output).detach().numpy()
            found[name] = x.reshape(*x.shape[:2], heads, -1) if split else x

        return hook

    hooks = [
        (model.vit.embeddings.patch_embeddings, keep("patch_embeddings")),
        (model.vit.embeddings, keep("embeddings")),
        (model.vit.layernorm, keep("last_hidden_state")),
        (model.decoder, keep("reconstruction")),
    ]
    for i, layer in enumerate(model.vit.layers):
        for path, name in IN_BLOCK.items():
            hooks.append((layer.get_submodule(path), keep(f"block{i:02}/{name}", name in ("q", "k", "v"))))
    handles = [module.register_forward_hook(hook) for module, hook in hooks]
    with torch.no_grad():
        model(pixel_values=pixels, bool_masked_pos=mask)
    for handle in handles:
        handle.remove()
    return found


def main():
    model = ViTForMaskedImageModeling(CONFIG).eval()
    drawn = parameters({name: tuple(p.shape) for name, p in model.state_dict().items()})
    model.load_state_dict({name: torch.from_numpy(value) for name, value in drawn.items()})
    model.save_pretrained(HERE)
    pixels = np.random.default_rng(SEEDS["images"]).random((2, 3, 32, 32), dtype=np.float32) * 2 - 1
    mask = np.random.default_rng(SEEDS["mask"]).random((2, 16)) < 0.5
    np.savez(HERE / "inputs.npz", pixel_values=pixels, bool_masked_pos=mask)
    found = run(model, torch.from_numpy(pixels), torch.from_numpy(mask))
    softmax = nn.functional.softmax  # eager attention forces it to float32; the truth keeps it in float64
    modeling_vit.nn.functional.softmax = lambda x, dim, dtype: softmax(x, dim=dim)
    truth = run(model.double(), torch.from_numpy(pixels).double(), torch.from_numpy(mask))
    arrays = {}
    for name, x in found.items():
        arrays[name] = x
        if name in TRUTHS:
            arrays[f"{name}__f64"] = truth[name]
    np.savez(HERE / "tensors.npz", **arrays)
    (HERE / "case.json").write_text(json.dumps(case_of(arrays, found, truth), indent=1) + "\n")


def case_of(arrays, found, truth):
    packages = {"torch": torch.__version__, "numpy": np.__version__, "safetensors": safetensors.__version__}
    return {
        "case": "hf__vit_masked",
        "family": "huggingface",
        "source": {"package": f"transformers {transformers.__version__}", **packages, "license": "Apache-2.0"},
        "model_class": "ViTForMaskedImageModeling",
        "config": {**SIZES, "image_size": 32, "patch_size": 8, "encoder_stride": 8},
        "image_size": [32, 32],
        "batch": 2,
        "num_classes": None,
        "seeds": SEEDS,
        "dtype": "float32; __f64 = float64 truth from the same float32 weights",
        "weights": "model.safetensors + config.json",
        "notes": NOTES,
        "tensors": [{"name": n, "shape": list(x.shape), "dtype": x.dtype.name} for n, x in arrays.items()],
        "float32_vs_float64_error_of_the_reference": {name: error(x, truth[name]) for name, x in found.items()},
    }


def error(x, truth):
    difference = np.abs(x - truth)
    return {
        "max_abs": float(difference.max()),
        "rel_l2": float(np.linalg.norm(difference) / np.linalg.norm(truth)),
    }


if __name__ == "__main__":
    main()
