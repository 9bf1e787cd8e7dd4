"""NumPy's .npz: a zip archive with one .npy file per array.

Every claim of the archive (zip directory, .npy headers) is compared with the bytes that are there before anything is
allocated, and pickled data is refused: nothing here can run code from the file.
"""

import math
import struct
import tokenize
import zipfile
import zlib
from functools import partial
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .stored import BFLOAT16, DAMAGE, StoredArray, check_count, decode, dtype_name, map_file

CHUNK = 1 << 20
DEFLATE_LIMIT = 1032  # the most bytes that one deflated byte can stand for (zlib technical details)
LOCAL_HEADER = struct.Struct("<26xHH")  # …, lengths of the name and of the extra field that follow it
#: A .npy header is a Python literal, so that damage to it shows in many ways.
HEADER_DAMAGE = (*DAMAGE, LookupError, SyntaxError, TypeError, struct.error, tokenize.TokenError)


class Member(NamedTuple):
    """One array of the archive: where it is, and what its header says."""

    archive: zipfile.ZipFile
    info: zipfile.ZipInfo
    start: int  # length of the .npy header in front of the numbers
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


def open_npz(path):
    """{name: StoredArray} of an .npz file.

    Raises InputError for a broken zip, duplicate members, pickled members and impossible sizes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE:
        problem = "the zip directory at its end is missing or damaged"
        raise InputError(f"{path.name}: not a complete .npz file, {problem}; download it again") from None
    _check_directory(path, archive.infolist())
    file_bytes = map_file(path)
    arrays = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in arrays:
            raise InputError(f"{path.name}: {name!r} is stored twice, expected every array once; save the file again")
        member = _member(path, archive, info)
        load = partial(_load, member, file_bytes)
        arrays[name] = StoredArray(path, name, member.shape, dtype_name(member.dtype), load)
    return arrays


def _check_directory(path, members):
    check_count(path, len(members))
    present = path.stat().st_size
    if sum(info.compress_size for info in members) > present:
        raise InputError(
            f"{path.name}: the zip directory claims more than the {present} bytes of the file; it is damaged"
        )
    for info in members:
        name, deflated = info.filename, info.compress_type == zipfile.ZIP_DEFLATED
        if name.endswith(".pkl"):
            raise InputError(f"{path.name}: a PyTorch pickle, which can run code when loaded; save it as .safetensors")
        if not name.endswith(".npy"):
            raise InputError(f"{path.name}: member {name!r} is not a .npy array, expected an .npz written by NumPy")
        if info.flag_bits & 1 or not (deflated or info.compress_type == zipfile.ZIP_STORED):
            raise InputError(
                f"{path.name}: member {name!r} is encrypted or compressed in a way that NumPy does not write"
            )
        limit = info.compress_size * (DEFLATE_LIMIT if deflated else 1)
        if info.file_size > limit:
            raise InputError(
                f"{path.name}: member {name!r} claims {info.file_size} bytes, "
                f"its {info.compress_size} stored bytes cannot hold more than {limit}; the file is damaged"
            )


def _member(path, archive, info):
    try:
        with archive.open(info) as stream:
            shape, fortran, dtype = _npy_header(stream)
            start = stream.tell()
    except HEADER_DAMAGE:
        problem = "does not start with a .npy header or has a wrong checksum"
        raise InputError(f"{path.name}: {info.filename!r} {problem}; download or save the file again") from None
    if dtype.hasobject:
        raise InputError(
            f"{path.name}: {info.filename!r} is pickled data, which can run code when loaded, and is refused; "
            "save it again as an array of numbers"
        )
    if dtype != BFLOAT16 and dtype.kind not in "fiub":
        raise InputError(f"{path.name}: {info.filename!r} has dtype {dtype}, expected numbers or 2-byte bfloat16")
    if min(shape, default=0) < 0 or start + math.prod(shape) * dtype.itemsize != info.file_size:
        raise InputError(
            f"{path.name}: {info.filename!r} claims shape {shape} of {dtype_name(dtype)}, "
            f"but {info.file_size - start} bytes follow; the file is damaged"
        )
    return Member(archive, info, start, shape, fortran, dtype)


def _npy_header(stream):
    # -> shape, Fortran order or not, dtype
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError("version 3.0 has structured arrays only")


def _load(member, file_bytes, mapped):
    # -> the array; both ways compare the checksum that the zip has of it
    begin = _data_offset(member.info, file_bytes)
    # an unaligned view would be copied by every product that uses it: better once, here
    aligned = (begin + member.start) % member.dtype.itemsize == 0
    if mapped and aligned and member.info.compress_type == zipfile.ZIP_STORED:
        npy = file_bytes[begin : begin + member.info.file_size]
        if zlib.crc32(npy) != member.info.CRC:
            raise ValueError("wrong checksum")
        raw = npy[member.start :]
    else:
        raw = _unpacked(member)
    return decode(raw, member.dtype, member.shape, member.fortran)


def _data_offset(info, file_bytes):
    name_length, extra_length = LOCAL_HEADER.unpack_from(file_bytes, info.header_offset)
    return info.header_offset + LOCAL_HEADER.size + name_length + extra_length


def _unpacked(member):
    # -> (bytes,) uint8 after the .npy header
    raw = np.empty(member.info.file_size - member.start, np.uint8)
    with member.archive.open(member.info) as stream:
        stream.read(member.start)
        filled = sum(stream.readinto(raw[at : at + CHUNK]) for at in range(0, len(raw), CHUNK))
        if filled < len(raw) or stream.read(1):  # reading past the end is what makes zipfile compare the checksum
            raise ValueError("it is shorter or longer than the zip directory says")
    return raw
