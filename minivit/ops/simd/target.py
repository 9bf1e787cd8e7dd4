"""What the kernels are compiled for: the instructions of this CPU, and the sizes that follow from them."""

from .host import answer

TRIPLE, CPU, FEATURE_STRING = answer()
FEATURES = frozenset(f[1:] for f in FEATURE_STRING.split(",") if f.startswith("+"))
ARM = TRIPLE.startswith(("aarch64", "arm64"))

#: W: float32 numbers in a vector register
W = 16 if "avx512f" in FEATURES else 8 if {"avx2", "fma"} <= FEATURES else 4

#: A tile of a product is TALL rows × WIDE columns of sums: 24 of 32 vector registers, or 12 of 16
VECS = 2
WIDE = VECS * W
TALL = 12 if W == 16 or ARM else 6
