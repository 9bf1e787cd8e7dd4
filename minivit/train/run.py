"""The training run: steps, tests, and a folder that always holds enough to go on from.

train(preset("shapes"), data.load("shapes"), "run")         trains, or goes on where it was interrupted

run/run.json  state.npz                     what the run is, and how far it is: see state.py
run/log.csv  tests.csv  curve.png           how it went
run/attention/step_*.png                    where the model looked at a few test pictures
run/last.safetensors  best.safetensors      the model after the latest and after the best test
"""

import logging
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from .. import params, tiers
from ..checkpoints import native
from ..data import Stream
from ..errors import InputError
from . import log, watch
from .interrupt import short_turns, stop_signals
from .learner import Learner
from .state import SETTINGS, STATE, Settings

SAVE_SECONDS = 300  # the most that a crash can cost
LOGGED = 2_000  # rows of log.csv at most
DRAWN = 20  # curves and attention maps at most


def train(
    recipe, dataset, folder, tier="cpu", threads=None, data=None, tree=None, start=None, resume=True, dtype="float32"
):
    """Train a model, or go on with the run in `folder`; returns a summary that JSON can hold.

    recipe: a Recipe with a model; dataset: a data.Dataset; data: where that came from (default: its name).
    tree: the first parameters (default: `start.initial`); start: the checkpoint that they came from.
    resume: False refuses a folder that holds a run already.
    dtype: what the tier multiplies in, "float32" or "bfloat16"; the parameters and their updates are float32.
    Raises InputError for settings that do not fit together, another run in the folder, or numbers that are no longer
    finite; KeyboardInterrupt after Ctrl-C, when everything is saved.
    """
    if recipe.model is None:
        raise InputError("the recipe has no model: choose one (--model ViT-Ti/16), or fine-tune a checkpoint")
    if dataset.train is None:
        raise InputError(f"{dataset.name} has only pictures to test with, expected some to learn from")
    recipe = replace(recipe, model=replace(recipe.model, classes=len(dataset.classes)))
    sizes = (len(dataset.classes), len(dataset.train), len(dataset.test))
    settings = Settings(recipe, str(data or dataset.name), *sizes, tier, start and str(start), dtype)
    run = Run(settings, dataset, Path(folder), tiers.load(tier, dtype, threads, training=True), tree)
    run.open(resume)
    return run.finish()


class Run:
    """A run in progress: `open` its folder, then `finish` it."""

    def __init__(self, settings, dataset, folder, ops, tree=None):
        self.settings, self.dataset, self.folder = settings, dataset, folder
        self.recipe, self.config = recipe, config = settings.recipe, settings.recipe.model
        self.stream = Stream(dataset.train, recipe.batch, config.image, config.preprocess, recipe.augment, recipe.seed)
        self.total = recipe.total(self.stream.steps)
        self.learner = Learner(recipe, ops, self.total, tree)
        self.state, self.testing = self.learner.state, tiers.load(settings.tier, settings.dtype)

    def open(self, resume):
        """Make the folder, or take up the run that it holds."""
        if (self.folder / SETTINGS).exists():
            if not resume:
                advice = f"go on with `minivit train --resume {self.folder}`, or choose another folder"
                raise InputError(f"{self.folder} holds a run already; {advice}")
            self.settings.require_same(self.folder)
            self.state.restore(self.folder / STATE)
        else:
            _make_folder(self.folder)
            self.state.save(self.folder / STATE)
            self.settings.save(self.folder)  # last: where there are settings, there is a state
        self.saved = done = self.state.step
        self.steps = log.Log(self.folder / "log.csv", log.STEPS, done)
        self.tests = log.Log(self.folder / "tests.csv", log.TESTS, done)
        self.progress = log.Progress(self.total, self.recipe.batch, done)
        self.progress.say(
            f"{self.config.name}, {params.count(self.config):,} parameters: {self.total:,} steps of {self.recipe.batch}"
            f" of {len(self.dataset.train):,} pictures" + (f", going on after step {done:,}" if done else "")
        )

    def finish(self):
        """Do the steps that are left, with a test after every epoch; returns the summary."""
        self.clock = time.perf_counter()
        with np.errstate(all="ignore"), short_turns(), stop_signals() as stopped:  # NaN is told of once, by name
            for images, labels in self.stream.prefetch(self.state.step, self.total):
                self.step(images, labels)
                if self.state.step in (self.total, self.epoch * self.stream.steps):
                    self.test()
                elif stopped or time.perf_counter() - self.clock > SAVE_SECONDS:
                    self.save()
                if stopped and self.state.step < self.total:
                    self.progress.say(f"stopped after step {self.state.step:,}, everything is saved; go on with:")
                    self.progress.say(f"  minivit train --resume {self.folder}")
                    raise KeyboardInterrupt
        return self.summary()

    @property
    def epoch(self):
        """The epoch, counted from 1, of the latest step."""
        return -(-self.state.step // self.stream.steps)

    def step(self, images, labels):
        """Do one step and log it."""
        try:
            loss, rate, norm = self.learner.step(images, labels)
        except InputError as error:
            raise self._with_way_back(error) from None
        every = -(-self.total // LOGGED)
        if self.state.step % every == 0:
            self.steps.add(
                step=self.state.step, epoch=self.epoch, loss=loss, rate=rate, gradient_norm=norm, seconds=self.seconds()
            )
        self.progress.step(self.epoch, loss)

    def test(self):
        """Test the model, write down how it does, save it and draw it."""
        state, tested = self.state, self.testing.prepare(self.state.tested.tree)
        accuracy, test_loss = watch.test(self.dataset.test, tested, self.config, self.testing, self.recipe.batch)
        if not np.isfinite(test_loss):
            raise self._with_way_back(self.learner.diverged(f"the test loss is {test_loss}"))
        loss = state.losses / (state.step - (self.epoch - 1) * self.stream.steps)
        row = {"step": state.step, "epoch": self.epoch, "loss": loss, "test_loss": test_loss, "accuracy": accuracy}
        self.tests.add(**row, seconds=self.seconds())
        self.progress.test(self.epoch, loss, accuracy)
        self.save_model("last.safetensors", accuracy)
        if accuracy > state.best:
            self.save_model("best.safetensors", accuracy)
        state.best, state.losses = max(accuracy, state.best), 0.0
        self.save()
        tests = -(-self.total // self.stream.steps)
        if self.epoch % -(-tests // DRAWN) == 0 or state.step == self.total:
            self.draw(tested)
        self.progress.resume()

    def save(self):
        """Save the state; Raises InputError, and keeps the older one, if a parameter is not finite."""
        try:
            self.learner.check()
        except InputError as error:
            raise self._with_way_back(error) from None
        self.state.seconds, self.clock = self.seconds(), time.perf_counter()
        self.state.save(self.folder / STATE)
        self.saved = self.state.step

    def save_model(self, name, accuracy):
        """Write the tested parameters as a checkpoint that `minivit.load` reads."""
        recipe = {field: value for field, value in asdict(self.recipe).items() if field != "model"}
        told = {"step": self.state.step, "accuracy": accuracy, "data": self.settings.data, "start": self.settings.start}
        tree, labels = self.state.tested.tree, self.dataset.classes
        native.write(self.folder / name, self.config, tree, labels, {"program": "minivit", **told, "recipe": recipe})

    def draw(self, tested):
        """Draw the curves so far, and where the model looks at a few test pictures."""
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # on first use it reports that it builds a font cache
        log.figure(self.steps, self.tests).save(self.folder / "curve.png")
        images = watch.some_pictures(self.dataset.test, self.config)
        if len(images) and self.config.family != "mixer":  # which has no attention
            name = f"step_{self.state.step:06}"
            plot = watch.attention(images, tested, self.config, self.testing, f"step {self.state.step:,}")
            (self.folder / "attention").mkdir(exist_ok=True)
            plot.save(self.folder / "attention" / f"{name}.png")

    def summary(self):
        """How the run ended."""
        last = self.tests.rows[-1]
        return {
            **{"folder": str(self.folder), "checkpoint": str(self.folder / "best.safetensors")},
            **{"model": self.config.name, "parameters": params.count(self.config)},
            **{"steps": self.state.step, "epochs": self.epoch, "seconds": self.state.seconds},
            **{"loss": last["loss"], "accuracy": last["accuracy"], "best_accuracy": self.state.best},
        }

    def seconds(self):
        """Time spent on the run, in all its parts."""
        return self.state.seconds + time.perf_counter() - self.clock

    def _with_way_back(self, error):
        return InputError(f"{error}; the last good state is that of step {self.saved} in {self.folder / STATE}")


def _make_folder(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}; choose another") from error
    if occupied:
        raise InputError(f"{folder} is not empty; choose a new folder for the run")
