"""Arrays small enough for a web page: one byte per number, deflated, base64; explorer.js reads them back.

Patches are kept as number = step · byte, with one step per row: the largest of the row / 127.  More levels could not be
told apart by eye, and a page of B/16 would grow by a megabyte.  Tokens in front of the patches stay float32.
"""

import base64
import zlib

import numpy as np

TINY = np.finfo(np.float32).tiny
LEVELS = 127


def quantised(maps, config):
    """{name: (...,N)} -> per name the bytes (...,G) of the patches, ".step" (...), and ".prefix" (...,P)."""
    arrays = {}
    for name, x in maps.items():
        patches = x[..., config.prefix :]
        step = (abs(patches).max(-1, keepdims=True) / LEVELS).astype(np.float32)
        arrays[name] = np.rint(patches / np.maximum(step, TINY)).clip(-LEVELS, LEVELS).astype(np.int8)
        arrays[f"{name}.step"] = step[..., 0]
        arrays[f"{name}.prefix"] = x[..., : config.prefix].astype(np.float32)
    return arrays


def pack(arrays):
    """Arrays one after the other, each at a multiple of 4 bytes: where they are, and base64 of the deflated bytes."""
    directory, parts, offset = {}, [], 0
    for name, x in arrays.items():
        directory[name] = {"type": str(x.dtype), "shape": x.shape, "offset": offset}
        parts.append(x.tobytes() + bytes(-x.nbytes % 4))
        offset += len(parts[-1])
    return directory, base64.b64encode(zlib.compress(b"".join(parts))).decode()
