"""float16 and bfloat16 on the host: arrays of uint16 with their bits, from and to float32."""

import numpy as np


def widen_float16(half):
    # (...) uint16 -> (...) float32
    return np.asarray(half, np.uint16).view(np.float16).astype(np.float32)[()]


def narrow_float16(value):
    # (...) float32 -> (...) uint16
    return np.asarray(value, np.float32).astype(np.float16).view(np.uint16)[()]


def widen_bfloat16(half):
    # (...) uint16 -> (...) float32: its upper half
    return (np.asarray(half).astype(np.uint32) << np.uint32(16)).view(np.float32)[()]


def narrow_bfloat16(value):
    # (...) float32 -> (...) uint16, to nearest, ties to even; NaN stays NaN
    bits = np.asarray(value, np.float32).view(np.uint32)
    rounded = (bits + np.uint64(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint64(16)
    return np.where(np.isnan(value), 0x7FFF, rounded).astype(np.uint16)[()]


def same(value):
    return np.asarray(value, np.float32)
