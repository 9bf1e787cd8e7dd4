"""How a run shares the process: Ctrl-C is a request, what is under way ends well; and threads hand over quickly."""

import signal
import sys
import threading
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals():
    """A list that is empty until somebody wants the program to stop; a second request stops it at once."""
    stopped, before = [], {}

    def note(number, frame):
        stopped.append(number)
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():  # others cannot have signals
        before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def short_turns(seconds=2e-4):
    """Python threads take turns of 0.2 ms instead of 5: kernels, of which a step has hundreds, wait less to start."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
