"""Between memory and vectors: whole and partial loads and stores, single numbers, smaller kinds of numbers.

Places are an address and an index in numbers of 4 bytes, unless said otherwise.  Nothing checks them.
"""

from llvmlite import ir

from .language import types, vec, vector_function
from .target import ARM, FEATURES, W
from .vector import BF16, F32, HALF, I8, I16, I32, I64, VF, VI, call, first, pointer


@vector_function((types.intp, types.intp), vec)
def load(builder, x, i):
    """W numbers from the i-th on."""
    return builder.load(pointer(builder, x, i), align=4)


@vector_function((types.intp, types.intp, vec), types.void)
def store(builder, y, i, v):
    builder.store(v, pointer(builder, y, i), align=4)


@vector_function((types.intp, types.intp, types.intp), vec)
def load_part(builder, x, i, count):
    """The first `count` of W numbers, the others 0; reads no memory beyond."""
    whole = builder.icmp_signed(">=", count, I64(W))
    with builder.if_else(whole) as (then, otherwise):
        with then:
            full, full_block = load.emit(builder, x, i), builder.block
        with otherwise:
            name, place = f"llvm.masked.load.v{W}f32.p0", pointer(builder, x, i)
            part = call(builder, name, VF, place, I32(4), first(builder, count), ir.Constant(VF, [0.0] * W))
            part_block = builder.block
    v = builder.phi(VF)
    v.add_incoming(full, full_block)
    v.add_incoming(part, part_block)
    return v


@vector_function((types.intp, types.intp, vec, types.intp), types.void)
def store_part(builder, y, i, v, count):
    """Store the first `count` lanes."""
    whole = builder.icmp_signed(">=", count, I64(W))
    with builder.if_else(whole) as (then, otherwise):
        with then:
            store.emit(builder, y, i, v)
        with otherwise:
            place = pointer(builder, y, i)
            call(builder, f"llvm.masked.store.v{W}f32.p0", ir.VoidType(), v, place, I32(4), first(builder, count))


@vector_function((types.intp, types.intp), types.float32)
def get(builder, x, i):
    """One number."""
    return builder.load(pointer(builder, x, i, F32))


@vector_function((types.intp, types.intp, types.float32), types.void)
def put(builder, y, i, number):
    builder.store(number, pointer(builder, y, i, F32))


@vector_function((types.intp,), types.void)
def fetch_second(builder, address):
    """Ask for the cache line at that address, whatever it may be, to be brought into the second-level cache."""
    place, read, second, data = pointer(builder, address, to=I8), I32(0), I32(2), I32(1)
    call(builder, "llvm.prefetch.p0", ir.VoidType(), place, read, second, data)


@vector_function((types.intp, types.intp), types.intp)
def number_at(builder, table, i):
    """Entry i of an int64 table."""
    return builder.load(pointer(builder, table, i, I64, item=8))


@vector_function((types.intp, types.intp, vec), types.void)
def store_bytes(builder, y, i, v):
    """Lanes in 0…255, rounded, as bytes from the i-th on: after the addition the last bits are the whole number."""
    shifted = builder.fadd(v, ir.Constant(VF, [12582912.0] * W))
    small = builder.trunc(builder.bitcast(shifted, VI), ir.VectorType(I8, W))
    builder.store(small, pointer(builder, y, i, small.type, item=1), align=1)


def _rounded(builder, v):
    """Lanes rounded to bfloat16: the upper halves of float32, as whole numbers of 16 bits."""
    short = ir.VectorType(I16, W)
    if "avx512bf16" in FEATURES:
        return builder.bitcast(builder.fptrunc(v, ir.VectorType(BF16, W)), short)
    bits = builder.bitcast(leading.emit(builder, v), VI)
    return builder.trunc(builder.lshr(bits, ir.Constant(VI, [16] * W)), short)


@vector_function((types.intp, types.intp, vec), types.void)
def store_bfloat(builder, y, i, v):
    """Lanes rounded to bfloat16, from the i-th number of 2 bytes on."""
    small = _rounded(builder, v)
    builder.store(small, pointer(builder, y, i, small.type, item=2), align=2)


@vector_function((types.intp, types.intp, vec, vec), types.void)
def store_bfloats(builder, y, i, v, w):
    """Lanes of two vectors rounded to bfloat16, from the i-th number of 2 bytes on."""
    if "avx512bf16" not in FEATURES:
        store_bfloat.emit(builder, y, i, v)
        store_bfloat.emit(builder, y, builder.add(i, I64(W)), w)
        return
    pairs = ir.VectorType(BF16, 2 * W)
    both = call(builder, f"llvm.x86.avx512bf16.cvtne2ps2bf16.{32 * W}", pairs, w, v)
    builder.store(both, pointer(builder, y, i, pairs, item=2), align=2)


@vector_function((types.intp, types.intp, vec, vec), types.void)
def store_upper(builder, y, i, v, w):
    """Lanes of two vectors that bfloat16 holds exactly, from the i-th number of 2 bytes on."""
    halves_of, upper = ir.VectorType(I16, 2 * W), ir.Constant(ir.VectorType(I32, 2 * W), list(range(1, 4 * W, 2)))
    both = builder.shuffle_vector(builder.bitcast(v, halves_of), builder.bitcast(w, halves_of), upper)
    builder.store(both, pointer(builder, y, i, halves_of, item=2), align=2)


@vector_function((vec,), vec)
def leading(builder, v):
    """Each number rounded to 8 bits: what bfloat16 holds, still as float32."""
    bits = builder.add(builder.bitcast(v, VI), ir.Constant(VI, [0x8000] * W))
    return builder.bitcast(builder.and_(bits, ir.Constant(VI, [-0x10000] * W)), VF)


@vector_function((types.intp, types.intp), vec)
def load_half(builder, x, i):
    """W numbers of float16 from the i-th number of 2 bytes on."""
    if ARM or "f16c" in FEATURES:
        return builder.fpext(builder.load(pointer(builder, x, i, ir.VectorType(HALF, W), item=2), align=2), VF)
    # without an instruction for it: move the bits to their places, and correct the exponent by a product
    bits = _shorts(builder, x, i)
    sign = builder.shl(builder.and_(bits, ir.Constant(VI, [0x8000] * W)), ir.Constant(VI, [16] * W))
    rest = builder.shl(builder.and_(bits, ir.Constant(VI, [0x7FFF] * W)), ir.Constant(VI, [13] * W))
    number = builder.bitcast(builder.or_(sign, rest), VF)
    return builder.fmul(number, ir.Constant(VF, [2.0**112] * W))


@vector_function((types.intp, types.intp), vec)
def load_bfloat(builder, x, i):
    """W numbers of bfloat16 from the i-th number of 2 bytes on: the upper halves of float32."""
    return builder.bitcast(builder.shl(_shorts(builder, x, i), ir.Constant(VI, [16] * W)), VF)


def _shorts(builder, x, i):
    return builder.zext(builder.load(pointer(builder, x, i, ir.VectorType(I16, W), item=2), align=2), VI)


@vector_function((vec, vec), vec)
def halves(builder, first, second):
    """Pairs of bfloat16 as `paired` makes them, of numbers that bfloat16 holds exactly."""
    low, high = (builder.bitcast(v, VI) for v in (first, second))
    return builder.bitcast(builder.or_(builder.lshr(low, ir.Constant(VI, [16] * W)), high), VF)


@vector_function((vec, vec), vec)
def paired(builder, first, second):
    """Pairs of bfloat16, 4 bytes each: one of `first`, one of `second`, lane by lane; for storing only."""
    low, high = (builder.zext(_rounded(builder, v), VI) for v in (first, second))
    return builder.bitcast(builder.or_(low, builder.shl(high, ir.Constant(VI, [16] * W))), VF)


@vector_function((types.intp, types.intp, types.intp, types.intp), types.void)
def transpose(builder, x, x_step, y, y_step):
    """W rows of W numbers, x_step numbers apart, become W columns: y (W,W), its rows y_step numbers apart."""
    rows = [builder.load(pointer(builder, x, builder.mul(x_step, I64(i))), align=4) for i in range(W)]
    half = W // 2
    while half:  # swap the upper right with the lower left quarter of every square of 2·half rows
        low = [i + j if j < half else W + i + j - half for i in range(0, W, 2 * half) for j in range(2 * half)]
        high = [i + j + half if j < half else W + i + j for i in range(0, W, 2 * half) for j in range(2 * half)]
        for i in range(W):
            if not i & half:
                pair = rows[i], rows[i + half]
                rows[i], rows[i + half] = (
                    builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(I32, W), lanes)) for lanes in (low, high)
                )
        half //= 2
    for i, row in enumerate(rows):
        builder.store(row, pointer(builder, y, builder.mul(y_step, I64(i))), align=4)


@vector_function((types.intp, types.intp), vec)
def load_whole(builder, x, i):
    """int32 numbers, as float32."""
    return builder.sitofp(builder.load(pointer(builder, x, i, VI), align=4), VF)
