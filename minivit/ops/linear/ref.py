"""Linear layer in NumPy."""


def linear(x, w, b=None):
    # x (...,I), w (I,O), b (O,) -> (...,O)
    y = x @ w
    if b is not None:
        y += b  # in place: y is ours, and a second large array would cost more than the addition
    return y
