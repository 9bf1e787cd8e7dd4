"""How the micro-kernels multiply: one class per kind of number, chosen by what LLVM says the CPU has."""

from llvmlite import ir

from .lanes import fma
from .target import ARM, FEATURES, W
from .vector import BF16, F32, I8, I16, I32, VF, VI, call, pointer, splat


class Float32:
    """float32 × float32 -> float32"""

    sums, item = VF, 4

    def load_a(self, builder, address):
        return splat(builder, builder.load(pointer(builder, address, to=F32)))

    def load_b(self, builder, address):
        return builder.load(pointer(builder, address, to=VF), align=4)

    def add(self, builder, total, a, b):
        return fma.emit(builder, a, b, total)


class _Packed:
    """Several small numbers per 32 bits"""

    item = 4

    def load_a(self, builder, address):
        return splat(builder, builder.load(pointer(builder, address, to=I32)), VI)

    def load_b(self, builder, address):
        return builder.load(pointer(builder, address, to=VI), align=4)


class BFloat16Pairs(_Packed):
    """bfloat16 × bfloat16 pairs -> float32"""

    sums = VF

    def add(self, builder, total, a, b):
        pairs = ir.VectorType(BF16, 2 * W)
        name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * W}"
        return call(builder, name, VF, total, builder.bitcast(a, pairs), builder.bitcast(b, pairs))


class Int8Vnni(_Packed):
    """uint8 × int8 quadruples -> int32, in one instruction"""

    sums = VI

    def add(self, builder, total, a, b):
        return call(builder, f"llvm.x86.avx512.vpdpbusd.{32 * W}", VI, total, a, b)


class Int8Arm(_Packed):
    """int8 × int8 quadruples -> int32, in one instruction; the bytes of a row are made signed when they are packed"""

    sums = VI

    def add(self, builder, total, a, b):
        bytes_ = ir.VectorType(I8, 4 * W)
        a, b = builder.bitcast(a, bytes_), builder.bitcast(b, bytes_)
        return call(builder, f"llvm.aarch64.neon.sdot.v{W}i32.v{4 * W}i8", VI, total, a, b)


class Int8Pairs(_Packed):
    """uint8 × int8, widened to 16 bits: the even and the odd pairs, each multiplied and added in one instruction"""

    sums = VI
    name = {16: "llvm.x86.avx512.pmaddw.d.512", 8: "llvm.x86.avx2.pmadd.wd", 4: "llvm.x86.sse2.pmadd.wd"}[W]

    def add(self, builder, total, a, b):
        shorts = ir.VectorType(I16, 2 * W)
        a, b, eight = builder.bitcast(a, shorts), builder.bitcast(b, shorts), ir.Constant(shorts, [8] * (2 * W))
        even = builder.and_(a, ir.Constant(shorts, [255] * (2 * W))), builder.ashr(builder.shl(b, eight), eight)
        odd = builder.lshr(a, eight), builder.ashr(b, eight)
        for pair in (even, odd):
            total = builder.add(total, call(builder, self.name, VI, *pair))
        return total


class Int8Plain(_Packed):
    """uint8 × int8, one byte of each lane after the other: any CPU"""

    sums = VI

    def add(self, builder, total, a, b):
        for q in range(4):
            shift = [ir.Constant(VI, [bits] * W) for bits in (8 * q, 24 - 8 * q, 24)]
            number = builder.and_(builder.lshr(a, shift[0]), ir.Constant(VI, [255] * W))
            weight = builder.ashr(builder.shl(b, shift[1]), shift[2])
            total = builder.add(total, builder.mul(number, weight))
        return total


def _int8():
    if {16: "avx512vnni", 8: "avxvnni"}.get(W) in FEATURES:
        return Int8Vnni()
    if ARM:
        return Int8Arm() if "dotprod" in FEATURES else Int8Plain()
    return Int8Pairs() if W < 16 or "avx512bw" in FEATURES else Int8Plain()


#: kinds of numbers that a matrix is stored in, as the kernels know them
KINDS = ("float32", "float16", "bfloat16", "int8")
FLOAT32, FLOAT16, BFLOAT16, INT8 = range(4)
BF16_DOT = "avx512bf16" in FEATURES and W == 16

#: weights in half precision become float32 before, where there is no instruction for pairs (linear/tiles.py)
DOTS = (Float32(), Float32(), BFloat16Pairs() if BF16_DOT else Float32(), _int8())

#: inner terms per item of 32 bits of a row
TERMS = (1, 1, 2 if BF16_DOT else 1, 4)

#: what is subtracted from the bytes of a row so that they are what the CPU multiplies: signed or not
BYTE_OFFSET = 128 if isinstance(DOTS[INT8], Int8Arm) else 0
