"""The files from which a run goes on: all or nothing, and never those of another run."""

import json
from dataclasses import replace

import numpy as np
import pytest

from minivit.errors import InputError
from minivit.train.presets import PRESETS
from minivit.train.state import Settings, State
from minivit.train.vector import Vector

SETTINGS = Settings(PRESETS["shapes"], "/pictures", 12, 100, 20, "ref", None)


def state(size=6, average=True, **counters):
    numbers = Vector({"a": np.arange(size, dtype=np.float32)})
    optimiser = {"momentum": np.arange(size, dtype=np.uint16)}
    return State(numbers, optimiser, Vector({"a": -numbers.numbers}) if average else None, **counters)


def test_a_state_comes_back_to_the_bit(tmp_path):
    state(step=7, best=0.25, losses=1.5, seconds=2.5).save(tmp_path / "state.npz")
    found = state()
    for array in (found.vector.numbers, found.average.numbers, found.optimiser["momentum"]):
        array[:] = 0
    found.restore(tmp_path / "state.npz")
    assert (found.step, found.best, found.losses, found.seconds) == (7, 0.25, 1.5, 2.5)
    for name, array in state(step=7, best=0.25, losses=1.5, seconds=2.5).arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array, err_msg=name)


def test_restoring_writes_into_the_tree_that_the_model_reads(tmp_path):
    state().save(tmp_path / "state.npz")
    found = state()
    found.vector.numbers[:] = 0
    found.restore(tmp_path / "state.npz")
    np.testing.assert_array_equal(found.vector.tree["a"], np.arange(6))


def test_a_full_disk_leaves_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    state(step=1).save(path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(InputError, match=r"cannot write .*state.npz: No space left on device"):
        state(step=2).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (state(size=7), "numbers"),
        (state(average=False), "average"),
        (replace(state(), optimiser={"momentum": np.zeros(6, np.float32)}), "momentum"),
        (replace(state(), optimiser={"mean": np.zeros(6), "square": np.zeros(6)}), "momentum"),
    ],
)
def test_the_state_of_another_model_changes_nothing(tmp_path, other, name):
    other.save(tmp_path / "state.npz")
    mine = state(step=3)
    with pytest.raises(InputError, match=f"{name!r} is not that of this run"):
        mine.restore(tmp_path / "state.npz")
    assert mine.step == 3 and mine.vector.numbers[5] == 5


def test_a_damaged_state_is_one_line(tmp_path):
    path = tmp_path / "state.npz"
    state().save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"state.npz"):
        state().restore(path)


def test_settings_come_back(tmp_path):
    SETTINGS.save(tmp_path)
    assert Settings.load(tmp_path) == SETTINGS


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(SETTINGS, recipe=replace(SETTINGS.recipe, batch=64)), "batch is 64, but the run in .* has 96"),
        (replace(SETTINGS, tier="cpu"), "tier is 'cpu', but the run in .* has 'ref'"),
        (replace(SETTINGS, train=99), "train is 99, but the run in .* has 100"),
        (
            replace(SETTINGS, recipe=replace(SETTINGS.recipe, model=replace(SETTINGS.recipe.model, heads=6))),
            "model.heads is 6, but the run in .* has 3",
        ),
    ],
)
def test_other_settings_are_refused_by_the_field_that_differs(tmp_path, changed, message):
    SETTINGS.save(tmp_path)
    with pytest.raises(InputError, match=message):
        changed.require_same(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"recipe": 1}', '{"x": 1}'])
def test_damaged_settings_are_one_line(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json") as caught:
        Settings.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        Settings.load(tmp_path)


def test_settings_are_plain_json_that_people_can_read(tmp_path):
    SETTINGS.save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["recipe"]["rate"] == SETTINGS.recipe.rate
