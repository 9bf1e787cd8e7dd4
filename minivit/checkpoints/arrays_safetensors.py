"""safetensors: eight bytes with the length of a JSON header, the header, then the numbers (huggingface/safetensors).

The `safetensors` library checks the file (sizes, overlaps, gaps).  The numbers are mapped here, because for NumPy the
library copies them and has no bfloat16, and the names are read here, because it keeps the last of two equal ones.
"""

import json
import math
from functools import partial

import numpy as np

from ..errors import InputError
from .stored import BFLOAT16, DAMAGE, StoredArray, check_count, decode, dtype_name, map_file, one_line

MAX_HEADER = 16 << 20  # bytes; the format allows 100 MB, ten thousand tensors take two
FLOATS = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": BFLOAT16}
INTEGERS = {f"{kind}{8 * size}": np.dtype(f"<{kind.lower()}{size}") for kind in "IU" for size in (1, 2, 4, 8)}
DTYPES = {**FLOATS, **INTEGERS, "BOOL": np.dtype("?")}


def open_safetensors(path):
    """{name: StoredArray} of one .safetensors file.

    Raises InputError for a header that is broken, repeats a name or does not describe exactly the bytes that follow it.
    """
    header, start = _header(path)
    _validate(path)
    check_count(path, len(header))
    file_bytes = map_file(path)
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            shape, dtype, (begin, _) = tuple(entry["shape"]), DTYPES.get(entry["dtype"]), entry["data_offsets"]
            if dtype is None:
                raise InputError(
                    f"{path.name}: {name!r} is stored as {entry['dtype']}, expected one of {', '.join(DTYPES)}"
                )
            load = partial(_load, path, file_bytes, start + begin, dtype, shape)
            arrays[name] = StoredArray(path, name, shape, dtype_name(dtype), load)
    return arrays


def _header(path):
    # -> (header, offset of the first number)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        present = path.stat().st_size - 8
        if not 2 <= length <= min(MAX_HEADER, present):
            claim = f"its header claims {length} bytes, {max(present, 0)} follow, {MAX_HEADER} are allowed"
            raise InputError(f"{path.name}: {claim}; the file is incomplete or not safetensors, download it again")
        text = file.read(length)
    try:
        return json.loads(text, object_pairs_hook=partial(_without_repeats, path)), 8 + length
    except InputError:
        raise
    except DAMAGE as error:
        problem = f"the safetensors header is not JSON ({one_line(error)})"
        raise InputError(f"{path.name}: {problem}; download it again") from None


def _without_repeats(path, pairs):
    found = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"{path.name}: the safetensors header names {name!r} twice; expected every tensor once")
        found[name] = value
    return found


def _validate(path):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, *DAMAGE) as error:
        raise InputError(
            f"{path.name}: not a complete safetensors file ({one_line(error)}); download it again"
        ) from None


def _load(path, file_bytes, offset, dtype, shape, mapped):
    # -> the array of that shape, whose first byte lies at the offset
    length = math.prod(shape) * dtype.itemsize
    if mapped and offset % dtype.itemsize == 0:  # every product would copy an unaligned view: better once, here
        return decode(file_bytes[offset : offset + length], dtype, shape)
    return decode(np.fromfile(path, np.uint8, length, offset=offset), dtype, shape)
