"""Damaged copies of a valid file: what a careless network, disk or attacker makes of it."""

import random


def mutations(data, count, seed):
    """Yield `count` damaged copies of `data` (bytes); the same ones for the same seed."""
    rng = random.Random(seed)
    damages = (_flip_bits, _set_bytes, _overwrite_integer, _truncate, _drop, _repeat, _swap)
    for i in range(count):
        damaged = data
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            damaged = damages[i % len(damages)](damaged, rng)
        yield damaged


def _position(data, rng):
    # headers are short but matter most: half of all damage falls into the first 64 bytes
    end = min(64, len(data)) if rng.random() < 0.5 else len(data)
    return rng.randrange(max(end, 1))


def _span(data, rng):
    start = _position(data, rng)
    return start, start + rng.randint(1, 32)


def _flip_bits(data, rng):
    at = _position(data, rng)
    return data[:at] + bytes(b ^ 1 << rng.randrange(8) for b in data[at : at + 1]) + data[at + 1 :]


def _set_bytes(data, rng):
    start, end = _span(data, rng)
    return data[:start] + rng.randbytes(len(data[start:end])) + data[end:]


def _overwrite_integer(data, rng):
    # sizes and offsets at their extremes, in both byte orders
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, 2 ** (8 * width - 1) - 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1))
    at = _position(data, rng)
    return data[:at] + value.to_bytes(width, rng.choice(("little", "big"))) + data[at + width :]


def _truncate(data, rng):
    return data[: _position(data, rng)]


def _drop(data, rng):
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data, rng):
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.randint(1, 8) + data[end:]


def _swap(data, rng):
    # a splice: one part of the file is copied over another
    source, target, length = _position(data, rng), _position(data, rng), rng.randint(1, 64)
    part = data[source : source + length]
    return data[:target] + part + data[target + len(part) :]
