"""Ten steps of the official fine-tuning program, number by number; and mistakes, which must show."""

import math
from pathlib import Path

import numpy as np
import pytest

from minivit import check
from minivit.check import training
from minivit.errors import InputError
from minivit.train import optimiser, step

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = ("train__vit_token", "train__vit_token_accum")
QUANTITIES = ("loss", "learning_rate", "grad_norm", "logits_final", "update")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_every_step_agrees_with_the_official_program(case, dtype):
    verdicts = check.run(GOLDEN / case, dtype=dtype)
    assert {v.name for v in verdicts} == {f"{v}/{q}" for v in ("bf16acc", "f32acc", "f64") for q in QUANTITIES}
    assert [v for v in verdicts if not v.ok] == []


def test_a_training_case_needs_float_weights():
    with pytest.raises(InputError, match="needs dtype float32 or float64, not int8"):
        check.run(GOLDEN / CASES[0], "cpu", "int8")


def failed(case=CASES[0]):
    return {v.name for v in check.run(GOLDEN / case, dtype="float64") if not v.ok}


def test_a_counter_from_one_is_noticed(monkeypatch):
    rate = training.learning_rate
    monkeypatch.setattr(training, "learning_rate", lambda step, *rest: rate(step + 1, *rest))
    assert {"f64/learning_rate", "f64/loss", "f64/update"} <= failed()


def test_nesterov_is_noticed(monkeypatch):
    class Nesterov(training.SGD):
        def update(self, numbers, gradient, state, rate, step):
            before = numbers.copy()
            super().update(numbers, gradient, state, rate, step)
            u = (before - numbers) / rate if rate else 0
            numbers[:] = before - rate * (gradient + self.momentum * u)

    monkeypatch.setattr(training, "SGD", Nesterov)
    assert {"f64/loss", "f64/update", "bf16acc/update"} <= failed()


def test_an_epsilon_in_the_clipping_is_noticed(monkeypatch):
    def clip(gradient, limit):
        norm = math.sqrt(gradient @ gradient)
        gradient *= min(1, limit / (norm + 1e-6))  # torch.nn.utils.clip_grad_norm_
        return norm

    monkeypatch.setattr(training, "clip", clip)
    assert {"f64/loss", "f64/update"} <= failed()


def test_a_plain_momentum_is_not_taken_for_the_bfloat16_one(monkeypatch):
    monkeypatch.setattr(training, "SGD", lambda momentum, buffer: optimiser.SGD(momentum, "float64"))
    assert failed() == {"bf16acc/loss", "bf16acc/grad_norm", "bf16acc/logits_final", "bf16acc/update"}


def test_rounding_before_the_step_is_noticed(monkeypatch):
    class Rounding(training.SGD):
        def update(self, numbers, gradient, state, rate, step):
            before = numbers.copy()
            super().update(numbers, gradient, state, rate, step)
            if self.buffer == "bfloat16":
                numbers[:] = before - rate * optimiser.from_bfloat16(state["momentum"])

    monkeypatch.setattr(training, "SGD", Rounding)
    assert {"bf16acc/grad_norm", "bf16acc/logits_final"} <= failed()


def test_a_sum_over_parts_in_place_of_the_mean_is_noticed(monkeypatch):
    add = step.Vector.add
    monkeypatch.setattr(step.Vector, "add", lambda self, tree, weight: add(self, tree))
    assert "f64/grad_norm" in failed(CASES[1])


def test_a_loss_that_is_not_a_number_fails():
    reference = np.ones(10)
    for loss, ok in ((reference, True), (np.full(10, np.nan), False)):
        assert training.judge("f64", "loss", {"f64": {"loss": loss}}, reference, "float32").ok == ok
