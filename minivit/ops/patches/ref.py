"""Patch embedding in NumPy."""


def patch_embed(images, w, b):
    # images (B,h,w,c), w (P,P,c,D), b (D,) -> (B,G,D)
    P, _, c, D = w.shape
    return patchify(images, P) @ w.reshape(P * P * c, D) + b


def patchify(images, P):
    # images (B,h,w,c) -> (B,G,P·P·c); numbers of a patch in (row, column, channel) order
    B, height, width, c = images.shape
    rows, columns = height // P, width // P
    squares = images[:, : rows * P, : columns * P].reshape(B, rows, P, columns, P, c)
    return squares.transpose(0, 1, 3, 2, 4, 5).reshape(B, rows * columns, P * P * c)
