"""One engine for every layout: a table says which tensors a config needs and how they become ours.

A table is {our flat name: (their name, their shape, turn)}.  In names, `*` is the number of a block (`+` one more, for
those who count from one), and `a|b|c` are several tensors that together make one of ours; shapes are spelled in the
letters of the glossary, "=" is our own shape, "=T" that from back to front.  Both directions are strict: a tensor that
is missing, superfluous or of another shape is named, with what was expected.
"""

import re

import numpy as np

from .. import params
from ..errors import nearest

# ---- turns: their array or arrays -> ours; below each the way back: ours, the shapes of theirs -> theirs -------------


def same(x):
    # x (…) -> (…)
    return x


def same_back(x, shapes):
    return [x]


def linear(*parts):
    # each (out,in) or (out,) -> (in,out) or (out,): the outputs of the parts side by side; one part is only a view
    return parts[0].T if len(parts) == 1 else np.concatenate([part.T for part in parts], axis=-1)


def linear_back(x, shapes):
    return [part.T for part in np.split(x, len(shapes), axis=-1)]


def convolution(x):
    # x (D,channels,P,P) -> (P,P,channels,D)
    return x.transpose(2, 3, 1, 0)


def convolution_back(x, shapes):
    return [x.transpose(3, 2, 0, 1)]


def pointwise(x):
    # x (out,in,1,1) -> (in,out): a convolution of 1×1 is a matrix
    return x[:, :, 0, 0].T


def pointwise_back(x, shapes):
    return [x.T[:, :, None, None]]


def tokens(*parts):
    # each (1,1,D) -> (1,parts,D)
    return np.concatenate(parts, axis=1)


def tokens_back(x, shapes):
    return np.split(x, len(shapes), axis=1)


def from_heads(*parts):
    # query, key, value, each (D,H,K) or (H,K) -> (D,3D) or (3D,): q | k | v, and in each the heads side by side
    return np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], axis=-1)


def from_heads_back(x, shapes):
    return [part.reshape(shape) for part, shape in zip(np.split(x, len(shapes), axis=-1), shapes, strict=True)]


def side_by_side(*parts):
    # each (D,O) or (O,) -> (D,parts·O) or (parts·O,)
    return np.concatenate(parts, axis=-1)


def side_by_side_back(x, shapes):
    return np.split(x, len(shapes), axis=-1)


def to_rows(x):
    # x (H,K,D) -> (D,D): the rows are the heads side by side
    return x.reshape(-1, x.shape[-1])


def to_rows_back(x, shapes):
    return [x.reshape(shapes[0])]


#: turn -> the way back
BACK = {
    same: same_back,
    linear: linear_back,
    convolution: convolution_back,
    pointwise: pointwise_back,
    tokens: tokens_back,
    from_heads: from_heads_back,
    side_by_side: side_by_side_back,
    to_rows: to_rows_back,
}


# ---- tables ---------------------------------------------------------------------------------------------------------


def expected(rules, config):
    """{our flat name: (their names, their shape, turn)} for every parameter of the config, in reading order."""
    sizes = {**config.letters, "1": 1, "channels": config.patch_channels}
    if config.family in ("vit", "hybrid"):
        feature = config.representation or config.width  # what the head reads
        sizes |= {"3D": 3 * config.width, "prefix": config.prefix, "feature": feature}
    wanted = {}
    for ours, own in params.shapes(config).items():
        theirs, shape, turn = rules[general(ours)] if rules else (general(ours), "=", same)
        numbers = map(int, NUMBER.findall(ours))
        theirs = re.sub(r"[*+]", lambda sign, numbers=numbers: str(next(numbers) + (sign[0] == "+")), theirs)
        shape = {"=": own, "=T": own[::-1]}.get(shape) or tuple(sizes[letter] for letter in shape.split())
        wanted[ours] = (_parts(theirs), shape, turn)
    return wanted


NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def general(name):
    """Our flat name with `*` for every number: "blocks.3.ln1.scale" -> "blocks.*.ln1.scale"."""
    return NUMBER.sub("*", name)


def _parts(name):
    several = re.search(r"\w+(?:\|\w+)+", name)
    return [name.replace(several[0], part) for part in several[0].split("|")] if several else [name]


def theirs(rules, config, flat):
    """{their name: array} of {our flat name: array}: a table, read from right to left."""
    arrays = {}
    for ours, (names, shape, turn) in expected(rules, config).items():
        arrays.update(zip(names, BACK[turn](flat[ours], [shape] * len(names)), strict=True))
    return arrays


def check(found, config):
    """Compare the tensors of a file with those that its config needs; returns what `expected` says.

    Raises InputError for the first tensor that is missing, superfluous, of another shape or not floating-point.
    """
    arrays = found.arrays
    if config.blocks > len(arrays):  # also keeps an absurd number of blocks from being written out
        raise found.wrong(f"expected {config.blocks} blocks, but there are only {len(arrays)} tensors")
    wanted = expected(found.rules, config)
    shapes = {name: shape for names, shape, _ in wanted.values() for name in names}
    extra = [array for name, array in arrays.items() if name not in shapes]
    for name, shape in shapes.items():
        if name not in arrays:
            hint = nearest(name, [array.name for array in extra]) if extra else ""
            raise found.wrong(f"expected {name!r} of shape {shape} for {config.name}, it is missing{hint}")
        stored = arrays[name]
        if stored.shape != shape:
            pixels = f"{config.image[0]}×{config.image[1]} pixels"
            raise found.wrong(
                f"{stored.name!r} has shape {stored.shape}, expected {shape} for {config.name} at {pixels}"
            )
        stored.check_dtype()
    if extra:
        hint = nearest(extra[0].name, shapes)
        raise found.wrong(f"{extra[0].name!r} of shape {extra[0].shape} is not part of {config.name}{hint}")
    return wanted
