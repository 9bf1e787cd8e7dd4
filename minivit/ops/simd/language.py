"""The words that kernels are written with, before there is a compiler: importing an op does not import Numba.

What Numba makes of a function is made when it is first needed: by a kernel that is compiled, because Numba asks every
name that it meets for its type, or by a call from Python.  A process that finds its kernels in the cache gets to
neither, and so needs neither Numba nor LLVM: 80 MB and a quarter of a second less.
"""

from functools import cached_property, partial, update_wrapper
from types import SimpleNamespace

#: Numba's types, by their names, and W float32 numbers in one vector register
types, vec = SimpleNamespace(intp="intp", float32="float32", boolean="boolean", void="void"), "vec"


def njit(function=None, **options):
    """Numba's decorator of that name."""
    if function is None:
        return partial(njit, **options)
    return Deferred(function, lambda compiler: compiler.njit(**options)(function))


def register_jitable(function):
    """Numba's decorator of that name: a function for kernels, which stays a Python function for Python."""
    return PythonToo(function, lambda compiler: compiler.register_jitable(function))


def intrinsic(function):
    """Numba's decorator of that name: `function(typing_context, *types)` gives a signature and what makes the IR."""
    return Deferred(function, lambda compiler: compiler.intrinsic(function))


def signature(result, *arguments):
    """Numba's signature of an intrinsic, for the types of this module."""
    return _compiler().signature(result, *arguments)


def vector_function(arguments, result):
    """Make an intrinsic of `emit(builder, *values)`, which gives the IR of the result."""

    def decorate(emit):
        made = Deferred(emit, lambda compiler: compiler.vector_function(emit, arguments, result))
        made.emit = emit
        return made

    return decorate


class Deferred:
    """A function for kernels; `py_func` is what was written."""

    def __init__(self, function, make):
        self.py_func, self._make = function, make
        update_wrapper(self, function)

    @cached_property
    def made(self):
        """What Numba makes of it."""
        return self._make(_compiler())

    @cached_property
    def _numba_type_(self):  # where Numba looks for the type of a name in a function that it compiles
        return _compiler().type_of(self.made)

    def __call__(self, *args, **kwargs):
        return self.made(*args, **kwargs)


class PythonToo(Deferred):
    """… that Python calls as it was written."""

    def __call__(self, *args, **kwargs):
        return self.py_func(*args, **kwargs)


def _compiler():
    from . import compiler

    return compiler
