"""The library run as a whole with one function exchanged: small models of odd sizes, and the trained one in the box."""

from functools import cache

import numpy as np

from ... import params, tiers
from ...config import ViTConfig
from ...errors import InputError
from ...models import vit
from ...trace import NO_TAP
from . import TRAINED

ODD = ViTConfig("small", 3, width=12, blocks=2, heads=3, mlp=20, classes=5, image=(9, 12), gelu="erf")
TWO = ViTConfig("small, two tokens in front", 2, 8, 2, 2, 12, 3, (6, 4), prefix=2, distilled_head=True)


@cache
def small(config, height, width):
    """(parameters, images) of a seeded model, on images of another size than it was trained for."""
    images = np.random.default_rng(7).standard_normal((2, height, width, 3))
    return params.seeded(config, dtype=np.float64), images


@cache
def trained():
    """(model, pixels): the model in the box and the ship, or None where there is no box."""
    import minivit

    from ...viz import ship

    try:
        model = minivit.load()
    except InputError:
        return None
    return model, model.preprocess(ship.draw())


def logits():
    """{model: its logits}."""
    found = {}
    for config, size in ((ODD, (12, 9)), (TWO, (6, 4))):
        tree, images = small(config, *size)
        found[f"a {config.name} model"] = vit.forward(tree, images, config, tiers.load("ref", "float64"), NO_TAP)
    if trained():
        model, pixels = trained()
        found[f"{TRAINED} {model.config.name}"] = vit.forward(model.params, pixels, model.config, tiers.load(), NO_TAP)
    return found


def gradients():
    """{parameter: its gradient} of small models with both kinds of GELU, and the gradient of the images."""
    from ...gradients import loss_and_gradients
    from ...trace import make_tap

    found = {}
    for config, size in ((ODD, (12, 9)), (TWO, (6, 4))):
        tree, images = small(config, *size)
        targets = np.full((len(images), config.classes), 1 / config.classes)
        tap = make_tap(config, "image")
        ops = tiers.load("ref", "float64")
        _, _, grads = loss_and_gradients(tree, images, targets, config, ops, (NO_TAP, tap))
        found.update({f"{name}, {config.gelu}": gradient for name, gradient in params.flatten(grads).items()})
        found[f"the image, {config.gelu}"] = tap.store["image"]
    return found


#: function of `Spec.inside` -> the golden case of the official program that goes with it
OFFICIAL = {logits: "vit__headless", gradients: "grad__vit_token"}


def view(name):
    """A function that gives one of the maps of viz.explain, of the trained model."""

    def run():
        from ...viz.explain import explain

        if not trained():
            return {}
        model, pixels = trained()
        return {f"the {name} map of {TRAINED} {model.config.name}": explain(model, pixels, (name,))[1][name]}

    return run


def distances():
    """How far every head of the trained model looks."""
    from ...viz import statistics

    if not trained():
        return {}
    model, pixels = trained()
    config, name = model.config, "block0.attn.probs"
    probs = model.trace(pixels, name)[name]
    return {f"the heads of {TRAINED}": statistics.distance(probs, config.prefix, config.grid, config.patch)}
