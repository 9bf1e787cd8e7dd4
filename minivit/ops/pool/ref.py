"""Pooling in NumPy."""


def pool(x, how, prefix):
    # x (B,N,D) -> (B,D) or, unpooled, (B,N,D); prefix: tokens in front that are not patches
    if how == "token":
        return x[:, 0]
    if how == "gap":
        return x[:, prefix:].mean(1)
    return x
