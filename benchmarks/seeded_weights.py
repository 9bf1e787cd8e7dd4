"""One set of seeded weights for every engine: a Hugging Face folder, and the ONNX file that PyTorch exports from it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from minivit import checkpoints, params
from minivit.checkpoints import native
from minivit.config import HUGGING_FACE, variant

#: minivit's own file in a folder, of a model that a Hugging Face folder alone cannot hold
NATIVE = "minivit.safetensors"


def hugging_face_folder(model, folder):
    """Write config.json and model.safetensors of `model`, a published variant ("B/16") or a config, seeded weights.

    Of a hybrid, transformers knows only what reads the feature map; the whole model is beside it, in NATIVE.  Mixers
    are there only.
    """
    from safetensors.numpy import save_file

    config = variant(model) if isinstance(model, str) else model
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if config.family == "mixer":
        config = replace(config, gelu="erf")
        return native.write(folder / NATIVE, config, params.seeded(config))
    config = replace(config, gelu="erf", eps=1e-12, position_resize="bicubic", preprocess=HUGGING_FACE)
    tree = params.seeded(config)
    flat = params.flatten(tree)
    (folder / "config.json").write_text(json.dumps(_config_json(config)))
    save_file(_legacy_names(flat, config), folder / "model.safetensors", metadata={"format": "pt"})
    if config.family == "hybrid":
        native.write(folder / NATIVE, config, tree)


def _config_json(config):
    return {
        "model_type": "vit",
        "architectures": ["ViTForImageClassification"],
        "hidden_size": config.width,
        "num_hidden_layers": config.blocks,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp,
        "hidden_act": "gelu",
        "layer_norm_eps": config.eps,
        "image_size": config.grid[0] * config.patch,
        "num_channels": config.patch_channels,
        "patch_size": config.patch,
        "id2label": {str(i): f"class {i}" for i in range(config.classes)},
    }


def _legacy_names(flat, config):
    """{Hugging Face's name: array in PyTorch's layout} from our flat tree."""
    theirs = {
        "vit.embeddings.cls_token": flat["embed.prefix"],
        "vit.embeddings.position_embeddings": flat["embed.position"],
        "vit.embeddings.patch_embeddings.projection.weight": flat["embed.w"].transpose(3, 2, 0, 1),
        "vit.embeddings.patch_embeddings.projection.bias": flat["embed.b"],
        "vit.layernorm.weight": flat["norm.scale"],
        "vit.layernorm.bias": flat["norm.bias"],
        "classifier.weight": flat["head.w"].T,
        "classifier.bias": flat["head.b"],
    }
    for i in range(config.blocks):
        ours, block = f"blocks.{i}", f"vit.encoder.layer.{i}"
        for name, norm in (("ln1", "layernorm_before"), ("ln2", "layernorm_after")):
            theirs[f"{block}.{norm}.weight"] = flat[f"{ours}.{name}.scale"]
            theirs[f"{block}.{norm}.bias"] = flat[f"{ours}.{name}.bias"]
        for j, part in enumerate(("query", "key", "value")):
            columns = slice(j * config.width, (j + 1) * config.width)
            theirs[f"{block}.attention.attention.{part}.weight"] = flat[f"{ours}.attn.qkv.w"][:, columns].T
            theirs[f"{block}.attention.attention.{part}.bias"] = flat[f"{ours}.attn.qkv.b"][columns]
        layers = (("attn.out", "attention.output"), ("mlp.fc1", "intermediate"), ("mlp.fc2", "output"))
        for name, layer in layers:
            theirs[f"{block}.{layer}.dense.weight"] = flat[f"{ours}.{name}.w"].T
            theirs[f"{block}.{layer}.dense.bias"] = flat[f"{ours}.{name}.b"]
    return {name: np.ascontiguousarray(array) for name, array in theirs.items()}


def torch_model(folder, **settings):
    """The PyTorch model of a folder; settings: what from_pretrained takes."""
    import torch_twins
    from transformers import ViTForImageClassification

    whole = checkpoints.read(Path(folder) / NATIVE) if (Path(folder) / NATIVE).exists() else None
    if whole and whole.config.family == "mixer":
        return torch_twins.mixer(whole.params(), whole.config).to(settings.get("dtype"))
    model = ViTForImageClassification.from_pretrained(folder, **settings).eval()
    return torch_twins.hybrid(whole.params(), whole.config, model).to(model.dtype) if whole else model


def export_onnx(folder):
    """Write model.onnx beside the weights, with a free batch size, through PyTorch."""
    import torch

    model = torch_model(folder, attn_implementation="eager")
    example = torch.zeros(2, 3, 224, 224)
    free = {"pixels": {0: "batch"}, "logits": {0: "batch"}}
    torch.onnx.export(
        model, (example,), str(Path(folder) / "model.onnx"), input_names=["pixels"], output_names=["logits"],
        dynamic_axes=free, opset_version=17, dynamo=False,
    )  # fmt: skip


def quantise_onnx(folder):
    """Write model-int8.onnx beside model.onnx, as ONNX Runtime's dynamic quantisation makes it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model, prepared, quantised = (str(Path(folder) / f"model{part}.onnx") for part in ("", "-prepared", "-int8"))
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, quantised, weight_type=QuantType.QInt8, per_channel=True)
