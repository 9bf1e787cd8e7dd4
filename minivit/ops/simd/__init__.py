"""Vector registers, threads and compiled kernels from Python: what the tier "cpu" (ops/*/cpu.py) is written with.

    target.py    which instructions this CPU has; how many numbers a register holds [W]; the tile of a product
    host.py      … as LLVM once said, or says (ask_llvm.py)
    language.py  the words that kernels are written with: njit, vec, …  They import no Numba
    compiler.py  … and what Numba makes of them: the type vec (W float32 numbers in one register), its arithmetic
    vector.py    the LLVM IR that functions on vectors are made of
    memory.py    loads and stores, whole, partial, converting
    lanes.py     what is done with vectors in registers: fused multiply-add, min, max, sums of lanes
    functions.py exp, erf and both GELUs of a vector
    pieces.py    … the GELUs again, from tables in registers
    dots.py      how this CPU multiplies float32, half precision, bfloat16 and int8
    tile.py      the micro-kernel: a tile of a matrix product held in registers
    amx.py       … and in tile registers, where the CPU has them
    arrays.py    memory for kernels
    stages.py    how the threads that run a kernel share its tasks
    team.py      … and these threads
    kernel.py    compile once, keep on disk (cache.py), load again: linker.py, or LLVM (mcjit.py)

LLVM keeps neither a tile of sums in registers nor a polynomial in vectors for plain Numba loops; both are written with
vector values here, and LLVM maps these to AVX-512, AVX2, SSE2 or NEON.
"""
