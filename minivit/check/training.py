"""Golden training runs: ten steps of the official fine-tuning program on one fixed batch.

A case holds three variants of it: "bf16acc", the program as it is, which rounds its momentum to bfloat16; "f32acc",
the same with a float32 momentum; "f64", all of it in float64.  One run of ours, not rounded, answers to the last two.
"""

import numpy as np

from .. import checkpoints, tiers
from ..errors import InputError
from ..files import read_arrays
from ..models import vit
from ..train import SGD, Vector, clip, gradients_of_batch, learning_rate
from .verdict import FLOAT64, Verdict

#: what another order of summation may change in ten steps of float32: (per step and in the logits, in the update)
FLOAT32 = 1e-5, 1e-4
#: …where it also rounds some momenta the other way.  Plain momentum moves the parameters 4e-3 differently: it fails
BFLOAT16 = 1e-4, 1e-3


def check(case, tier, dtype, against):
    if dtype not in ("float32", "float64"):
        raise InputError(f"{case['folder']}: this case trains, which needs dtype float32 or float64, not {dtype}")
    ops = tiers.load(tier, dtype, training=True)
    start = checkpoints.read(case["folder"] / "weights.npz", pool=case["config"]["classifier"])
    plain = train(case, start, ops, buffer=dtype)
    runs = {"bf16acc": train(case, start, ops, buffer="bfloat16"), "f32acc": plain, "f64": plain}
    expected = read_arrays(case["folder"] / "tensors.npz")
    final = read_arrays(case["folder"] / "final_params.npz")
    expected |= {f"{variant}/update": _update(start, final, f"{variant}/final/") for variant in runs}
    names = [f"{variant}/{quantity}" for variant in runs for quantity in plain]
    return [judge(*name.split("/"), runs, expected[name], dtype) for name in names]


def train(case, start, ops, buffer):
    """{quantity: array} of one run: loss, rate and norm of every step, the logits after the last, the whole update."""
    recipe, inputs = case["training"], read_arrays(case["folder"] / "inputs.npz")
    images, targets = (inputs[name].astype(ops.activations) for name in ("images", "labels_onehot"))
    vector = Vector(start.params(), ops.activations)
    before, rows = vector.numbers.copy(), []
    optimiser = SGD(recipe["momentum"], buffer)
    state = optimiser.start(len(vector), ops.activations)
    schedule = [recipe[name] for name in ("total_steps", "warmup_steps", "base_lr", "decay_type", "linear_end")]
    for step in range(recipe["total_steps"]):
        rate = learning_rate(step, *schedule)
        batch = ops.prepare(vector.tree), images, targets, start.config, ops
        loss, _, gradient = gradients_of_batch(*batch, parts=recipe["accum_steps"])
        norm = clip(gradient.numbers, recipe["grad_norm_clip"])
        optimiser.update(vector.numbers, gradient.numbers, state, rate, step)
        rows.append((loss, rate, norm))
    found = dict(zip(("loss", "learning_rate", "grad_norm"), np.array(rows).T, strict=True))
    found["logits_final"] = vit.forward(ops.prepare(vector.tree), images, start.config, ops)
    return {**found, "update": vector.numbers - before}


def judge(variant, quantity, runs, reference, dtype):
    """The verdict on one quantity: every step by itself, the logits by their largest, the update by its length."""
    steps, update = BFLOAT16 if variant == "bf16acc" else FLOAT32
    tolerance = update if quantity == "update" else steps
    if (variant, dtype) == ("f64", "float64"):
        tolerance = FLOAT64
    reference = reference.astype(np.float64)
    difference = runs[variant][quantity] - reference
    if quantity == "update":
        error, note = np.linalg.norm(difference) / np.linalg.norm(reference), "relative L2"
    elif quantity == "logits_final":
        error, note = np.abs(difference).max() / np.abs(reference).max(), ""
    else:  # where the reference is 0, as the first learning rate, nothing but 0 passes
        error = (np.abs(difference) / np.maximum(reference, np.finfo(np.float32).tiny)).max()
        note = "of each step, the worst"
    return Verdict(f"{variant}/{quantity}", bool(error <= tolerance), float(error), None, tolerance, note)


def _update(start, final, prefix):
    # how far the official program moved its parameters, in the order of ours
    stored = {name.removeprefix(prefix): array for name, array in final.items() if name.startswith(prefix)}
    after = checkpoints.from_arrays(stored, "final_params.npz", pool=start.config.pool).params()
    return Vector(after, np.float64).numbers - Vector(start.params(), np.float64).numbers
