"""The oldest check of a training loop: a model that cannot learn 32 pictures by heart has a mistake in it."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minivit import data, preprocess, tiers
from minivit.models import vit
from minivit.train.learner import Learner
from minivit.train.presets import PRESETS

PLAIN = {"optimiser": "adamw", "initial": "vit_jax", "smoothing": 0.0, "average": None, "warmup": 5, "decay": "linear"}


@pytest.mark.skipif("MINIVIT_DATA" not in os.environ, reason="MINIVIT_DATA is not set: no CIFAR-10")
def test_the_bundled_model_learns_32_photographs_by_heart():
    split = data.load(Path(os.environ["MINIVIT_DATA"]) / "cifar10" / "cifar10_jpeg.npz", train=False).test
    pictures, labels = split.take(np.arange(32))
    assert len(set(labels)) > 5
    model = replace(PRESETS["cifar10"].model, image=(32, 32), classes=10)
    recipe = replace(PRESETS["cifar10"], model=model, **PLAIN)
    images = preprocess.batch(list(pictures), model.preprocess, model.image)
    learner = Learner(recipe, tiers.load("cpu", training=True), total=60)
    losses = [learner.step(images, labels)[0] for _ in range(60)]
    answers = vit.forward(learner.state.vector.tree, images, model, tiers.load("ref")).argmax(-1)
    assert losses[0] == pytest.approx(np.log(10), rel=1e-5)  # a head of zeros: all classes alike
    assert (answers == labels).all() and losses[-1] < 0.2 * losses[0]
