"""The micro-kernels: a tile of a matrix product, its sums held in vector registers.

An *item* is 32 bits of a row of a, and the same inner terms of W columns of b: one float32, two bfloat16 or four int8.

a  panel of rows     (items/W, TALL, W): row m of a chunk is contiguous, so producers write it as whole vectors;
                     or `transposed`, (items, ld): for each item TALL rows, as they lie in a matrix of ld columns
b  panel of columns  (items, WIDE): for each item, WIDE columns
c  the tile          row m, vector j at c[m·row + j·vector], in the first-level cache: bias, GELU and residual are the
                     caller's, on the way from there to memory
"""

from contextlib import contextmanager
from functools import partial

from llvmlite import ir

from .amx import MULTIPLY, emit_tile
from .dots import DOTS
from .language import intrinsic, signature, types
from .memory import fetch_second
from .target import TALL, VECS, W
from .vector import I64, pointer

#: items per turn of the innermost loop; with 16, LLVM loads all numbers first and spills the sums: half the speed
UNROLL = 4
#: bytes of the next panel of b that are fetched per chunk: all of it, if 20 tiles, or 7 of 32 rows, read this one
AHEAD, AHEAD_TILES = 128, 320


def make_tile(kind, rows, transposed=False):
    """The micro-kernel of `rows` ≤ TALL rows: c = a b, or c += a b, over `chunks` · W items.

    Meanwhile it fetches the AHEAD · chunks bytes at `ahead` into the second-level cache: the next panel of b.
    ld: the distance of two items of a `transposed` a.
    """

    @intrinsic
    def tile(typing_context, a, ld, b, c, row, vector, chunks, add, ahead):
        def codegen(context, builder, sig, args):
            a, ld, *others, ahead = args
            if kind in MULTIPLY and not transposed:
                fetch = partial(_prefetch, builder, ahead, AHEAD_TILES)
                emit_tile(builder, _loop, kind, rows, fetch, a, *others)
            elif kind < len(DOTS):  # not numbers in parts: without tile registers there are none
                chunk, item, next_row = (builder.mul(ld, I64(W)), ld, 1) if transposed else (I64(TALL * W), I64(1), W)
                fetch = partial(_prefetch, builder, ahead, AHEAD)
                _emit_tile(builder, DOTS[kind], rows, fetch, a, chunk, item, next_row, *others)
            return context.get_dummy_value()

        return signature(types.void, *[types.intp] * 7, types.boolean, types.intp), codegen

    return tile


def _emit_tile(builder, dot, rows, fetch, a, a_chunk_step, a_item, a_row, b, c, row, vector, chunks, add):
    cells = [(m, j) for m in range(rows) for j in range(VECS)]
    places = {(m, j): builder.add(builder.mul(row, I64(m)), builder.mul(vector, I64(j))) for m, j in cells}
    sums = _start_sums(builder, dot.sums, places, c, add)
    b_item = dot.item * W  # bytes of one vector of b
    with _loop(builder, chunks, sums) as (chunk, sums_of_chunk):
        a_chunk = builder.add(a, builder.mul(chunk, builder.mul(a_chunk_step, I64(4))))
        b_chunk = builder.add(b, builder.mul(chunk, I64(W * VECS * b_item)))
        fetch(chunk)
        with _loop(builder, I64(W // UNROLL), sums_of_chunk) as (step, new):
            a_step = builder.add(a_chunk, builder.mul(step, builder.mul(a_item, I64(4 * UNROLL))))
            b_step = builder.add(b_chunk, builder.mul(step, I64(UNROLL * VECS * b_item)))
            for i in range(UNROLL):
                columns = [dot.load_b(builder, builder.add(b_step, I64((i * VECS + j) * b_item))) for j in range(VECS)]
                a_now = builder.add(a_step, builder.mul(a_item, I64(4 * i)))
                for m in range(rows):
                    number = dot.load_a(builder, builder.add(a_now, I64(4 * m * a_row)))
                    for j in range(VECS):
                        new[m, j] = dot.add(builder, new[m, j], number, columns[j])
        sums_of_chunk.update(new)
    for cell, place in places.items():
        builder.store(sums_of_chunk[cell], pointer(builder, c, place, dot.sums), align=4)


def _start_sums(builder, vector_type, places, c, add):
    before = builder.block
    with builder.if_then(add):
        old = {cell: builder.load(pointer(builder, c, place, vector_type), align=4) for cell, place in places.items()}
        loaded = builder.block
    start = {cell: builder.phi(vector_type) for cell in places}
    for cell, phi in start.items():
        phi.add_incoming(ir.Constant(vector_type, [0] * W), before)
        phi.add_incoming(old[cell], loaded)
    return start


def _prefetch(builder, ahead, size, chunk):
    address = builder.add(ahead, builder.mul(chunk, I64(size)))
    for line in range(0, size, 64):
        fetch_second.emit(builder, builder.add(address, I64(line)))


@contextmanager
def _loop(builder, turns, sums):
    """IR of a loop of at least one turn; gives (number of the turn, sums): the body replaces the sums in that dict."""
    before, body, after = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("after")
    builder.branch(body)
    builder.position_at_end(body)
    i = builder.phi(I64)
    i.add_incoming(I64(0), before)
    carried = {}
    for cell, value in sums.items():
        carried[cell] = builder.phi(value.type)
        carried[cell].add_incoming(value, before)
    now = dict(carried)
    yield i, now
    following = builder.add(i, I64(1))
    i.add_incoming(following, builder.block)
    for cell, phi in carried.items():
        phi.add_incoming(now[cell], builder.block)
    builder.cbranch(builder.icmp_signed("<", following, turns), body, after)
    builder.position_at_end(after)
