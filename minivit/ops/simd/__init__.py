"""Vector registers, threads and compiled kernels from Python: what the tier "cpu" (ops/*/cpu.py) is written with.

    target.py    which instructions this CPU has; how many numbers a register holds [W]; the tile of a product
    vector.py    the type Vec (W float32 numbers in one register) for Numba code: load, store, arithmetic
    functions.py exp, tanh, erf and both GELUs of a Vec
    tile.py      the micro-kernels: a tile of a matrix product held in registers
    team.py      threads that share the tasks of a kernel
    kernel.py    compile once, keep on disk

LLVM keeps neither a tile of sums in registers nor a polynomial in vectors for plain Numba loops; both are written with
vector values here, and LLVM maps these to AVX-512, AVX2, SSE2 or NEON.
"""
