"""Position-table resize on the CPU: NumPy's, in float64; nothing to do at the trained resolution."""

from .ref import resize_positions

__all__ = ["resize_positions"]
