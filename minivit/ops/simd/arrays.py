"""Memory for kernels: aligned, addressed, and refused before there is too little."""

import numpy as np

from ...errors import InputError


def refuse_too_much(needed):
    """InputError, before work starts, if that many bytes are not free (Linux; elsewhere nobody is asked)."""
    try:
        with open("/proc/meminfo") as file:
            free = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return
    if needed > free:
        raise InputError(
            f"this needs {needed / 1e9:.1f} GB of work memory and {free / 1e9:.1f} GB are free; "
            "use smaller images or fewer at a time"
        )


def address(value):
    """What a kernel gets for an argument: numbers as they are, addresses of arrays and packed matrices, 0 for None."""
    if isinstance(value, np.ndarray):
        return value.ctypes.data
    return 0 if value is None else getattr(value, "address", value)


def round_up(n, step):
    return -(-n // step) * step


def aligned(size, dtype=np.float32):
    """An array of zeros that starts on a cache line: a vector that straddles two lines costs two loads."""
    item = np.dtype(dtype).itemsize
    buffer = np.zeros(size + 64 // item, dtype)
    start = -buffer.ctypes.data % 64 // item
    return buffer[start : start + size]
