"""Threads that run kernels together (stages.py says how they share the work).

The caller takes part, and waits for tasks, never for threads: a helper that the system starts late finds its tasks
done.
"""

import os
import threading
from itertools import accumulate
from queue import SimpleQueue

import numpy as np

from ...errors import InputError
from .arrays import address, aligned, refuse_too_much, round_up
from .kernel import kernel
from .stages import FLAG, LINE, PART, SCRATCH, counted, pause


@kernel
def linger_kernel(posted, seen):
    # a helper waits awake for a moment, because the next kernel usually follows at once
    turn = 0
    while counted(posted, 0) == seen and turn < 1500:
        pause(0)
        turn += 1


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
