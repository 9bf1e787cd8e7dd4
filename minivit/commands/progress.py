"""One line that counts, on stderr and only on a terminal."""

import sys


def counter(what):
    """A function of (done, total) that shows "done / total what", each time over the last."""

    def show(done, total):
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{done:,} / {total:,} {what}", end=end, file=sys.stderr, flush=True)

    return show
