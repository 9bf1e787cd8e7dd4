"""Which map of a photograph is true?  Deletion and insertion curves of minivit's seven maps on labelled photographs.

    python benchmarks/deletion.py --data $MINIVIT_DATA --json benchmarks/deletion.json

Patches are replaced from a map's largest on; the area below the probability of the class the model sees in the whole
picture is the score (RISE, arXiv:1806.07421): for deletion lower is better, for insertion higher.  A map wins a
photograph where its area is smaller than that of raw last-block attention and than that of a random map.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import minivit
from minivit.tables import Table
from minivit.viz.explain import MAPS, explain
from minivit.viz.faithful import BASELINES, deletion, insertion

WEIGHTS = "deit_tiny/deit_tiny_patch16_224.timm.safetensors"
RIVALS = ("attention", "random")
BATCH = 10


def main():
    args = arguments()
    model = minivit.load(args.weights or args.data / WEIGHTS, args.tier, args.dtype, preprocess="deit")
    photographs = sorted((args.data / "photos" / "imagenet_samples").glob("*.JPEG"))[: args.limit]
    if not photographs:
        sys.exit(f"no *.JPEG below {args.data}/photos/imagenet_samples")
    start = time.perf_counter()
    areas = measure(model, photographs, args)
    rows = [row(name, areas) for name in args.maps]
    said = f"{model.config.name}, tier {args.tier} in {args.dtype}, {len(photographs)} photographs, {args.steps} steps"
    print(Table(tuple(rows[0]), rows))
    print(f"\n{said}, patches replaced by: {args.baseline}; {time.perf_counter() - start:.0f} s")
    print("Area below the probability of the predicted class: mean ± standard error; wins are of deletion")
    if args.json:
        areas = {kind: {name: np.round(x, 5).tolist() for name, x in found.items()} for kind, found in areas.items()}
        text = json.dumps({"what": said, "baseline": args.baseline, "rows": rows, "areas": areas}, ensure_ascii=False)
        args.json.write_text(text + "\n", encoding="utf-8")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("MINIVIT_DATA")
    parser.add_argument("--data", type=Path, default=data, required=not data, help="the folder MINIVIT_DATA")
    parser.add_argument("--weights", help="a checkpoint (default: DeiT-tiny of the data folder)")
    parser.add_argument("--maps", nargs="+", default=list(MAPS), choices=list(MAPS))
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--baseline", choices=BASELINES, default="mean")
    parser.add_argument("--insertion", action="store_true", help="insertion curves too: twice the time")
    parser.add_argument("--limit", type=int, help="the first so many photographs")
    parser.add_argument("--tier", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.maps = [name for name in MAPS if name in {*args.maps, *RIVALS}]
    return args


def measure(model, photographs, args):
    """{"deletion": {map: area per photograph}} and, if asked, "insertion"."""
    kinds = {"deletion": deletion, **({"insertion": insertion} if args.insertion else {})}
    areas = {kind: {name: [] for name in args.maps} for kind in kinds}
    for first in range(0, len(photographs), BATCH):
        pixels = model.preprocess(photographs[first : first + BATCH])
        targets, found = explain(model, pixels, args.maps)
        for i, target in enumerate(targets):
            for name, values in found.items():
                for kind, curve in kinds.items():
                    picture = pixels[i : i + 1]
                    areas[kind][name].append(curve(model, picture, values[i], target, args.steps, args.baseline).auc)
            if sys.stderr.isatty() or i == len(targets) - 1:
                print(f"\r{first + i + 1} / {len(photographs)} photographs", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return areas


def row(name, areas):
    mine, rivals = np.array(areas["deletion"][name]), {rival: np.array(areas["deletion"][rival]) for rival in RIVALS}
    wins = {rival: mine < theirs for rival, theirs in rivals.items()}
    means = {kind: (np.mean(found[name]), np.std(found[name]) / len(mine) ** 0.5) for kind, found in areas.items()}
    text = {kind: f"{mean:.3f} ± {error:.3f}" for kind, (mean, error) in means.items()}
    return {
        "map": name, **text, "beats attention": int(wins["attention"].sum()), "beats random": int(wins["random"].sum()),
        "beats both": int((wins["attention"] & wins["random"]).sum()),
    }  # fmt: skip


if __name__ == "__main__":
    main()
