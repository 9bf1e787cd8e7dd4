"""A GPU in Python, for tests without one: the same kernels, run as they are written.

Every thread of a block is a greenlet.  A thread runs until it reaches a barrier or a warp operation; then the next one
runs.  So a kernel is checked for what it computes, and also for what goes wrong only sometimes on a GPU:

* warps take turns in an order drawn at random (`with schedule(seed)`), and so do the lanes of a warp: a missing barrier
  shows as a wrong result;
* shared, local and fresh device memory starts as NaN: what is read before it was written shows;
* an asynchronous copy (twins.py) arrives when it is waited for, and not before;
* an index past the end of an array is an error, and so are barriers that some threads never reach.

What it cannot tell: how long anything takes, bank conflicts, and registers (see machine_code.py).
"""

import random
from contextlib import contextmanager
from contextvars import copy_context
from itertools import product
from types import SimpleNamespace

import numpy as np
from greenlet import getcurrent, greenlet

WARP = 32
ALL_LANES = 0xFFFFFFFF


class KernelError(Exception):
    """A kernel did what a GPU would punish: a bad index, a barrier that not all reach, too much shared memory."""


_schedule = None  # a random.Random, or None: in turn


@contextmanager
def schedule(seed):
    """Inside, warps and lanes take turns at random, reproducibly; seed None: in order."""
    global _schedule
    before, _schedule = _schedule, None if seed is None else random.Random(seed)
    try:
        yield
    finally:
        _schedule = before


def poisoned(shape, dtype):
    """An array that holds NaN, or a number nobody expects: 0x7fff is a NaN of float16 and of bfloat16."""
    dtype = np.dtype(dtype)
    nan = {"f": np.nan, "u": 0x7FFF7FFF7FFF7FFF & (256**dtype.itemsize - 1), "i": np.iinfo(np.int16).max}
    return np.full(shape, nan[dtype.kind], dtype)


def run(function, grid, threads, signature, arguments):
    """Run a kernel: `grid` blocks and `threads` per block, each a number or (x, y, z)."""
    grid, threads = _three(grid), _three(threads)
    args = [_checked(kind.strip(), value) for kind, value in zip(signature.split(","), arguments, strict=True)]
    with np.errstate(all="ignore"):
        for block in product(*(range(n) for n in reversed(grid))):
            Block(function, block[::-1], grid, threads, args).run()


def _checked(kind, value):
    # an argument, if it is what the signature of the kernel says
    dtype, is_array = np.dtype(kind.removesuffix("[::1]")), kind.endswith("[::1]")
    if getattr(value, "dtype", None) != dtype or value.ndim != is_array:
        raise KernelError(f"a kernel was given {type(value).__name__} {getattr(value, 'dtype', '')}, expected {kind}")
    return value


def current():
    """The thread that is running, seen from inside a kernel."""
    return getcurrent().thread


class Thread:
    def __init__(self, block, place, number):
        self.block, self.number = block, number
        self.warp, self.lane = divmod(number, WARP)
        self.threadIdx = _dim(place)
        self.waits_for = None  # ("block", None) or ("warp", mask), with the value it brought
        self.value = None
        self.shared_arrays = 0  # how many it has declared so far
        self.copies = [[]]  # groups of asynchronous copies under way; the last is not committed
        self.greenlet = greenlet(lambda: block.function(*block.args))
        self.greenlet.gr_context = copy_context()  # in which NumPy keeps what it says about overflows: nothing
        self.greenlet.thread = self

    def wait(self, what, value=None):
        """Let others run until all that must come have come; gives {number: value} of all of them."""
        self.waits_for, self.value = what, value
        return self.block.hub.switch()

    def exchange(self, value, mask=ALL_LANES):
        """Every lane of `mask` brings a value; gives {lane: value} when all (that have not ended) are there."""
        return self.wait(("warp", int(mask)), value)


class Block:
    def __init__(self, function, index, grid, threads, args):
        self.function, self.args = function, args
        self.shared, self.alignment = [], {}  # arrays, and their alignment in bytes by id
        self.blockIdx, self.gridDim, self.blockDim = _dim(index), _dim(grid), _dim(threads)
        places = [place[::-1] for place in product(*(range(n) for n in reversed(threads)))]
        self.threads = [Thread(self, place, i) for i, place in enumerate(places)]

    def run(self):
        self.hub = getcurrent()
        self.warps = [self.threads[i : i + WARP] for i in range(0, len(self.threads), WARP)]
        ready = [[(thread, None) for thread in warp] for warp in self.warps]
        while any(self.warps):
            while ready:
                group = ready.pop(_schedule.randrange(len(ready)) if _schedule else 0)
                self.resume(group)
                ready += self.complete_exchanges(group[0][0].warp)
            ready = self.complete_barrier()

    def resume(self, group):
        """Run each thread of a warp until it waits again, or ends."""
        if _schedule:
            _schedule.shuffle(group)
        for thread, news in group:
            thread.waits_for = None
            try:
                thread.greenlet.switch(news) if news is not None else thread.greenlet.switch()
            except Exception as error:
                place = f"block {_text(self.blockIdx)}, thread {_text(thread.threadIdx)}"
                raise KernelError(f"{type(error).__name__} in {place}: {error}") from error
            if thread.greenlet.dead:
                self.warps[thread.warp].remove(thread)

    def complete_exchanges(self, warp):
        """The groups of lanes whose warp operation has all it needs."""
        live, waiting = self.warps[warp], {}
        for thread in live:
            if thread.waits_for and thread.waits_for[0] == "warp":
                waiting.setdefault(thread.waits_for[1], []).append(thread)
        for mask, lanes in waiting.items():
            if len(lanes) == sum(mask >> thread.lane & 1 for thread in live):
                values = {thread.lane: thread.value for thread in lanes}
                yield [(thread, values) for thread in lanes]

    def complete_barrier(self):
        """All warps, once every thread stands at the block's barrier."""
        live = [thread for warp in self.warps for thread in warp]
        stuck = [thread.waits_for for thread in live if thread.waits_for[0] != "block"]
        if stuck:
            raise KernelError(
                f"deadlock in block {_text(self.blockIdx)}: lanes wait for others that never come: {stuck}"
            )
        if live and len(live) < len(self.threads):
            missing = len(self.threads) - len(live)
            raise KernelError(f"block {_text(self.blockIdx)}: {missing} threads never reach a barrier of the others")
        values = {thread.number: thread.value for thread in live}
        return [[(thread, values) for thread in warp] for warp in self.warps if warp]


def _three(size):
    size = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    return size + (1,) * (3 - len(size))


def _dim(place):
    return SimpleNamespace(**{axis: np.uint32(n) for axis, n in zip("xyz", place, strict=True)})


def _text(place):
    return tuple(int(n) for n in (place.x, place.y, place.z))
