"""Pooling on the CPU: NumPy's, a copy or a mean per image."""

from .ref import pool

__all__ = ["pool"]
