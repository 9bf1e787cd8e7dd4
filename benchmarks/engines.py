"""The engines of compare.py.  Each runs alone in a process: `load(folder, model)`, then `run(images) -> logits`.

Images are float32 (B,224,224,3), already normalised; an engine that wants another layout converts outside the timing.
"""

from pathlib import Path

import numpy as np
import seeded_weights


class Minivit:
    def __init__(self, tier, dtype):
        dtypes = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}
        self.tier, self.dtype = tier, dtypes[dtype]

    def load(self, folder):
        import minivit

        file = Path(folder) / seeded_weights.NATIVE
        self.model = minivit.load(file if file.exists() else folder, tier=self.tier, dtype=self.dtype)

    def prepare(self, images):
        return images

    def run(self, images):
        return self.model.run(images)


class Torch:
    def __init__(self, dtype):
        self.dtype = dtype

    def load(self, folder):
        import torch

        self.torch, self.type = torch, {"fp32": torch.float32, "bf16": torch.bfloat16}[self.dtype]
        self.model = seeded_weights.torch_model(folder, attn_implementation="sdpa", dtype=self.type)

    def prepare(self, images):
        return self.torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(self.type)

    def run(self, images):
        with self.torch.inference_mode():
            found = self.model(images)
        return getattr(found, "logits", found).float().numpy()  # transformers wraps them


class OnnxRuntime:
    def __init__(self, dtype, threads):
        self.dtype, self.threads = dtype, threads

    def load(self, folder):
        import onnxruntime

        file = Path(folder) / "model.onnx"
        if self.dtype == "int8":
            file = file.with_name("model-int8.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def prepare(self, images):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    def run(self, images):
        return self.session.run(None, {self.session.get_inputs()[0].name: images})[0]


class OpenVino:
    def __init__(self, dtype, threads):
        self.dtype, self.threads = dtype, threads

    def load(self, folder):
        import openvino

        precision = {"fp32": "f32", "bf16": "bf16"}[self.dtype]
        settings = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.compiled = openvino.Core().compile_model(str(Path(folder) / "model.onnx"), "CPU", settings)

    def prepare(self, images):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    def run(self, images):
        return np.asarray(next(iter(self.compiled(images).values())))


def make(name, threads):
    """The engine of that name, such as "minivit-cpu-int8" or "onnxruntime-fp32"."""
    engine, _, dtype = name.rpartition("-")
    if engine.startswith("minivit-"):
        return Minivit(engine.removeprefix("minivit-"), dtype)
    if engine == "torch":
        return Torch(dtype)
    return {"onnxruntime": OnnxRuntime, "openvino": OpenVino}[engine](dtype, threads)


NAMES = (
    "minivit-ref-fp32", "minivit-cpu-fp32", "minivit-cpu-fp16", "minivit-cpu-bf16", "minivit-cpu-int8",
    "torch-fp32", "torch-bf16", "onnxruntime-fp32", "onnxruntime-int8", "openvino-fp32", "openvino-bf16",
)  # fmt: skip
