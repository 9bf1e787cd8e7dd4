"""What this CPU can do, as LLVM says it: never found out by trying, because a wrong guess is a crash.

Numba's settings NUMBA_CPU_NAME and NUMBA_CPU_FEATURES override the host, so that one machine can test them all.
"""

from llvmlite.binding import llvm_version_info
from numba import __version__ as numba_version
from numba.core.registry import cpu_target

if llvm_version_info < (20,):  # LLVM 15 of Numba 0.61 aborts on the vectors of vector.py
    raise ImportError(f"Numba 0.62 or newer is needed, this is {numba_version}")

TRIPLE, CPU, _FEATURES = cpu_target.target_context.codegen().magic_tuple()
FEATURES = frozenset(f[1:] for f in _FEATURES.split(",") if f.startswith("+"))
ARM = TRIPLE.startswith(("aarch64", "arm64"))

#: W: float32 numbers in a vector register
W = 16 if "avx512f" in FEATURES else 8 if {"avx2", "fma"} <= FEATURES else 4

#: A tile of a product is TALL rows × WIDE columns of sums: 24 of 32 vector registers, or 12 of 16
VECS = 2
WIDE = VECS * W
TALL = 12 if W == 16 or ARM else 6
