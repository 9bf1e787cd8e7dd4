"""Is that what was expected?  One line that says what came and what was expected, or nothing if all is well."""

import numpy as np

TOLERANCE = {"float64": 1e-9, "float32": 2e-5}  # relative to max|expected|; rounding stays far below
LEAST = 1e-3  # what cancels to nearly nothing is judged as if it were of this size


def complaint(found, expected, single=False):
    """What is wrong with a result, in a line; "" if nothing is.  single: it was made from float32."""
    if isinstance(expected, tuple):
        return _complaint_of_several(found, expected, single)
    if found is None:
        return f"nothing came back (None), expected {_wanted(expected)}: is the `return` missing?"
    if isinstance(found, tuple):
        return f"{len(found)} results came back, expected one: {_wanted(expected)}"
    if not isinstance(found, (np.ndarray, np.generic)):
        return f"a {type(found).__name__} came back, expected {_wanted(expected)}"
    if found.dtype.kind not in "fiub":
        return f"an array of {found.dtype} came back, expected {_wanted(expected)}"
    if found.ndim != expected.ndim:
        return f"{_axes(found)} came back, expected {_axes(expected)}"
    if found.shape != expected.shape:
        return f"shape {_shape(found)} came back, expected {_shape(expected)}"
    if found.dtype == np.float32 and expected.dtype == np.float64:  # before its rounding is taken for a wrong number
        return _dtype(found, expected)
    return values(found, expected, single) or _dtype(found, expected)


def _complaint_of_several(found, expected, single):
    if not isinstance(found, (tuple, list)) and not (isinstance(found, np.ndarray) and len(found) == len(expected)):
        what = "nothing (None)" if found is None else f"a {type(found).__name__}"
        return f"{what} came back, expected {len(expected)} arrays: return a, b"
    if len(found) != len(expected):
        return f"{len(found)} results came back, expected {len(expected)}"
    for i, (one, wanted) in enumerate(zip(found, expected, strict=True)):
        if said := complaint(one, wanted, single):
            return f"result {i + 1} of {len(expected)}: {said}"
    return ""


def values(found, expected, single=False):
    """What is wrong with the numbers of an array of the right shape."""
    if not found.size:
        return ""
    wrong = ~np.isfinite(found) & np.isfinite(expected)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"{float(found[at])} at {_at(at)}, expected {_number(expected[at])}"
    with np.errstate(invalid="ignore"):
        apart = np.abs(found.astype(np.float64) - expected)
    allowed = TOLERANCE["float32" if single else str(expected.dtype)] * max(np.abs(expected).max(), LEAST)
    if not (apart > allowed).any():
        return ""
    at = tuple(int(i) for i in np.unravel_index(np.nanargmax(apart), apart.shape))
    digits = max(4, int(np.ceil(-np.log10(apart[at] / max(abs(float(expected[at])), 1e-300)))) + 2)
    came, wanted = _number(found[at], digits), _number(expected[at], digits)
    share = f"{(apart > allowed).sum()} of {apart.size} numbers differ"
    return f"{came} at {_at(at)}, expected {wanted} ({share}, by up to {apart[at]:.1g}; allowed {allowed:.0e})"


def _dtype(found, expected):
    if found.dtype == expected.dtype:
        return ""
    widened = ": a float64 array or number of NumPy's has widened it (np.sqrt(2) is one, math.sqrt(2) is not)"
    why = widened if found.dtype == np.float64 else ""
    return f"{found.dtype} came back, expected {expected.dtype} here{why}"


def same(a, b, single=False):
    """Do two outcomes agree: arrays within rounding, NaN where the other has NaN, or the same kind of error?"""
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    if isinstance(b, tuple):
        return (
            isinstance(a, (tuple, list))
            and len(a) == len(b)
            and all(same(one, other, single) for one, other in zip(a, b, strict=True))
        )
    if not isinstance(a, (np.ndarray, np.generic)) or not isinstance(b, (np.ndarray, np.generic)):
        return False
    if a.shape != b.shape or a.dtype.kind not in "fiub":
        return False
    rounding = TOLERANCE["float32" if single or "float32" in (a.dtype, b.dtype) else "float64"]
    largest = np.abs(b[np.isfinite(b)]).max(initial=LEAST)
    return bool(np.allclose(a, b, rtol=0, atol=rounding * largest, equal_nan=True))


def _wanted(x):
    return f"a NumPy array of shape {_shape(x)}" if x.ndim else "one number (a NumPy float)"


def _axes(x):
    return f"an array of {x.ndim} axes {_shape(x)}" if x.ndim else "a single number"


def _shape(x):
    return "×".join(map(str, x.shape)) or "()"


def _at(index):
    return "[" + ", ".join(map(str, index)) + "]" if index else "its only number"


def _number(x, digits=4):
    return f"{float(x):.{min(digits, 12)}g}"
