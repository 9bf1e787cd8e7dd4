"""Time one training step (forward, backward, AdamW) beside PyTorch: same model, batch, recipe and threads.

    python benchmarks/learning.py --engines minivit-cpu-fp32 minivit-cpu-bf16 torch-fp32 --json learning.json

The model is the bundled one (preset "cifar10" at its full 32×32 pixels).  Each engine runs alone in its process, in
turns; before anything is timed, all take the same first steps from the same weights on the same pictures, and their
losses must agree.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import compare
import numpy as np
import seeded_weights

from minivit.tables import Table
from minivit.train.presets import PRESETS

CIFAR10 = PRESETS["cifar10"]
MODEL = replace(CIFAR10.model, image=(32, 32), classes=10)
RECIPE = replace(CIFAR10, model=MODEL, optimiser="adamw", average=None, warmup=0, decay="linear")
STEPS = 1_000_000  # so many that the learning rate stays what it is
FIRST = 3  # steps whose losses must agree
TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}
COLUMNS = ("engine", "batch", "median_ms", "best_ms", "ratio", "peak_rss_mb", "loss")


def pictures(batch):
    """(images float32 (B,h,w,3), labels (B,)) that every engine learns from."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, *RECIPE.model.image, 3), dtype=np.float32)
    return images, rng.integers(RECIPE.model.classes, size=batch)


class Minivit:
    def __init__(self, tier, dtype):
        self.tier, self.dtype = tier, {"fp32": "float32", "bf16": "bfloat16"}[dtype]

    def load(self, folder):
        from minivit import checkpoints, tiers
        from minivit.train.learner import Learner

        checkpoint = checkpoints.read(folder)
        ops = tiers.load(self.tier, self.dtype, training=True)
        self.learner = Learner(replace(RECIPE, model=checkpoint.config), ops, STEPS, checkpoint.params())

    def prepare(self, images, labels):
        return images, labels

    def step(self, images, labels):
        return self.learner.step(images, labels)[0]


class Torch:
    def __init__(self, dtype):
        self.dtype = dtype

    def load(self, folder):
        import torch
        from transformers import ViTForImageClassification

        self.torch = torch
        self.model = ViTForImageClassification.from_pretrained(folder, attn_implementation="sdpa").train()
        matrices = [p for p in self.model.parameters() if p.ndim in (2, 4)]
        others = [p for p in self.model.parameters() if p.ndim not in (2, 4)]
        groups = [{"params": matrices, "weight_decay": RECIPE.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, RECIPE.rate, RECIPE.betas, RECIPE.eps, fused=True)

    def prepare(self, images, labels):
        return self.torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), self.torch.from_numpy(labels)

    def step(self, images, labels):
        torch = self.torch
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == "bf16"):
            logits = self.model(images).logits
        loss = torch.nn.functional.cross_entropy(logits.float(), labels, label_smoothing=RECIPE.smoothing)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), RECIPE.clip)
        self.optimiser.step()
        return loss.item()


ENGINES = {
    "minivit-ref-fp32": lambda: Minivit("ref", "fp32"),
    "minivit-cpu-fp32": lambda: Minivit("cpu", "fp32"),
    "minivit-cpu-bf16": lambda: Minivit("cpu", "bf16"),
    "torch-fp32": lambda: Torch("fp32"),
    "torch-bf16": lambda: Torch("bf16"),
}


def timed(engine, repeat, batch):
    """Seconds and loss of each of some steps, and the peak memory."""
    ready, seconds, losses = engine.prepare(*pictures(batch)), [], []
    for _ in range(repeat):
        start = perf_counter()
        losses.append(float(engine.step(*ready)))
        seconds.append(perf_counter() - start)
    return {"seconds": seconds, "losses": losses, "peak_rss_mb": compare.peak_rss_mb()}


def measure(folder, args):
    """One row per engine."""
    with contextlib.ExitStack() as stack:
        workers = {}
        for name in args.engines:
            workers[name] = compare.Worker(name, folder, args.threads, __file__)
            stack.callback(workers[name].close)
            workers[name].ask(ready=True)
        first = {name: w.ask(repeat=FIRST, batch=args.batch)["losses"] for name, w in workers.items()}
        for name, losses in first.items():
            truth = first[args.engines[0]]
            if not np.allclose(losses, truth, rtol=TOLERANCE[name[-4:]]):
                sys.exit(f"{name} loses {losses} in its first steps, {args.engines[0]} {truth}: not the same training")
        times, answers = {name: [] for name in workers}, {}
        for i in range(args.rounds):
            for name, w in workers.items():
                answers[name] = w.ask(repeat=args.repeat, batch=args.batch)
                times[name] += answers[name]["seconds"]
            print(f"\rround {i + 1} of {args.rounds}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    medians = {name: 1e3 * statistics.median(seconds) for name, seconds in times.items()}
    return [
        {
            "engine": name, "batch": args.batch, "median_ms": medians[name], "best_ms": 1e3 * min(times[name]),
            "ratio": medians[name] / medians[args.engines[-1]], "peak_rss_mb": answers[name]["peak_rss_mb"],
            "loss": first[name][-1],
        }
        for name in workers
    ]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=["minivit-cpu-fp32", "torch-fp32"])
    parser.add_argument("--batch", type=int, default=RECIPE.batch)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10, help="times each engine has its turn (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=2, help="steps per turn (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="save machine and rows")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seeded_weights.hugging_face_folder(RECIPE.model, folder)
        rows = measure(folder, args)
    print(Table(COLUMNS, rows))
    print(f"ratio: of the medians, to {args.engines[-1]}")
    if args.json:
        report = {"machine": compare.machine(args.threads), "rows": rows}
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        os.environ["OMP_NUM_THREADS"] = sys.argv[4]
        compare.worker(ENGINES[sys.argv[2]](), sys.argv[3], timed)
    else:
        main()
