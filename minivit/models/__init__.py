"""One member of the family per file, each a plain function of (parameters, images, config, ops, tap)."""

from importlib import import_module

from ..errors import InputError


def of(config):
    """The module whose `forward` computes the models of that config's family.

    Raises InputError if it is not there: a student's library lacks what repeats the solutions.
    """
    return _module(config, config.family, f"the {config.family} family is not part of this library")


def backward_of(config):
    """The module with the `backward` of that family, and what it reads again.  Raises InputError if there is none."""
    why = f"it cannot learn here, no gradients exist for the {config.family} family"
    return _module(config, f"{config.family}_backward", why)


def _module(config, name, why):
    try:
        return import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise InputError(f"{config.name}: {why}") from None
