"""The intrinsics as inline PTX, through numba-cuda's typed extension API.

Everything here runs while a kernel is compiled, and emits one instruction; twins.py says in NumPy what each one does.
"""

from inspect import Parameter, Signature

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

F32, I16, I32, VOID = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.VoidType()
#: letters of a signature -> the type in Numba; "p": the address of an element, from an array and an index
NUMBA = {"f": types.float32, "r": types.uint32, "h": types.uint16}
LLVM = {"f": F32, "r": I32, "h": I16}


def _instruction(text, results="", operands="", memory=False):
    """An intrinsic that is one PTX instruction.

    results, operands: one letter each: f float32, r 32-bit word, h 16-bit half; p among the operands stands for two
    arguments, array and index, and is `[g]` in the text.  More than one result is a tuple.  memory: it reads or writes
    memory.
    """
    if "[g]" in text:
        number = len(results) + operands.index("p")
        text = f"{{ .reg .u64 g; cvta.to.global.u64 g, ${number}; {text} }}"
    constraints = [f"={letter}" for letter in results] + ["l" if letter == "p" else letter for letter in operands]
    constraints = ",".join([*constraints, *(["~{memory}"] if memory else [])])
    output = LLVM[results] if len(results) == 1 else ir.LiteralStructType([LLVM[letter] for letter in results])

    def codegen(context, builder, signature, arguments):
        values = list(_registers(context, builder, operands, signature.args, arguments))
        function = ir.FunctionType(output if results else VOID, [value.type for value in values])
        result = builder.call(ir.InlineAsm(function, text, constraints, side_effect=memory), values)
        if len(results) < 2:
            return result if results else context.get_dummy_value()
        parts = [builder.extract_value(result, i) for i in range(len(results))]
        return context.make_tuple(builder, signature.return_type, parts)

    def instruction(typingcontext, *arguments):
        return _typed(results, operands, arguments), codegen

    # Numba asks for the names of the arguments, so they are made up: one per letter, two for p
    names = ["typingcontext", *(f"{letter}{i}" for i, letter in enumerate(operands.replace("p", "xi")))]
    instruction.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names])
    return intrinsic(instruction)


def _typed(results, operands, arguments):
    # the signature: numbers as the instruction wants them (Numba converts), arrays and indices as they come
    arguments, kinds = iter(arguments), []
    for letter in operands:
        given = next(arguments)
        kinds += [given, next(arguments)] if letter == "p" else [NUMBA[letter]]
    if not results:
        return types.void(*kinds)
    return (NUMBA[results] if len(results) == 1 else types.UniTuple(NUMBA[results[0]], len(results)))(*kinds)


def _registers(context, builder, operands, kinds, arguments):
    # the operands of the instruction; an array and an index become one address
    kinds, arguments = iter(kinds), iter(arguments)
    for letter in operands:
        kind, value = next(kinds), next(arguments)
        if letter == "p":
            array = context.make_array(kind)(context, builder, value=value)
            index = context.cast(builder, next(arguments), next(kinds), types.intp)
            value = builder.gep(array.data, [index])
        yield value


load4 = _instruction("ld.global.v4.f32 {$0,$1,$2,$3}, [g];", "ffff", "p", memory=True)
store4 = _instruction("st.global.v4.f32 [g], {$1,$2,$3,$4};", "", "pffff", memory=True)
store2 = _instruction("st.global.v2.f32 [g], {$1,$2};", "", "pff", memory=True)
load4_words = _instruction("ld.global.v4.u32 {$0,$1,$2,$3}, [g];", "rrrr", "p", memory=True)
store4_words = _instruction("st.global.v4.u32 [g], {$1,$2,$3,$4};", "", "prrrr", memory=True)
load2_words = _instruction("ld.global.v2.u32 {$0,$1}, [g];", "rr", "p", memory=True)
store2_words = _instruction("st.global.v2.u32 [g], {$1,$2};", "", "prr", memory=True)
load_word = _instruction("ld.global.u32 $0, [g];", "r", "p", memory=True)
store_word = _instruction("st.global.u32 [g], $1;", "", "pr", memory=True)

widen_float16 = _instruction("cvt.f32.f16 $0, $1;", "f", "h")
narrow_float16 = _instruction("cvt.rn.f16.f32 $0, $1;", "h", "f")
widen_bfloat16 = _instruction("{ .reg .b16 z; mov.b16 z, 0; mov.b32 $0, {z, $1}; }", "f", "h")
narrow_bfloat16 = _instruction("cvt.rn.bf16.f32 $0, $1;", "h", "f")
pack_float16 = _instruction("cvt.rn.f16x2.f32 $0, $2, $1;", "r", "ff")  # the first operand goes into the upper half
pack_bfloat16 = _instruction("cvt.rn.bf16x2.f32 $0, $2, $1;", "r", "ff")
unpack_float16 = _instruction(
    "{ .reg .b16 l, h; mov.b32 {l, h}, $2; cvt.f32.f16 $0, l; cvt.f32.f16 $1, h; }", "ff", "r"
)
unpack_bfloat16 = _instruction(
    "{ .reg .b32 l, h; shl.b32 l, $2, 16; and.b32 h, $2, 0xffff0000; mov.b32 $0, l; mov.b32 $1, h; }", "ff", "r"
)

exp2 = _instruction("ex2.approx.ftz.f32 $0, $1;", "f", "f")

shared_address = _instruction("{ .reg .u64 s; cvta.to.shared.u64 s, $1; cvt.u32.u64 $0, s; }", "r", "p")
copy_async = _instruction("cp.async.cg.shared.global [$0], [g], 16, $2;", "", "rpr", memory=True)
copy_commit = _instruction("cp.async.commit_group;", memory=True)
copy_wait0 = _instruction("cp.async.wait_group 0;", memory=True)
copy_wait1 = _instruction("cp.async.wait_group 1;", memory=True)
copy_wait2 = _instruction("cp.async.wait_group 2;", memory=True)

_LDMATRIX = "ldmatrix.sync.aligned.m8n8.x4{}.shared.b16 {{$0,$1,$2,$3}}, [$4];"
load_matrices = _instruction(_LDMATRIX.format(""), "rrrr", "r", memory=True)
load_matrices_transposed = _instruction(_LDMATRIX.format(".trans"), "rrrr", "r", memory=True)
_MMA = (
    "mma.sync.aligned.m16n8k16.row.col.f32.{0}.{0}.f32 "
    "{{$0,$1,$2,$3}}, {{$4,$5,$6,$7}}, {{$8,$9}}, {{$10,$11,$12,$13}};"
)
mma_float16 = _instruction(_MMA.format("f16"), "ffff", "rrrrrrffff")
mma_bfloat16 = _instruction(_MMA.format("bf16"), "ffff", "rrrrrrffff")
