"""Every backward against central differences, and the check itself against planted mistakes."""

import numpy as np
import pytest
from planted import IN_HYBRID, IN_HYBRID_OPS, IN_MODEL, IN_OPS, IN_SOME_OPS, module_with, ops_with

from minivit import models, tiers
from minivit.check import gradcheck
from minivit.errors import InputError

ops = tiers.load("ref", "float64")


def test_every_op_is_checked():
    assert {name.split()[0] for name in gradcheck.CASES} == set(tiers.FOLDERS)


@pytest.mark.parametrize("name", gradcheck.CASES)
def test_backward_of_an_op_agrees_with_central_differences(name):
    assert gradcheck.smallest(gradcheck.check_op(name, ops)) < 1e-10 < gradcheck.LIMIT


def test_backward_of_a_whole_model_agrees_with_central_differences():
    assert gradcheck.smallest(gradcheck.check_model(ops)) < 1e-9


def test_backward_of_a_whole_hybrid_agrees_with_central_differences(monkeypatch):
    monkeypatch.setattr(gradcheck, "STEPS", np.logspace(-4, -7, 7))  # ReLU has no V: larger steps cross its corner
    assert gradcheck.smallest(gradcheck.check_model(ops, gradcheck.SMALL_HYBRID, (2, 13, 18, 3))) < 1e-9


@pytest.mark.parametrize("name", gradcheck.CASES)
def test_the_error_is_a_v_that_falls_with_the_square_of_h_and_rises_with_its_inverse(name):
    h, error = np.array(gradcheck.check_op(name, ops)).T
    best = error.argmin()
    assert 3 <= best <= len(h) - 5
    falling = np.log10(error[1] / error[3]) / np.log10(h[1] / h[3])
    rising = np.log10(error[-1] / error[best]) / np.log10(h[-1] / h[best])
    assert 1.9 < falling < 2.1 and -1.4 < rising < -0.6


@pytest.mark.parametrize("mistake", [*IN_OPS, *IN_SOME_OPS, *IN_HYBRID_OPS])
def test_a_mistake_in_an_op_is_found_in_that_op(mistake):
    op, right, planted = {**IN_OPS, **IN_SOME_OPS, **IN_HYBRID_OPS}[mistake]
    wrong = ops_with(ops, op, right, planted)
    cases = [name for name in gradcheck.CASES if name.split()[0] == op]
    assert max(gradcheck.smallest(gradcheck.check_op(name, wrong)) for name in cases) > 1000 * gradcheck.LIMIT


@pytest.mark.parametrize("mistake", IN_MODEL)
def test_a_mistake_in_the_model_is_found(mistake, monkeypatch):
    monkeypatch.setattr(gradcheck, "STEPS", np.array([1e-4, 1e-5]))
    wrong = module_with("models/vit_backward.py", *IN_MODEL[mistake])
    monkeypatch.setattr(models, "backward_of", lambda config: wrong)
    assert gradcheck.smallest(gradcheck.check_model(ops)) > 1000 * gradcheck.LIMIT


@pytest.mark.parametrize("mistake", IN_HYBRID)
def test_a_mistake_in_the_hybrid_is_found(mistake, monkeypatch):
    monkeypatch.setattr(gradcheck, "STEPS", np.array([1e-4, 1e-5]))
    wrong = module_with("models/hybrid_backward.py", *IN_HYBRID[mistake])
    monkeypatch.setattr(models, "backward_of", lambda config: wrong)
    found = gradcheck.check_model(ops, gradcheck.SMALL_HYBRID, (2, 13, 18, 3))
    assert gradcheck.smallest(found) > 1000 * gradcheck.LIMIT


def test_a_gradient_that_is_not_a_number_is_not_right():
    wrong = ops.replace(tanh_backward=lambda dy, y: dy * np.nan)
    assert not gradcheck.smallest(gradcheck.check_op("tanh", wrong)) <= gradcheck.LIMIT


def test_run_has_a_curve_for_every_op_and_the_model():
    curves = gradcheck.run(ops)
    assert list(curves) == [*gradcheck.CASES, gradcheck.MODEL]
    assert all(error >= 0 and h > 0 for curve in curves.values() for h, error in curve)


def test_plot_draws_a_line_each_and_those_that_stay_high_in_red():
    from matplotlib.colors import same_color

    from minivit.viz.panels import MARK, new_figure

    errors = {"right": 1e-11, "wrong": 1e-3, "nan": np.nan, gradcheck.MODEL: 1e-10}
    ax = new_figure(3).subplots()
    gradcheck.draw(ax, {name: [(h, error) for h in gradcheck.STEPS.tolist()] for name, error in errors.items()})
    _, names = ax.get_legend_handles_labels()
    red = {line.get_label().split()[-1] for line in ax.get_lines() if same_color(line.get_color(), MARK)}
    assert len(names) == len(errors) and red == {"wrong", "nan"}


def test_plot_writes_a_png_or_says_why_not(tmp_path):
    curves = {"tanh": gradcheck.check_op("tanh", ops)}
    gradcheck.plot(curves, tmp_path / "g.png")
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError):
        gradcheck.plot(curves, tmp_path / "nowhere" / "g.png")
