"""A small linker: what a compiler made becomes code that can run.  For Linux on x86-64; elsewhere mcjit.py does it.

An object file (ELF: man 5 elf) holds machine code that does not know yet where in memory it will be:

    sections     the pieces: instructions, and the constants that they read
    symbols      names of places in these sections, and of functions that are elsewhere, in the C library
    relocations  places in a section where the address of a symbol belongs

Linking is three steps: find a place for every section, write the addresses, and declare the memory executable; from
then on nobody can write there.
"""

import ctypes
import mmap
import platform
import struct
import sys
from collections import namedtuple

HERE = sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 2**32
#: how an object file of this machine begins (64 bits, little-endian, version 1), and two numbers after 16 bytes
MAGIC, RELOCATABLE, X86_64 = b"\x7fELF\x02\x01\x01", 1, 62

Section = namedtuple("Section", "name type flags address start size link info align item")
Symbol = namedtuple("Symbol", "name kind visibility section value size")
Relocation = namedtuple("Relocation", "place how symbol plus")
LAYOUT = {Section: "<IIQQQQIIQQ", Symbol: "<IBBHQQ", Relocation: "<QIIq"}

SYMBOLS, RELOCATIONS, UNWIND = 2, 4, 0x70000001  # types of sections: two tables, and what only exceptions need
WRITABLE, LOADED = 1, 2  # flags of sections
ADDRESS = 1  # how a relocation is meant: all 8 bytes of the address
ELSEWHERE = 0  # the section of a symbol that is not in the file


class Unknown(Exception):
    """The file is whole, as far as one can see, and has something that this linker does not know."""


def load(code, name):
    """An object file -> the address of its function of that name (0: there is none), and what keeps the code alive.

    Raises Unknown, and RuntimeError for what is no object file of this machine or needs what the system lacks.
    """
    try:
        return _link(code, name)
    except (ValueError, IndexError, struct.error) as error:
        raise RuntimeError(f"it is no whole object file: {error}") from error


def _link(code, name):
    if not code.startswith(MAGIC) or struct.unpack_from("<HH", code, 16) != (RELOCATABLE, X86_64):
        raise RuntimeError("it is no object file of this machine")
    (start,), (count,) = struct.unpack_from("<Q", code, 40), struct.unpack_from("<H", code, 60)
    sections = _table(code, Section, start, count * struct.calcsize(LAYOUT[Section]))
    table = sections[[section.type for section in sections].index(SYMBOLS)]
    symbols = _table(code, Symbol, table.start, table.size)
    names = _part(code, sections[table.link].start, sections[table.link].size)

    memory, places = _lay_out(code, sections)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    addresses = {i: base + place for i, place in places.items()}
    for section in sections:
        if section.type == RELOCATIONS and section.info in places:
            for place, how, symbol, plus in _table(code, Relocation, section.start, section.size):
                if how != ADDRESS:
                    raise Unknown(f"relocations of type {how}")
                if place + 8 > sections[section.info].size:
                    raise ValueError("an address outside its section")
                address = _address(symbols[symbol], names, addresses) + plus
                struct.pack_into("<Q", memory, places[section.info] + place, address)
    size, runnable = ctypes.c_size_t(len(memory)), mmap.PROT_READ | mmap.PROT_EXEC
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(base), size, runnable):
        raise Unknown("how to make memory executable on this system")

    found = [symbol for symbol in symbols if symbol.section in places and _name(names, symbol) == name]
    return (_address(found[0], names, addresses) if found else 0), memory


def _lay_out(code, sections):
    """Memory with copies of all sections that the code needs, and {number of a section: where its copy begins}."""
    places, end = {}, 0
    for i, section in enumerate(sections):
        if section.flags & LOADED and section.type != UNWIND and section.size:
            if section.flags & WRITABLE:
                raise Unknown("variables")
            places[i] = -(-end // max(section.align, 1)) * max(section.align, 1)
            end = places[i] + section.size
    memory = mmap.mmap(-1, max(end, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
    for i, place in places.items():
        memory[place : place + sections[i].size] = _part(code, sections[i].start, sections[i].size)
    return memory, places


def _address(symbol, names, addresses):
    """Where the symbol is; addresses: {number of a section: where it is in memory}."""
    if symbol.section in addresses:
        return addresses[symbol.section] + symbol.value
    if symbol.section != ELSEWHERE:
        raise Unknown("symbols that are in no section")
    name = _name(names, symbol)
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
    except AttributeError as error:
        raise RuntimeError(f"it calls {name}, which this system does not have") from error


def _name(names, symbol):
    return names[symbol.name : names.index(b"\0", symbol.name)].decode()


def _table(code, row, start, size):
    return [row(*values) for values in struct.iter_unpack(LAYOUT[row], _part(code, start, size))]


def _part(code, start, size):
    if start + size > len(code):
        raise ValueError("it ends too soon")
    return code[start : start + size]
