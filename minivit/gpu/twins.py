"""The intrinsics in NumPy, for the simulator: what each PTX instruction does, lane by lane."""

import numpy as np

from .halves import narrow_bfloat16, narrow_float16, widen_bfloat16, widen_float16
from .sim import current

# lane l = 4g + t holds, of the matrices of mma.m16n8k16:
_G, _T = np.divmod(np.arange(32), 4)
_WORD, _HALF = np.arange(4)[None, :, None], np.arange(2)[None, None, :]
_A = _G[:, None, None] + 8 * (_WORD % 2), 2 * _T[:, None, None] + 8 * (_WORD // 2) + _HALF  # (32,4,2) rows, columns
_B = 2 * _T[:, None, None] + 8 * _WORD[:, :2] + _HALF, _G[:, None, None]  # (32,2,2)
_C = _G[:, None] + 8 * (np.arange(4) // 2), 2 * _T[:, None] + np.arange(4) % 2  # (32,4)


def _aligned(i, multiple):
    if int(i) % multiple:
        raise ValueError(f"misaligned access: element {i} is not a multiple of {multiple}")
    return int(i)


def _take(array, i, count):
    i = _aligned(i, count)
    if i + count > len(array):
        raise IndexError(f"elements {i}…{i + count - 1} of an array of {len(array)}")
    return array[i : i + count]


def load4(array, i):
    return tuple(_take(array, i, 4))


def store4(array, i, a, b, c, d):
    _take(array, i, 4)[:] = a, b, c, d


def store2(array, i, a, b):
    _take(array, i, 2)[:] = a, b


def _load_words(count):
    return lambda array, i: tuple(_take(array, i, 2 * count).view(np.uint32))


def _store_words(count):
    def store(array, i, *words):
        _take(array, i, 2 * count)[:] = np.array(words, np.uint32).view(np.uint16)

    return store


load2_words, load4_words = _load_words(2), _load_words(4)
store2_words, store4_words = _store_words(2), _store_words(4)
store_word = _store_words(1)


def load_word(array, i):
    return _take(array, i, 2).view(np.uint32)[0]


def _packs(widen, narrow):
    def pack(low, high):
        return narrow(np.array([low, high], np.float32)).view(np.uint32)[0]

    def unpack(word):
        return tuple(widen(np.array([word], np.uint32).view(np.uint16)))

    return pack, unpack


pack_float16, unpack_float16 = _packs(widen_float16, narrow_float16)
pack_bfloat16, unpack_bfloat16 = _packs(widen_bfloat16, narrow_bfloat16)


class _Address(tuple):
    """(array, i): a number of bytes can be added to it, as to the number that it is on a GPU."""

    def __add__(self, count):
        return shared_address(self[0], self[1] + _aligned(count, 2) // 2)


def shared_address(array, i):
    if current().block.alignment[id(array)] % 16:
        raise ValueError("a shared array whose address is taken needs alignment=16")
    return _Address((array, _aligned(i, 8)))


def exp2(x):
    return np.exp2(np.float32(x))


def copy_async(address, source, i, count):
    if count not in (0, 16) and not 0 < count < 16:
        raise ValueError(f"copy_async of {count} bytes, expected 0 to 16")
    current().copies[-1].append((address, source, _aligned(i, 8), int(count) // 2))


def copy_commit():
    current().copies.append([])


def _wait(groups):
    def wait():
        copies = current().copies
        while len(copies) - 1 > groups:
            for (target, at), source, i, count in copies.pop(0):
                if count and i + count > len(source):
                    raise IndexError(f"copy_async of elements {i}…{i + count - 1} of an array of {len(source)}")
                target[at : at + 8] = 0
                target[at : at + count] = source[i : i + count]

    return wait


copy_wait0, copy_wait1, copy_wait2 = _wait(0), _wait(1), _wait(2)


#: of the matrices that load_matrices read, how many rows had to wait, because another was in the same banks
conflicts = []


def _matrices(addresses):
    # {lane: (array, i)} -> (4, 8, 8) halves: matrix, row, column.  The 32 banks are eight groups of 16 bytes
    groups = np.array([addresses[lane][1] // 8 % 8 for lane in range(32)]).reshape(4, 8)
    conflicts.extend(8 - len(set(group)) for group in groups.tolist())
    rows = [addresses[lane][0][addresses[lane][1] : addresses[lane][1] + 8] for lane in range(32)]
    return np.array(rows).reshape(4, 8, 8)


def load_matrices(address):
    news, lane = current().exchange(address), current().lane
    if "words" not in news:  # the first lane to wake up reads for the whole warp
        news["words"] = np.ascontiguousarray(_matrices(news)).view(np.uint32)
    return tuple(news["words"][:, lane // 4, lane % 4])


def load_matrices_transposed(address):
    news, lane = current().exchange(address), current().lane
    if "words" not in news:
        news["words"] = np.ascontiguousarray(_matrices(news).transpose(0, 2, 1)).view(np.uint32)
    return tuple(news["words"][:, lane // 4, lane % 4])


def _mma(widen):
    def mma(a0, a1, a2, a3, b0, b1, c0, c1, c2, c3):
        news = current().exchange((a0, a1, a2, a3, b0, b1, c0, c1, c2, c3))
        if "d" not in news:
            words = np.array([news[lane][:6] for lane in range(32)], np.uint32)
            halves = widen(words.view(np.uint16)).reshape(32, 6, 2)
            a, b, c = np.empty((16, 16), np.float32), np.empty((16, 8), np.float32), np.empty((16, 8), np.float32)
            a[_A], b[_B] = halves[:, :4], halves[:, 4:]
            c[_C] = [news[lane][6:] for lane in range(32)]
            news["d"] = (a @ b + c)[_C]
        return tuple(news["d"][current().lane])

    return mma


mma_float16, mma_bfloat16 = _mma(widen_float16), _mma(widen_bfloat16)
