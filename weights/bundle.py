"""Make the model in the box out of its two training runs: one float16 file, its card, its picture.

    python weights/bundle.py run24 run32 --data cifar10.npz --machine "2 cores of …"

The runs are those of the card, below.  Every figure of the card is read from the runs' logs or measured here, on the
file that is written, with the code of `minivit eval`.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import minivit
from minivit import checkpoints, data, params
from minivit.checkpoints import native
from minivit.evaluate import evaluate
from minivit.loading import BUNDLED
from minivit.tables import Table
from minivit.train import log
from minivit.train.state import Settings
from minivit.viz import panels

HERE = Path(__file__).parent
CARD = """\
# {name}: the model in the box

A Vision Transformer that minivit trained itself, from random numbers, on nothing but the 50,000 training pictures of
CIFAR-10. It is what `minivit.load()`, `minivit demo` and `minivit classify` use when no other weights are named.

| | |
|---|---|
| model | {blocks} blocks, width {width}, {heads} heads, MLP {mlp}, patch {patch}×{patch}, image {size} |
| parameters | {parameters:,} |
| file | float16 safetensors, {megabytes:.1f} MB |
| accuracy | **{top1:.2%}** top-1, {top5:.2%} top-5 of the 10,000 test pictures, measured on this file |
| data | {data}; the last epoch is kept, not the best one |
| time | {first:.0f} + {second:.0f} minutes on {machine} |
| seed | {seed} |
| licence | Apache-2.0, as minivit; CIFAR-10: Krizhevsky 2009 |

## How it was made

```sh
{commands}
```

Two recipes (`minivit/train/presets.py`): {epochs} epochs at 24×24 pixels, then {finish} at 32×32. What makes few epochs
enough are Muon (`minivit/train/muon.py`) and mimetic initialisation (`minivit/train/mimetic.py`); the rest is usual:
label smoothing 0.1, moved and mirrored pictures, TrivialAugment in the first part, a moving average of the parameters.

![Loss and accuracy of both runs]({name}.png)

## How often it is right

```
{table}
```

## Limits

It knows ten classes and must choose one of them, whatever it is shown; it has never seen a person. Pictures are cut to
a square and made 32×32 pixels small, so small things vanish. Its training pictures are JPEG copies of CIFAR-10. It is
for learning how a ViT works, not for deciding anything.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path, help="the run at 24×24 pixels")
    parser.add_argument("second", type=Path, help="the run at 32×32 pixels, fine-tuned from it")
    parser.add_argument("--data", required=True, help="CIFAR-10")
    parser.add_argument("--machine", required=True, help="what the runs ran on, for the card")
    args = parser.parse_args()
    settings = Settings.load(args.second)
    write(args.second / "last.safetensors", Settings.load(args.first))
    model = minivit.load(HERE / f"{BUNDLED}.safetensors", "cpu")
    result = evaluate(model, data.load(args.data, train=False).test, batch=100)
    tests = [log.read(run / "tests.csv", log.TESTS) for run in (args.first, args.second)]
    steps = [log.read(run / "log.csv", log.STEPS) for run in (args.first, args.second)]
    draw(steps, tests).save(HERE / f"{BUNDLED}.png")
    minutes = [rows[-1]["seconds"] / 60 for rows in tests]
    (HERE / f"{BUNDLED}.md").write_text(card(model, result, minutes, settings, args), encoding="utf-8")
    print(f"{result.top1:.2%} of {result.images:,} pictures")


def write(path, first):
    """Save a run's model as float16, under its own name; the file tells the recipes of both runs."""
    checkpoint = checkpoints.read(path)
    config = replace(checkpoint.config, name=BUNDLED)
    first = json.loads(json.dumps(first, default=vars))
    told = {**checkpoint.provenance, "start": "a run at 24×24 pixels", "first": first["recipe"]}
    told["data"] = Path(told["data"]).name
    native.write(HERE / f"{BUNDLED}.safetensors", config, checkpoint.params(), checkpoint.labels, told, "float16")


def draw(steps, tests):
    """Loss and test accuracy of both runs, one after the other; each a list of two logs."""
    step = [row["step"] + i * steps[0][-1]["step"] for i, rows in enumerate(steps) for row in rows]
    epoch = [row["epoch"] + i * tests[0][-1]["epoch"] for i, rows in enumerate(tests) for row in rows]
    loss = [mean for rows in steps for mean in log.smooth([row["loss"] for row in rows])]
    accuracy = [100 * row["accuracy"] for rows in tests for row in rows]
    return panels.row(
        panels.curves(step, {"loss": loss}, "training loss, mean of 25 rows of the log", "step"),
        panels.curves(epoch, {"accuracy": accuracy}, "test accuracy in %, 24×24 then 32×32 pixels", "epoch"),
    )


def card(model, result, minutes, settings, args):
    """The text of the card."""
    config, recipe = model.config, settings.recipe
    commands = (
        "minivit train --data cifar10.npz --preset cifar10 --output run24 --dtype bfloat16",
        "minivit finetune run24/last.safetensors --data cifar10.npz --preset cifar10-finish --size 32x32 --output run32"
        " --dtype bfloat16",
        f"minivit eval --data cifar10.npz --tier cpu     # {result.top1:.2%}",
    )
    return CARD.format(
        **{name: getattr(config, name) for name in ("name", "blocks", "width", "heads", "mlp", "patch")},
        size="×".join(map(str, config.image)), parameters=params.count(config), commands="\n".join(commands),
        megabytes=(HERE / f"{BUNDLED}.safetensors").stat().st_size / 1e6, top1=result.top1, top5=result.top5,
        data=f"CIFAR-10, {settings.train:,} pictures to learn from", first=minutes[0], second=minutes[1],
        machine=args.machine, seed=recipe.seed, epochs=Settings.load(args.first).recipe.epochs, finish=recipe.epochs,
        table=Table(("class", "images", "correct", "accuracy", "confused_with", "times"), result.per_class()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
