"""What tier "gpu" computes on this machine's GPU, against float64: every rung of every ladder, goldens, whole models.

    python tests/gpu/gpu_checks.py               a line per check; exit code 1 if one fails
    python tests/gpu/gpu_checks.py --small       one small shape of each: for compute-sanitizer
    python tests/gpu/gpu_checks.py --share 0/8   every eighth: most of the time goes into compiling, on one CPU each

The same checks run under pytest (test_gpu_hardware.py).
"""

import argparse
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from minivit import config, params, tiers
from minivit.gpu.arrays import on_device
from minivit.gpu.formats import FLOAT32, FORMATS
from minivit.model import Model
from minivit.tables import Table

TOLERANCE = {"float32": 2e-5, "float16": 1e-2, "bfloat16": 1e-2}  # of max|reference|
HYBRID = 5e-4  # of hybrids in float32: minivit/check/verdict.py, whose packages a machine with a GPU may lack
GOLDEN = Path(__file__).parent.parent / "golden"
CASES = ("vit__token", "vit__gap", "vit__token_representation", "vit__headless", "vit__patch8", "vit__patch32",
         "vit__unpooled", "timm__vit_avg", "hf__deit_distilled", "hf__vit_classification")  # fmt: skip
CASES += ("hybrid__r_stem", "hybrid__r_1_1", "hybrid__r26_like", "hybrid__r50_like", "mixer__small", "mixer__patch8",
          "lit__bert", "lit__bert_two_heads", "lit__text_transformer")  # fmt: skip
TINY = config.ViTConfig("tiny", image=(32, 48), patch=16, width=192, blocks=3, heads=3, mlp=768, classes=10)
RESNET = config.HybridConfig("resnet", 1, width=192, blocks=2, heads=3, mlp=768, classes=10, image=(32, 48),
                             stem=config.Stem((2, 1), width=16, groups=8))  # fmt: skip
MIXER = config.MixerConfig("mixer", patch=8, width=64, blocks=2, token_mlp=32, mlp=128, classes=10, image=(32, 48))


@dataclass(frozen=True)
class Check:
    name: str
    run: object  # () -> (error relative to max|reference|, tolerance)
    small: bool = False  # quick enough for compute-sanitizer


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def compared(name, function, reference, arrays, format, small, extra=()):
    """A check that `function` of those arrays, on the device in that format, is `reference` of the same numbers."""

    def run():
        given = [on_device(x, format) for x in arrays]
        truth = reference(*(np.asarray(x, np.float64) for x in given), *extra)
        found = np.asarray(function(*given, *extra), np.float64)
        error = np.abs(found - truth).max() / np.abs(truth).max()
        return float(error) if np.isfinite(error) else np.inf, TOLERANCE[format.name]

    return Check(name, run, small)


def op_checks():
    """Every rung of every ladder, in every format that it takes."""
    for format in FORMATS.values():
        yield from map_checks(format)
        for rows, inputs, outputs in ((1, 768, 1000), (2, 3, 5), (17, 33, 50), (197, 192, 576), (577, 768, 64)):
            arrays = numbers(rows, inputs), numbers(inputs, outputs, seed=1) / inputs**0.5, numbers(outputs, seed=2)
            yield from ladder("linear", "linear", arrays, format, f"{rows}×{inputs}×{outputs}", rows == 17)
        for rows, width in ((1, 768), (17, 33), (197, 1024), (577, 3000)):
            arrays = numbers(rows, width) + 1, numbers(width, seed=1), numbers(width, seed=2)
            yield from ladder("layernorm", "layernorm", arrays, format, f"{rows}×{width}", rows == 17, (1e-6,))
            yield from ladder("softmax", "softmax", arrays[:1], format, f"{rows}×{width}", rows == 17)
            for kind in ("tanh", "erf"):
                yield from ladder("gelu", "gelu", arrays[:1], format, f"{kind} {rows}×{width}", rows == 17, (kind,))
        for tokens, heads, width in ((1, 3, 64), (2, 1, 64), (17, 2, 32), (197, 3, 64), (577, 2, 80)):
            arrays = [numbers(2, heads, tokens, width, seed=i) for i in range(3)]
            name = f"{tokens} tokens, {heads}×{width}"
            yield from ladder("attention", "attend", arrays, format, name, tokens == 17, reference=attend)
        for height, width, patch in ((32, 48, 16), (35, 50, 7)):
            arrays = numbers(2, height, width, 3), numbers(patch, patch, 3, 64, seed=1) / 16, numbers(64, seed=2)
            yield from ladder("patches", "patch_embed", arrays, format, f"{height}×{width}, {patch}", patch == 7)


def map_checks(format):
    """The ops of the hybrids' maps: the root, 3×3 with and without a stride, 1×1, channels of any number."""
    for shape, side, stride, outputs in (
        ((1, 64, 64, 3), 7, 2, 64), ((2, 17, 15, 128), 3, 2, 64), ((1, 14, 14, 256), 1, 1, 1024),
        ((2, 5, 7, 6), 3, 1, 10), ((2, 9, 8, 64), 1, 2, 256),
    ):  # fmt: skip
        w = numbers(side, side, shape[3], outputs, seed=1) / (side * shape[3] ** 0.5)
        name, small = f"{shape} {side}×{side} / {stride}", shape[3] == 6
        yield from ladder("conv", "conv", (numbers(*shape), w), format, name, small, (stride,))
    for shape, groups in (((2, 56, 56, 64), 32), ((1, 14, 14, 1024), 32), ((2, 5, 7, 6), 3), ((3, 1, 1, 64), 8)):
        arrays = numbers(*shape) + 1, numbers(shape[3], seed=1), numbers(shape[3], seed=2)
        name, small = f"{shape} {groups} groups", shape[3] == 6
        yield from ladder("groupnorm", "groupnorm", arrays, format, name, small, (groups, 1e-6))
        yield from ladder("max_pool", "max_pool", arrays[:1], format, f"{shape}", small, (3, 2))
        yield from ladder("relu", "relu", arrays[:1], format, f"{shape}", small)


def ladder(folder, op, arrays, format, name, small, extra=(), reference=None):
    reference = reference or getattr(import_module(f"minivit.ops.{folder}.ref"), op)
    for rung, function in import_module(f"minivit.ops.{folder}.gpu").LADDER.items():
        if takes(op, rung, format):
            title = f"{op} {rung} {format} {name}"
            yield compared(title, function, reference, arrays, format, small, extra)


def takes(op, rung, format):
    """Whether a rung multiplies that format: the last of the products are for float32, or for halves."""
    halves_only = {("linear", "v4"), ("patch_embed", "v3"), ("conv", "v3")}
    float32_only = {("linear", "v3"), ("patch_embed", "v2"), ("conv", "v2")}
    return (op, rung) not in (halves_only if format is FLOAT32 else float32_only)


def attend(q, k, v):
    # q, k, v (B,H,N,K) -> (B,H,N,K)
    ref = import_module("minivit.ops.attention.ref")
    return ref.mix(import_module("minivit.ops.softmax.ref").softmax(ref.scores(q, k)), v)


def golden(name):
    def run():
        from minivit import check

        verdicts = check.run(GOLDEN / name, "gpu")
        worst = max(verdicts, key=lambda v: np.inf if v.error is None else v.error / v.tolerance)
        return np.inf if worst.error is None else worst.error, worst.tolerance

    return Check(f"golden {name}", run)


def whole_model(settings, batch, dtype, size=None, small=False):
    """A seeded model, twice with other images: the second run replays the graph of the first."""

    def run():
        half = Model(settings, params.seeded(settings), tiers.load("gpu", dtype))
        kept = {path: np.asarray(value, np.float64) for path, value in params.flatten(half.params).items()}
        truth, worst = Model(settings, params.nest(kept), tiers.load("ref", "float64")), 0.0
        for seed in (0, 1):
            images = numbers(batch, *(size or settings.image), 3, seed=seed)
            expected = truth.run(images)
            worst = max(worst, np.abs(half.run(images) - expected).max() / np.abs(expected).max())
        allowed = HYBRID if (settings.family, dtype) == ("hybrid", "float32") else TOLERANCE[dtype]
        return worst if np.isfinite(worst) else np.inf, allowed

    return Check(f"model {settings.name} {dtype}, {batch} images of {size or settings.image}", run, small)


def checks():
    yield from op_checks()
    missing = [name for name in ("PIL", "safetensors", "threadpoolctl") if find_spec(name) is None]
    if missing:
        print(f"golden cases are not checked: {', '.join(missing)} not installed")
    else:
        yield from map(golden, CASES)
    for dtype in TOLERANCE:
        yield whole_model(TINY, 2, dtype, small=True)
        for batch in (1, 7, 257):
            yield whole_model(TINY, batch, dtype)
        yield whole_model(TINY, 3, dtype, (64, 64))
        yield whole_model(config.variant("Ti/16"), 2, dtype)
        yield whole_model(RESNET, 2, dtype, small=True)
        yield whole_model(RESNET, 7, dtype, (70, 41))
        yield whole_model(config.variant("R50+B/16"), 1, dtype, (64, 64))
        yield whole_model(MIXER, 2, dtype)


def measured(check):
    """(error, tolerance); an error without end if it could not be run."""
    try:
        return check.run()
    except Exception as error:  # of a kernel, the compiler or the driver: the other checks are worth running
        print(f"{check.name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)
        return np.inf, 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="one small shape of each")
    parser.add_argument("--share", default="0/1", metavar="I/N", help="every N-th check, from the I-th on")
    rows, chosen = [], parser.parse_args()
    first, step = (int(number) for number in chosen.share.split("/"))
    for number, one in enumerate(checks()):
        if (one.small or not chosen.small) and number % step == first:
            error, tolerance = measured(one)
            rows.append({"check": one.name, "ok": bool(error <= tolerance), "error": error, "tolerance": tolerance})
            print(f"{'OK' if error <= tolerance else 'NOT OK':>6}  {error:9.2e}  {one.name}", flush=True)
    failed = [row for row in rows if not row["ok"]]
    print(f"\n{len(rows) - len(failed)} of {len(rows)} checks OK")
    if failed:
        print(Table(rows[0], failed))
        sys.exit(1)


if __name__ == "__main__":
    main()
