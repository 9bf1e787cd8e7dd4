"""The LLVM IR that functions on vectors are made of: types, and what most of them begin with.

@vector_function((vec, vec), vec)       # language.py
def product(builder, a, b):
    return builder.fmul(a, b)           # gives the IR of the result
"""

from llvmlite import ir

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


def splat(builder, value, vector_type=VF):
    """IR of a vector with `value` in every lane."""
    nothing = ir.Constant(vector_type, ir.Undefined)
    one = builder.insert_element(nothing, value, I32(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(I32, vector_type.count), None))


def pointer(builder, address, index=None, to=VF, item=4):
    """IR pointer to a `to` at element `index` of the numbers at `address`."""
    if index is not None:
        address = builder.add(address, builder.mul(index, I64(item)))
    return builder.inttoptr(address, to.as_pointer())


def call(builder, name, result, *args):
    function = ir.FunctionType(result, [a.type for a in args])
    declared = builder.module.globals.get(name) or ir.Function(builder.module, function, name)
    return builder.call(declared, args)


def first(builder, count):
    """IR of a mask: true in the first `count` lanes."""
    return builder.icmp_signed("<", LANES, splat(builder, builder.trunc(count, I32), VI))
