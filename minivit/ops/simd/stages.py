"""Stages of a kernel, whose tasks threads share: what a kernel says to the other threads that run it.

A kernel is a series of stages, each a number of tasks.  Every thread runs the whole kernel: it takes tasks of a stage
until none is left, waits until all are done, and goes on to the next stage.

    i = take(work, stage)
    while i < tasks:
        …
        i = done(work, stage)          # and take the next
    wait(work, stage, tasks)

What a task computes does not depend on who does it: any number of threads gives the same bits.
"""

import os

from llvmlite import ir

from .amx import shape_registers
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
def counted(builder, work, i):
    return builder.load_atomic(pointer(builder, work, i, I64, item=8), "acquire", 8)


@vector_function((types.intp, types.intp, types.intp), types.void)
def _set(builder, work, i, value):
    builder.store_atomic(value, pointer(builder, work, i, I64, item=8), "release", 8)


@vector_function((types.intp,), types.void)
def pause(builder, turn):
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
    me = (mine - counted(work, SCRATCH)) // counted(work, PART) if shares > 1 else 0
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
    while counted(work, LINE * stage + DONE) < tasks:
        pause(turn)
        turn += 1


@njit(forceinline=True)
def my_part(work, scratch, size):
    """This thread's share of the scratch memory; uses stage 0 as a roll-call.  Its tile registers are made ready."""
    shape_registers()
    return scratch + 4 * size * take(work, 0)


@njit
def raise_flag(work, number):
    """Tell the caller of the kernel that something went wrong; the first flag stays."""
    if counted(work, FLAG) == 0:
        _set(work, FLAG, number)


@njit(forceinline=True)
def counters(work, line):
    """Counters for a thread's own stages: those of `work` from that line on."""
    return work + 8 * LINE * line


@njit
def pass_flag(own, work):
    """Raise in `work` what was raised in a thread's own counters."""
    if counted(own, FLAG):
        raise_flag(work, counted(own, FLAG))
