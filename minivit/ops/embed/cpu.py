"""Prepended tokens on the CPU: NumPy's, one copy."""

from .ref import prepend

__all__ = ["prepend"]
