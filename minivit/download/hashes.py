"""Checksums: those that servers send along, and those of a file on the disk."""

import base64
import binascii
import hashlib
import re
from functools import cache

import numpy as np

from ..errors import InputError

CHUNK = 1 << 20
STRENGTH = ("sha256", "md5", "crc32c")  # the first that a server gives is compared


def of_server(headers):
    """{algorithm: hexadecimal digest} of the file, as far as the headers of an answer tell.

    x-goog-hash of Google Cloud Storage has md5 and crc32c in base64; x-linked-etag of Hugging Face is a sha256.
    """
    found = {}
    if headers.get("x-goog-stored-content-encoding", "identity") == "identity":  # else it is that of the packed bytes
        for item in ",".join(headers.get_all("x-goog-hash") or []).split(","):
            algorithm, _, value = item.strip().partition("=")
            if algorithm in STRENGTH:
                found[algorithm] = _hexadecimal(value)
    linked = re.fullmatch(r'"?([0-9a-f]{64})"?', headers.get("x-linked-etag", ""))
    if linked:
        found["sha256"] = linked[1]
    return {algorithm: digest for algorithm, digest in found.items() if digest}


def _hexadecimal(text):
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return None


def digests(path, algorithms):
    """{algorithm: hexadecimal digest} of a file, read once."""
    hashing = {algorithm: Crc32c() if algorithm == "crc32c" else hashlib.new(algorithm) for algorithm in algorithms}
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            for one in hashing.values():
                one.update(chunk)
    return {algorithm: one.hexdigest() for algorithm, one in hashing.items()}


def check(path, wanted):
    """(sha256 of a file, the algorithm compared or None).  Raises InputError if it is not the file that was wanted."""
    strongest = next((algorithm for algorithm in STRENGTH if algorithm in wanted), None)
    found = digests(path, {"sha256", strongest} - {None})
    if strongest and found[strongest] != wanted[strongest]:
        raise InputError(f"wrong {strongest}: {found[strongest]}, the server says {wanted[strongest]}")
    return found["sha256"], strongest


class Crc32c:
    """CRC-32 of Castagnoli, which Google gives for files that were uploaded in parts."""

    def __init__(self):
        self.value = 0xFFFFFFFF

    def update(self, chunk):
        self.value = int(_loop()(self.value, np.frombuffer(chunk, np.uint8), _table()))

    def hexdigest(self):
        return f"{self.value ^ 0xFFFFFFFF:08x}"


@cache
def _table():
    # -> (256,) uint32: the remainder of every byte by the polynomial 0x1EDC6F41, both with their bits in reverse
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ 0x82F63B78, values >> 1).astype(np.uint32)
    return values


@cache
def _loop():
    from numba import njit

    @njit
    def loop(value, data, table):
        # value (32 bits), data (n,) uint8, table (256,) uint32 -> value
        value = np.uint32(value)
        for byte in data:
            value = table[(value ^ byte) & 0xFF] ^ (value >> np.uint32(8))
        return value

    return loop
