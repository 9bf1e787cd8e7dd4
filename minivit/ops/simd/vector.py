"""vec: W float32 numbers in one vector register, as a type of Numba code.

    v = load(x, i)                          # memory.py: x is an address (`array.ctypes.data`), i an index
    store(y, i, fma(v, v, 1.0) / total)     # lanes.py

Numbers mix with vectors in + − · / and become vectors of equal lanes.  New functions are made with `vector_function`.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from .target import W

F32, I1, I8, I16, I32, I64 = ir.FloatType(), *(ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
VF, VI, VM = ir.VectorType(F32, W), ir.VectorType(I32, W), ir.VectorType(I1, W)
LANES = ir.Constant(VI, list(range(W)))


class BFloat(ir.Type):
    """bfloat16, a type that llvmlite does not know."""

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, BFloat)

    def __hash__(self):
        return hash(BFloat)


HALF, BF16 = ir.HalfType(), BFloat()


class VecType(types.Type):
    def __init__(self):
        super().__init__(name=f"vec{W}")


vec = VecType()


@register_default(VecType)
class _VecModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, VF)


def splat(builder, value, vector_type=VF):
    """IR of a vector with `value` in every lane."""
    nothing = ir.Constant(vector_type, ir.Undefined)
    one = builder.insert_element(nothing, value, I32(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(I32, vector_type.count), None))


def as_vector(context, builder, value, kind):
    return value if kind is vec else splat(builder, context.cast(builder, value, kind, types.float32))


def pointer(builder, address, index=None, to=VF, item=4):
    """IR pointer to a `to` at element `index` of the numbers at `address`."""
    if index is not None:
        address = builder.add(address, builder.mul(index, I64(item)))
    return builder.inttoptr(address, to.as_pointer())


def call(builder, name, result, *args):
    function = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), args)


def _arithmetic(symbol, emit):
    @infer_global(symbol)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and vec in args and all(a is vec or isinstance(a, types.Number) for a in args):
                return signature(vec, *args)

    def lower(context, builder, sig, args):
        a, b = (as_vector(context, builder, v, kind) for v, kind in zip(args, sig.args, strict=True))
        return getattr(builder, emit)(a, b)

    for kinds in ((VecType, VecType), (VecType, types.Number), (types.Number, VecType)):
        lower_builtin(symbol, *kinds)(lower)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")


def first(builder, count):
    """IR of a mask: true in the first `count` lanes."""
    return builder.icmp_signed("<", LANES, splat(builder, builder.trunc(count, I32), VI))


def vector_function(arguments, result):
    """Make an intrinsic of `emit(builder, *values)`, which gives the IR of the result; `arguments` are Numba types."""

    def decorate(emit):
        def typed(*given):
            def codegen(context, builder, sig, args):
                values = [
                    as_vector(context, builder, v, kind) if wanted is vec else context.cast(builder, v, kind, wanted)
                    for v, kind, wanted in zip(args, given, arguments, strict=True)
                ]
                value = emit(builder, *values)
                return context.get_dummy_value() if result is types.void else value

            return signature(result, *given), codegen

        fixed = {  # Numba counts the parameters
            1: lambda context, a: typed(a),
            2: lambda context, a, b: typed(a, b),
            3: lambda context, a, b, c: typed(a, b, c),
            4: lambda context, a, b, c, d: typed(a, b, c, d),
        }[len(arguments)]
        fixed.__name__ = fixed.__qualname__ = emit.__name__
        function = intrinsic(fixed)
        function.emit = emit
        return function

    return decorate
