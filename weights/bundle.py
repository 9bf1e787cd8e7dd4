"""Make the model in the box out of its training runs: one float16 file, its card, its picture.

    python weights/bundle.py small full --data cifar10.npz --machine "2 cores of …"

The runs are those of the card, below, each fine-tuned from the one before.  Every figure of the card is read from their
logs or measured here, on the file that is written, with the code of `minivit eval`.
"""

import argparse
from dataclasses import asdict, replace
from itertools import accumulate
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
| time | {minutes} minutes on {machine} |
| seed | {seed} |
| licence | Apache-2.0, as minivit; CIFAR-10: Krizhevsky 2009 |

## How it was made

```sh
minivit train --data cifar10.npz --preset cifar10 --output small --dtype bfloat16
minivit finetune small/last.safetensors --data cifar10.npz --preset cifar10-finish --size 32x32 \\
  --output full --dtype bfloat16
minivit eval --data cifar10.npz --tier cpu # {top1:.2%}
```

First {epochs[0]} epochs at 24×24 pixels, which is half the work, then {epochs[1]} at 32×32. What makes few epochs
enough are Muon (`minivit/train/muon.py`) and mimetic initialisation (`minivit/train/mimetic.py`); the rest is usual:
label smoothing, pictures moved and mirrored, TrivialAugment, a moving average of the parameters. TrivialAugment
matters: an earlier second run went without it and began to learn its pictures by heart, the training loss fell and the
test loss no longer did.

![Loss and accuracy of the runs, one after the other]({name}.png)

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
    parser.add_argument("runs", type=Path, nargs="+", help="the folders of the runs, the last one last")
    parser.add_argument("--data", required=True, help="CIFAR-10")
    parser.add_argument("--machine", required=True, help="what the runs ran on, for the card")
    args = parser.parse_args()
    settings = [Settings.load(run) for run in args.runs]
    write(args.runs[-1] / "last.safetensors", settings[:-1])
    model = minivit.load(HERE / f"{BUNDLED}.safetensors", "cpu")
    result = evaluate(model, data.load(args.data, train=False).test, batch=100)
    tests = [log.read(run / "tests.csv", log.TESTS) for run in args.runs]
    draw([log.read(run / "log.csv", log.STEPS) for run in args.runs], tests).save(HERE / f"{BUNDLED}.png")
    (HERE / f"{BUNDLED}.md").write_text(card(model, result, tests, settings, args), encoding="utf-8")
    print(f"{result.top1:.2%} of {result.images:,} pictures")


def write(path, before):
    """Save a run's model as float16, under its own name; the file tells the recipes of the runs before it too."""
    checkpoint = checkpoints.read(path)
    config = replace(checkpoint.config, name=BUNDLED)
    recipes = [asdict(settings.recipe) for settings in before]
    told = {**checkpoint.provenance, "start": "the runs before", "before": recipes}
    told["data"] = Path(told["data"]).name
    native.write(HERE / f"{BUNDLED}.safetensors", config, checkpoint.params(), checkpoint.labels, told, "float16")


def draw(steps, tests):
    """Loss and test accuracy of the runs, one after the other; each a list of logs."""
    step, epoch = in_a_row(steps, "step"), in_a_row(tests, "epoch")
    loss = [mean for rows in steps for mean in log.smooth([row["loss"] for row in rows])]
    accuracy = [100 * row["accuracy"] for rows in tests for row in rows]
    return panels.row(
        panels.curves(step, {"loss": loss}, "training loss, mean of 25 rows of the log", "step"),
        panels.curves(epoch, {"accuracy": accuracy}, "test accuracy in %, 24×24 then 32×32 pixels", "epoch"),
    )


def in_a_row(logs, name):
    """A column of several logs that goes on counting from one to the next."""
    ends = accumulate((rows[-1][name] for rows in logs), initial=0)
    return [end + row[name] for end, rows in zip(ends, logs, strict=False) for row in rows]


def card(model, result, tests, settings, args):
    """The text of the card."""
    config, recipe = model.config, settings[-1].recipe
    return CARD.format(
        **{name: getattr(config, name) for name in ("name", "blocks", "width", "heads", "mlp", "patch")},
        size="×".join(map(str, config.image)), parameters=params.count(config), top1=result.top1, top5=result.top5,
        megabytes=(HERE / f"{BUNDLED}.safetensors").stat().st_size / 1e6, machine=args.machine, seed=recipe.seed,
        data=f"CIFAR-10, {settings[0].train:,} pictures to learn from", epochs=[one.recipe.epochs for one in settings],
        minutes=" + ".join(f"{rows[-1]['seconds'] / 60:.0f}" for rows in tests),
        table=Table(("class", "images", "correct", "accuracy", "confused_with", "times"), result.per_class()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
