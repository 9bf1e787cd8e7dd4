"""What the words of language.py mean to Numba.  Imported when there is something to compile, because it imports Numba.

    v = load(x, i)                          # memory.py: x is an address (`array.ctypes.data`), i an index
    store(y, i, fma(v, v, 1.0) / total)     # lanes.py

vec is a type of Numba code here.  Numbers mix with vectors in + − · / and become vectors of equal lanes.
"""

import operator

from llvmlite import binding as llvm
from numba import njit, types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.registry import cpu_target
from numba.core.typing import templates
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, register_jitable

from .mcjit import machine
from .target import W
from .vector import VF, splat

__all__ = ["intrinsic", "njit", "object_file", "register_jitable", "signature", "type_of", "vector_function"]


class VecType(types.Type):
    def __init__(self):
        super().__init__(name=f"vec{W}")


vec = VecType()
TYPES = {"vec": vec, **{name: getattr(types, name) for name in ("intp", "float32", "boolean", "void")}}


@register_default(VecType)
class _VecModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, VF)


def as_vector(context, builder, value, kind):
    return value if kind is vec else splat(builder, context.cast(builder, value, kind, types.float32))


def _arithmetic(symbol, emit):
    @infer_global(symbol)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and vec in args and all(a is vec or isinstance(a, types.Number) for a in args):
                return templates.signature(vec, *args)

    def lower(context, builder, sig, args):
        a, b = (as_vector(context, builder, v, kind) for v, kind in zip(args, sig.args, strict=True))
        return getattr(builder, emit)(a, b)

    for kinds in ((VecType, VecType), (VecType, types.Number), (types.Number, VecType)):
        lower_builtin(symbol, *kinds)(lower)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")


def signature(result, *arguments):
    return templates.signature(TYPES[result], *(TYPES[name] for name in arguments))


def vector_function(emit, arguments, result):
    """The intrinsic of `emit(builder, *values)`; arguments, result: names of TYPES."""
    arguments, result = [TYPES[name] for name in arguments], TYPES[result]

    def typed(*given):
        def codegen(context, builder, sig, args):
            values = [
                as_vector(context, builder, v, kind) if wanted is vec else context.cast(builder, v, kind, wanted)
                for v, kind, wanted in zip(args, given, arguments, strict=True)
            ]
            value = emit(builder, *values)
            return context.get_dummy_value() if result is types.void else value

        return templates.signature(result, *given), codegen

    fixed = {  # Numba counts the parameters
        1: lambda context, a: typed(a),
        2: lambda context, a, b: typed(a, b),
        3: lambda context, a, b, c: typed(a, b, c),
        4: lambda context, a, b, c, d: typed(a, b, c, d),
    }[len(arguments)]
    fixed.__name__ = fixed.__qualname__ = emit.__name__
    return intrinsic(fixed)


class AnyNumber(types.Dispatcher):
    """A function that is compiled once for all numbers, not again for every constant that it is called with."""

    def get_call_type(self, context, args, kws):
        return super().get_call_type(context, [types.unliteral(a) for a in args], kws)


register_default(AnyNumber)(models.OpaqueModel)


def type_of(made):
    """Numba's type of a compiled function or an intrinsic, which may be younger than the compilation that asks."""
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    kind = cpu_target.typing_context.resolve_value_type(made)
    return AnyNumber(made) if isinstance(kind, types.Dispatcher) else kind


def object_file(function, kinds, name):
    """The machine code of a kernel, as a function of that name; kinds: names of TYPES, one per parameter."""
    # Numba's own wrappers, for calls from Python, are left out: their symbols are those of Numba's library
    options = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    dispatcher = njit(signature("void", *kinds), **options)(function)
    ((found, compiled),) = dispatcher.overloads.items()
    module = llvm.parse_assembly(dispatcher.inspect_llvm(found))
    module.get_function(compiled.fndesc.llvm_func_name).name = name
    return machine().emit_object(module)
