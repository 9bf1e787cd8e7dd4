"""Put a student's function in the place of the library's, and take it out again."""

import contextlib
import inspect
from importlib import import_module
from types import FunctionType

import numpy as np

from .. import tiers
from ..errors import InputError
from ..trace import NO_TAP
from . import assignments
from .cases import OPS, TAP

OPTIONAL = {OPS: "ops", TAP: "tap"}  # a function need not take these


@contextlib.contextmanager
def installed(functions):
    """Within the block the library runs with {task: function}, wherever it would call its own.

    The functions are looked up by name when ops are made (tiers.load) and when a step of the model runs, so every
    caller gets the new one.
    """
    kept = {task: original(task) for task in functions}
    try:
        for task, function in functions.items():
            setattr(import_module(task.module), task.function, fitted(function, kept[task]))
        yield
    finally:
        for task, function in kept.items():
            setattr(import_module(task.module), task.function, function)


def original(task):
    """The library's function.  Raises InputError where a package is missing that it needs."""
    try:
        return getattr(import_module(task.module), task.function)
    except ModuleNotFoundError as error:
        raise InputError(f"{task.id} needs {error.name}, which is not installed: pip install {error.name}") from error


def fitted(function, original):
    """A function that is called like the original, whatever it names its inputs; ops and tap only if it takes them."""
    signature = inspect.signature(original)  # where it gives a list of arrays, it means as much as a tuple
    dropped = [name for name in OPTIONAL.values() if not _takes(function, name)]

    def call(*inputs, **named):
        given = signature.bind(*inputs, **named).arguments
        found = function(*(value for name, value in given.items() if name not in dropped))
        return tuple(found) if isinstance(found, list) else found

    call.__signature__ = signature
    return call


def called(call, function, inputs):
    """The result of a function for the inputs of a case, with the library's ops and tap put in."""
    real = []
    for value in inputs:
        if isinstance(value, str) and value in OPTIONAL:
            if _takes(function, OPTIONAL[value]):
                real.append(tiers.load("ref", "float64") if value == OPS else NO_TAP)
        else:
            real.append(value)
    return call(function, *real)


def misfit(task, function):
    """What is wrong with the inputs that a function takes, in a line; "" if it can be called."""
    known = inspect.signature(original(task)).parameters.values()
    wanted = [p.name for p in known if p.default is p.empty and p.name not in OPTIONAL.values()]
    wanted += [name for name in OPTIONAL.values() if name in [p.name for p in known] and _takes(function, name)]
    try:
        inspect.signature(function).bind(*wanted)
    except TypeError:
        return f"{task.name} takes ({', '.join(_parameters(function))}), expected ({', '.join(wanted)})"
    except ValueError:  # a function that does not tell
        return ""
    return ""


def independent(task, function):
    """The same function, but where it calls that of another task, the library's runs: so each task stands alone.

    Only what stands beside it under the name of a task and takes as many inputs is exchanged.
    """
    if not isinstance(function, FunctionType):
        return function
    own = function.__globals__
    names = dict(own)
    for name, value in own.items():
        if isinstance(value, FunctionType) and value.__globals__ is own:
            names[name] = _among(value, names)
    for other in assignments.table()[2].values():
        there = own.get(other.name)
        if other.id == task.id or not isinstance(there, FunctionType):
            continue
        if len(_parameters(original(other))) == len(_parameters(there)):
            names[other.name] = _library(other)
    return _among(function, names)


def _library(task):
    # what the library has when it is called, so that it may be installed later
    return lambda *inputs, **named: original(task)(*inputs, **named)


def _among(function, names):
    # the same function, looking up its global names elsewhere
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__, copy.__doc__ = function.__kwdefaults__, function.__doc__
    return copy


def _takes(function, name):
    parameters = _parameters(function)
    return name in parameters or any(p.kind is p.VAR_POSITIONAL for p in parameters.values())


def _parameters(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function that does not tell
        return {}


def arrays(value):
    """The arrays inside nested inputs, in order."""
    if isinstance(value, np.ndarray):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [array for item in items for array in arrays(item)]
