"""Walk one picture through a Vision Transformer, step by step, and draw where it looks; needs no file and no network.
Of a Mixer, which looks nowhere, every tensor of the walk is drawn.

Without an image it paints its own; without weights it takes the bundled model, which knows the ten classes of CIFAR-10.
`--model demo` is a model that was never trained, for comparison.
"""

import logging
import time
from dataclasses import asdict

from .. import names, params
from ..errors import InputError
from ..tables import Table
from . import options

EXAMPLE = "minivit demo cat.jpg --weights deit_tiny.safetensors -o cat-attention.png"

#: The tensors that are told as numbered steps, where the model has them
TOLD = (
    *("image", "embed.patches", "embed.tokens", "embed.out"),
    *("block0.attn.probs", "block0.token_mlp.in", "block0.token_mlp.act"),
    *("block0.resid_mid", "block0.mlp.act", "block0.resid_post", "block{last}.resid_post"),
    *("final.norm", "head.pooled", "logits"),
)


def arguments(parser):
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="an image file (default: paints one)")
    options.model(parser)
    parser.add_argument("-o", "--output", default="minivit-demo.png", metavar="FILE", help="default: %(default)s")
    parser.add_argument("--full", action="store_true", help="list the tensors of every block, not only of the first")
    options.as_json(parser)


def run(args):
    if not args.output.lower().endswith(".png"):
        raise InputError(f"cannot write {args.output}: the result is a picture, expected a name that ends in .png")
    model = options.read_model(args)
    steps, top = walk(model, args)
    image = args.image or "a painted " + painting(model)[0]
    if args.json:
        answer = {"image": image, "model": model.config.name, "output": args.output, "steps": steps}
        options.print_json({**answer, "top": [asdict(prediction) for prediction in top]})
    else:
        tell(model, image, steps, top, args.output)


def walk(model, args):
    """Run the picture through the model and draw the maps: one dict per tensor, and the most probable classes."""
    from ..viz import plots

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # on first use it reports that it builds a font cache
    image = args.image or painting(model)[1].draw()
    known = names.of(model.config)
    listed = known if args.full else [name for name in known if _outlines(name, model.config)]
    if model.config.family == "mixer":
        trace = model.trace(image, listed, args.size)
        trace.show().save(args.output)
    else:
        trace = model.trace(image, [*listed, "block*.attn.probs"], args.size)
        plots.attention_figure(trace, name="demo model, never trained" if untrained(model) else None).save(args.output)

    ready = fastest(model, image, args.size)
    rows = trace.table(listed).rows
    steps = [{**row, "meaning": known[row["name"]].meaning, "ms": ready[row["name"]]} for row in rows]
    one_answer = "logits" in trace and trace["logits"].ndim == 2
    return steps, model.top(trace["logits"][0]) if one_answer else []


def painting(model):
    """What is painted for a model, by name, and the module that does it: something that it may know."""
    from ..viz import picture, ship

    return ("ship", ship) if "ship" in (model.labels or ()) else ("hot-air balloon", picture)


def _outlines(name, config):
    last = f"block{config.blocks - 1}.resid_post"
    return not name.startswith("block") or name.startswith("block0.") or name == last


def untrained(model):
    return model.source == "demo"


def tell(model, image, steps, top, output):
    """Print the walk for people."""
    config = model.config
    mixer = config.family == "mixer"
    heads = "" if mixer else f"{config.heads} heads, "
    print(f"{image} → {config.name}: {config.blocks} blocks, {heads}{params.count(config):,} parameters")
    print(f"Every patch of {config.cell}×{config.cell} pixels becomes a token, a vector of {config.width} numbers.")
    how = "an MLP across tokens, the same for every channel" if mixer else "attention"
    print(f"In every block the tokens read each other ({how}), then each is worked on by itself (MLP).\n")

    wanted = [name.format(last=config.blocks - 1) for name in TOLD]
    told = [row for row in steps if row["name"] in wanted]
    numbered = [{**row, "step": i, "ms": round(row["ms"], 1)} for i, row in enumerate(told, 1)]
    print(Table(("step", "name", "shape", "paper", "ms", "meaning"), numbered))
    print("ms: time from the image to this tensor, the fastest of three runs\n")
    print(Table(("name", "shape", "dtype", "min", "mean", "max", "paper"), steps))

    if top:
        print("\nMost probable classes:", *top, sep="\n  ")
    if untrained(model):
        print("These weights are random, never trained: the answer means nothing. Walk through a trained model with")
        print(f"  {EXAMPLE}")
    print(f"\n{output}: {'every tensor of the walk' if mixer else 'where it looks, head by head and block by block'}")


def fastest(model, image, size, runs=3):
    """{tensor name: milliseconds from the image to it}, in the fastest of some runs."""
    taps = []
    for _ in range(runs):
        taps.append(Stopwatch(time.perf_counter()))
        model.run(image, size, tap=taps[-1])
    return min((tap.ready for tap in taps), key=lambda ready: max(ready.values()))


class Stopwatch:
    """A tap that notes when each tensor is ready, in milliseconds after `start`."""

    active = True

    def __init__(self, start, ready=None, prefix=""):
        self.start, self.ready, self.prefix = start, {} if ready is None else ready, prefix

    def inside(self, part):
        return Stopwatch(self.start, self.ready, f"{self.prefix}{part}.")

    def __call__(self, name, x):
        self.ready[self.prefix + name] = 1000 * (time.perf_counter() - self.start)
        return x
