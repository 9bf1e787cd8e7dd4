"""Linear layer in NumPy."""


def linear(x, w, b=None):
    # x (...,I), w (I,O), b (O,) -> (...,O)
    y = x @ w
    if b is not None:
        y += b  # in place: y is ours, and a second large array would cost more than the addition
    return y


def linear_backward(dy, x, w):
    # dy (...,O), x (...,I), w (I,O) -> dx (...,I), dw (I,O), db (O,); all rows of a batch used the same w and b
    rows = dy.reshape(-1, dy.shape[-1])
    return dy @ w.T, x.reshape(-1, x.shape[-1]).T @ rows, rows.sum(0)
