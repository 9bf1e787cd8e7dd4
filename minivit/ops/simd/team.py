"""Threads that share a kernel's work.

A kernel is a series of stages, each a number of tasks.  Every thread runs the whole kernel: it takes tasks of a stage
until none is left, waits until all are done, and goes on to the next stage.

    i = take(work, stage)
    while i < tasks:
        …
        i = done(work, stage)          # and take the next
    wait(work, stage, tasks)

The caller takes part, and waits for tasks, never for threads: a helper that the system starts late finds its tasks
done.  What a task computes does not depend on who does it: any number of threads gives the same bits.
"""

import os
import threading
from itertools import accumulate
from queue import SimpleQueue

import numpy as np
from llvmlite import ir

from ...errors import InputError
from .amx import shape_registers
from .arrays import address, aligned, refuse_too_much, round_up
from .kernel import kernel
from .language import njit, types, vector_function
from .target import ARM
from .vector import I32, I64, call, pointer

#: A stage has a cache line of its own for its counters: tasks done, and taken from each share of them.  Line 0 has the
#: roll-call, the flag, the address of the scratch memory and the bytes of a thread's part of it
LINE, DONE, SHARES = 8, 7, 7
FLAG, SCRATCH, PART = 2, 3, 4


@vector_function((types.intp, types.intp), types.intp)
def _count_up(builder, work, i):
    return builder.atomic_rmw("add", pointer(builder, work, i, I64, item=8), I64(1), "acq_rel")


@vector_function((types.intp, types.intp), types.intp)
def _counted(builder, work, i):
    return builder.load_atomic(pointer(builder, work, i, I64, item=8), "acquire", 8)


@vector_function((types.intp, types.intp, types.intp), types.void)
def _set(builder, work, i, value):
    builder.store_atomic(value, pointer(builder, work, i, I64, item=8), "release", 8)


@vector_function((types.intp,), types.void)
def _pause(builder, turn):
    """Tell the CPU that this loop waits; after some turns, let other threads have it."""
    if ARM:
        call(builder, "llvm.aarch64.hint", ir.VoidType(), I32(1))
    else:
        call(builder, "llvm.x86.sse2.pause", ir.VoidType())
    if os.name == "posix":
        with builder.if_then(builder.icmp_signed(">", turn, I64(2000))):
            call(builder, "sched_yield", I32)


@njit(forceinline=True)
def take(work, stage):
    return _count_up(work, LINE * stage)


@njit(forceinline=True)
def done(work, stage):
    _count_up(work, LINE * stage + DONE)
    return _count_up(work, LINE * stage)


@njit
def take_near(work, stage, tasks, shares, mine):
    """A task of this thread's share of the tasks, or when that is empty of another share; `tasks` if none is left.

    A thread so meets the rows again that it had in the stage before: they are in its core's cache.  mine: `my_part`
    """
    me = (mine - _counted(work, SCRATCH)) // _counted(work, PART) if shares > 1 else 0
    for other in range(shares):
        share = (me + other) % shares
        i = tasks * share // shares + _count_up(work, LINE * stage + share)
        if i < tasks * (share + 1) // shares:
            return i
    return tasks


@njit(forceinline=True)
def done_near(work, stage, tasks, shares, mine):
    _count_up(work, LINE * stage + DONE)
    return take_near(work, stage, tasks, shares, mine)


@njit
def wait(work, stage, tasks):
    turn = 0
    while _counted(work, LINE * stage + DONE) < tasks:
        _pause(turn)
        turn += 1


@njit(forceinline=True)
def my_part(work, scratch, size):
    """This thread's share of the scratch memory; uses stage 0 as a roll-call.  Its tile registers are made ready."""
    shape_registers()
    return scratch + 4 * size * take(work, 0)


@kernel
def linger_kernel(posted, seen):
    # a helper waits awake for a moment, because the next kernel usually follows at once
    turn = 0
    while _counted(posted, 0) == seen and turn < 1500:
        _pause(0)
        turn += 1


@njit
def raise_flag(work, number):
    """Tell the caller of the kernel that something went wrong; the first flag stays."""
    if _counted(work, FLAG) == 0:
        _set(work, FLAG, number)


@njit(forceinline=True)
def counters(work, line):
    """Counters for a thread's own stages: those of `work` from that line on."""
    return work + 8 * LINE * line


@njit
def pass_flag(own, work):
    """Raise in `work` what was raised in a thread's own counters."""
    if _counted(own, FLAG):
        raise_flag(work, _counted(own, FLAG))


class Team:
    """The calling thread and `threads − 1` helpers.  One kernel at a time: other Python threads wait for their turn."""

    def __init__(self, threads):
        self.threads = threads
        self._lock, self._space = threading.Lock(), aligned(0)
        self._queues = [SimpleQueue() for _ in range(threads - 1)]
        self._posted = np.zeros(1, np.int64)
        for queue in self._queues:
            threading.Thread(target=self._help, args=(queue,), daemon=True, name="minivit").start()

    def run(self, kernel, *args, stages=3, spaces=(), scratch=0, keep=None):
        """Run kernel(work, *args, *spaces, scratch, its size per thread); returns the flag that it raised, or 0.

        Arrays and packed matrices are passed as addresses, None as 0.  Spaces and scratch are sizes, in floats, of
        memory that is kept for the next call.  A late helper still reads what kernels read: the job holds on to its
        arguments, and to `keep`.
        """
        with self._lock:
            function, linger, scratch = kernel.ready(), linger_kernel.ready(), round_up(scratch, 16)
            memory = self._spaces((*spaces, scratch * self.threads) if scratch else spaces)
            work = aligned(LINE * stages, np.int64)
            sizes = [scratch] if scratch else []
            work[SCRATCH], work[PART] = memory[-1] if scratch else 0, 4 * scratch
            job = function, linger, [*map(address, (work, *args, *memory)), *sizes], (work, args, keep)
            self._posted += 1
            for queue in self._queues:
                queue.put(job)
            function(*job[2])
            return int(work[FLAG])

    def dismiss(self):
        """Let the helpers end when they have nothing left to do."""
        for queue in self._queues:
            queue.put(None)

    def _spaces(self, sizes):
        starts = list(accumulate((round_up(size, 16) + 16 for size in sizes), initial=0))
        if self._space.size < starts[-1]:
            self._space = aligned(0)
            refuse_too_much(4 * starts[-1])
            self._space = aligned(starts[-1])
        return [self._space.ctypes.data + 4 * start for start in starts[:-1]]

    def _help(self, queue):
        while True:
            job = queue.get()
            if job is None:
                return
            function, linger, args, held = job
            seen = int(self._posted[0])
            function(*args)
            del job, function, args, held
            linger(self._posted.ctypes.data, seen)


_team = None


def usual_threads():
    """NUMBA_NUM_THREADS, or one per CPU that this process may use.  Raises InputError if it is no number."""
    given = os.environ.get("NUMBA_NUM_THREADS")
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        return int(given)
    except ValueError:
        raise InputError(f"NUMBA_NUM_THREADS={given}: expected a number of threads") from None


def team():
    """The process's team; as many threads as NUMBA_NUM_THREADS says (default: one per CPU)."""
    return _team or set_threads(usual_threads())


def set_threads(threads):
    """Use that many threads from now on.  Raises InputError for a number that this machine does not have."""
    global _team
    most = max(usual_threads(), os.cpu_count() or 1)
    if not 1 <= threads <= most:
        raise InputError(f"{threads} threads asked for; this machine runs 1 to {most}")
    if _team is None or _team.threads != threads:
        if _team:
            _team.dismiss()
        _team = Team(threads)
    return _team


def _forget():
    global _team
    _team = None  # helpers do not survive a fork


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
