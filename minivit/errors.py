"""The one exception that people see, and the hint that goes with it."""

import difflib


class InputError(ValueError):
    """Something given to minivit is wrong: a file, a name, a shape, a value.

    The message is one line that says what was expected, what came, and what to do next.
    The command line prints it without a traceback and exits with code 2.
    """


def nearest(name, known, count=3):
    """The hint of an unknown name: ``"; did you mean 'block3.attn.probs'?"``, or what is known if nothing is near."""
    known = sorted({str(k) for k in known})
    close = difflib.get_close_matches(str(name), known, n=count, cutoff=0.6)
    if not close:
        lowered = {k.lower(): k for k in known}
        close = [lowered[k] for k in difflib.get_close_matches(str(name).lower(), lowered, n=count, cutoff=0.5)]
    if close:
        return "; did you mean " + " or ".join(repr(k) for k in close) + "?"
    if len(known) <= 12:
        return "; known: " + ", ".join(known)
    return ""
