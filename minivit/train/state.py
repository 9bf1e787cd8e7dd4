"""What a run keeps in its folder so that it can go on after an interruption as if there had been none.

    run.json      Settings: the recipe, the data, what computes; written once
    state.npz     State: all that changes from step to step, in one file that is replaced as a whole

No random number generator is saved, because everything random is a function of (seed, step).
"""

import json
from dataclasses import asdict, dataclass

import numpy as np

from .. import records
from ..checkpoints.json_table import read_json
from ..errors import InputError
from ..files import read_arrays, replacing, write_npz
from .recipe import Recipe, first_difference
from .vector import Vector

SETTINGS, STATE = "run.json", "state.npz"


@dataclass(frozen=True)
class Settings:
    """What a run is: resumed with anything else, it would be another one."""

    recipe: Recipe
    data: str  # where the pictures are: a path, or "shapes"
    classes: int
    train: int  # pictures
    test: int  # pictures
    tier: str
    start: str | None = None  # the checkpoint that is fine-tuned
    dtype: str = "float32"  # the numbers that the tier multiplies; parameters are float32

    def save(self, folder):
        """Write run.json."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        with replacing(folder / SETTINGS) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder):
        """Read run.json.  Raises InputError if there is none, or if it is damaged."""
        if not (folder / SETTINGS).exists():
            raise InputError(f"{folder} holds no run (no {SETTINGS}); start one with --output {folder}")
        return records.read(cls, read_json(folder / SETTINGS).values, str(folder / SETTINGS))

    def require_same(self, folder):
        """Raise InputError, naming the first field that differs, unless these are the settings of the run there."""
        there = Settings.load(folder)
        name = first_difference(self, there)
        if name:
            mine, other = (records.shown(_value(s, name)) for s in (self, there))
            name = name.removeprefix("recipe.")
            raise InputError(f"{name} is {mine}, but the run in {folder} has {other}; keep it, or start another run")


def _value(record, path):
    for name in path.split("."):
        record = getattr(record, name)
    return record


@dataclass
class State:
    """All that changes from step to step."""

    vector: Vector  # the parameters
    optimiser: dict  # its arrays
    average: Vector | None  # the moving average of the parameters, if the recipe wants one
    step: int = 0  # steps done
    best: float = -1.0  # the highest accuracy of any test so far
    losses: float = 0.0  # sum of the losses since the last test
    seconds: float = 0.0  # spent so far

    COUNTERS = ("step", "best", "losses", "seconds")

    @property
    def tested(self):
        """The parameters that are tested and kept as a checkpoint."""
        return self.average or self.vector

    def arrays(self):
        """{name: array} of everything."""
        average = {"average": self.average.numbers} if self.average else {}
        counters = {name: np.array(getattr(self, name)) for name in self.COUNTERS}
        return {"numbers": self.vector.numbers, **average, **self.optimiser, **counters}

    def save(self, path):
        """Write everything to one file; the old one stays until the new one is whole.

        Raises InputError if it cannot be written.
        """
        write_npz(path, self.arrays())

    def restore(self, path):
        """Take everything from a file.  Raises InputError, and changes nothing, if it belongs to another model."""
        saved = {name: np.asarray(array) for name, array in read_arrays(path).items()}
        mine = self.arrays()
        for name in {**mine, **saved}:
            if name not in saved or name not in mine or not _alike(saved[name], mine[name]):
                raise InputError(f"{path}: {name!r} is not that of this run; the file belongs to another one")
        for name, array in mine.items():
            if name in self.COUNTERS:
                setattr(self, name, saved[name].item())
            else:
                array[...] = saved[name]


def _alike(a, b):
    return a.shape == b.shape and a.dtype == b.dtype
