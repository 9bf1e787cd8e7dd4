"""One line that counts, on stderr and only on a terminal."""

import sys
import time

from ..train.log import duration


def counter(what):
    """A function of (done, total) that shows "done / total what, 3 min left", each time over the last."""
    begin = None  # when the first were done, and how many they were: they are slower than what follows

    def show(done, total):
        nonlocal begin
        if not sys.stderr.isatty():
            return
        now = time.perf_counter()
        if begin is None or done <= begin[1]:
            begin = now, done
        seconds, more = now - begin[0], done - begin[1]
        left = f", {duration(seconds / more * (total - done))} left" if seconds > 1 and done < total else ""
        end = "\n" if done == total else ""
        print(f"\r\033[K{done:,} / {total:,} {what}{left}", end=end, file=sys.stderr, flush=True)

    return show
