"""Whole models for gpu.py: minivit by CUDA graph, PyTorch eager and compiled, images and logits on the device."""

from functools import cache

import numpy as np
import torch
from gpu_timing import DEVICE, TOLERANCE, TORCH, median_of, numbers, refuse_wrong, torch_seconds
from gpu_torch import torch_model

from minivit import params, tiers
from minivit.model import Model

HYBRID = 5e-4  # of hybrids in float32: minivit/check/verdict.py, whose packages a machine with a GPU may lack


@cache
def exact(settings):
    """(parameters, two images, their logits in float64) of a seeded model."""
    tree, images = params.seeded(settings), numbers(2, *settings.image, 3)
    with torch.inference_mode():
        return tree, images, torch_model(settings, tree).double()(torch.from_numpy(images).double()).numpy()


def pytorch(settings, dtype, batch):
    """(model, images) on the device."""
    images = torch.from_numpy(numbers(batch, *settings.image, 3)).to(DEVICE, TORCH[dtype])
    return torch_model(settings, exact(settings)[0]).to(DEVICE, TORCH[dtype]).eval(), images


def inferring(model, images):
    def run():
        with torch.inference_mode():
            return model(images)

    return run


def measure_model(settings, dtype, batch):
    """A whole forward pass: minivit by graph, PyTorch eager, images and logits on the device."""
    tree, two, truth = exact(settings)
    mine = Model(settings, tree, tiers.load("gpu", dtype))
    allowed = HYBRID if (settings.family, dtype) == ("hybrid", "float32") else TOLERANCE[dtype]
    refuse_wrong(f"{settings.name} {dtype}", mine.run(two).astype(np.float64), truth, allowed)
    images = numbers(batch, *settings.image, 3)
    mine.run(images)
    graphs = mine.ops.run.graphs
    launch = next(reversed(graphs.values())).launch if graphs else lambda: mine.run(images)
    row = {"model": settings.name, "dtype": dtype, "batch": batch}
    row["ms"] = 1e3 * median_of(launch)
    return {**row, "eager_ms": 1e3 * torch_seconds(inferring(*pytorch(settings, dtype, batch)))}


def compiled_ms(settings, dtype, batch):
    """Milliseconds of torch.compile; at batch 1 by CUDA graphs too."""
    model, images = pytorch(settings, dtype, batch)
    return 1e3 * torch_seconds(inferring(torch.compile(model, mode="reduce-overhead" if batch == 1 else None), images))
