"""ReLU on the CPU: NumPy's is as fast as memory; in the hybrids it happens on the way into the next convolution
(ops/conv/windows.py) or with the sum of both paths (ops/stem)."""

from .ref import relu

__all__ = ["relu"]
