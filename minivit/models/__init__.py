"""One member of the family per file, each a plain function of (parameters, images, config, ops, tap)."""

from importlib import import_module

from ..errors import InputError


def of(config):
    """The module whose `forward` computes the models of that config's family."""
    return import_module(f".{config.family}", __name__)


def backward_of(config):
    """The module with the `backward` of that family, and what it reads again.  Raises InputError if there is none."""
    try:
        return import_module(f".{config.family}_backward", __name__)
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{config.family}_backward":
            raise
        raise InputError(
            f"{config.name} cannot learn here: no gradients exist for the {config.family} family"
        ) from None
