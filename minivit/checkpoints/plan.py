"""How a model will look in somebody else's layout, before anything is written: the inverse of what found.py holds."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import InputError
from ..preprocess import resized_shape
from .preprocessors import FILTERS
from .rules import same, theirs


@dataclass(frozen=True)
class Plan:
    """What to write for a model; `arrays` gives the tensors."""

    rules: dict  # see rules.py
    published: Callable[[str], str] = same  # name in the table -> name in the file
    shaped: Callable = lambda name, array: array  # array as in the table -> as in the file
    beside: dict = field(default_factory=dict)  # file name -> what JSON holds in it
    notes: tuple[str, ...] = ()

    def arrays(self, config, flat):
        """{their name: array} of {our flat name: array}."""
        tabled = theirs(self.rules, config, flat)
        return {self.published(name): self.shaped(name, array) for name, array in tabled.items()}


def refuse(config, layout, why):
    """The InputError for a model that a layout cannot hold at all."""
    return InputError(f"{config.name} cannot be written as {layout}: {why}")


def before_crop(config):
    """(height, width) to which a picture of the model's own shape is resized before the centre crop."""
    return resized_shape(config.image, config.preprocess, config.image)


def pillow_filter(policy):
    """The nearest of Pillow's filters, which are all that torch's libraries know."""
    return policy.resample if policy.resample in FILTERS.values() else "bilinear"
