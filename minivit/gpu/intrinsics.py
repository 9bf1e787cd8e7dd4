"""Instructions that Python has no word for.  On a GPU they are PTX (ptx.py), in the simulator NumPy (twins.py).

Arrays are flat; halves (float16, bfloat16) are uint16 in memory, and pairs of them uint32 words in registers.

load4(x, i) -> 4 float32          one 128-bit access; i a multiple of 4        store4(x, i, a, b, c, d)
load4_words(h, i) -> 4 words      eight halves; i a multiple of 8              store4_words(h, i, a, b, c, d)
load2_words(h, i) -> 2 words      four halves; i a multiple of 4               store2_words(h, i, a, b)
store2(x, i, a, b)                two float32; i even
load_word(h, i) -> word           two halves; i even                           store_word(h, i, word)

widen_float16(half) -> float32    narrow_float16(float32) -> half              the same with bfloat16
unpack_float16(word) -> low, high pack_float16(low, high) -> word

exp2(x) -> float32                2ˣ, approximate: relative error 2⁻²²

shared_address(s, i)              where element i of a shared array is, for the next three; i a multiple of 8,
                                  s declared with alignment=16.  Adding a number to it moves it by so many bytes
copy_async(address, h, i, bytes)  16 bytes from global to shared memory, on the way until waited for; i a multiple of 8;
                                  of those 16 only the first `bytes` are read, and the others become zero
copy_commit()                     the copies so far are one group
copy_wait0() copy_wait1() …2()    wait until at most that many groups are on the way (others' copies: a barrier)

load_matrices(address) -> 4 words            ldmatrix.x4: lane 8q+r gives the address of row r (8 halves) of matrix q,
load_matrices_transposed(address)            and gets of each matrix row lane/4, columns 2(lane%4) and the next
mma_float16(a0…a3, b0, b1, c0…c3) -> 4 float32    a (16,16) b (16,8) + c (16,8), spread over the lanes of a warp:
mma_bfloat16                                      lane = 4g+t:  a rows g, g+8, columns 2t, 2t+1, +8;  b columns g;
                                                  c rows g, g+8, columns 2t, 2t+1
"""

from .compat import SIMULATED

NAMES = (
    *("load4", "store4", "store2", "load4_words", "store4_words", "load2_words", "store2_words"),
    *("load_word", "store_word"),
    *("widen_float16", "widen_bfloat16", "narrow_float16", "narrow_bfloat16"),
    *("unpack_float16", "unpack_bfloat16", "pack_float16", "pack_bfloat16"),
    "exp2",
    *("shared_address", "copy_async", "copy_commit", "copy_wait0", "copy_wait1", "copy_wait2"),
    *("load_matrices", "load_matrices_transposed", "mma_float16", "mma_bfloat16"),
)
if SIMULATED:
    from . import twins as _from
else:
    from . import ptx as _from
globals().update({name: getattr(_from, name) for name in NAMES})
__all__ = list(NAMES)
