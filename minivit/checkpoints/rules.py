"""One engine for every layout: a table says which tensors a config needs and how they become ours.

A table is {our flat name: (their name, their shape, turn)}.  In names, `*` is the number of a block, and `a|b|c` are
several tensors that together make one of ours; shapes are spelled in the letters of the glossary.  Both directions are
strict: a tensor that is missing, superfluous or of another shape is named, with what was expected.
"""

import re

import numpy as np

from .. import params
from ..errors import nearest

# ---- turns: their array or arrays -> ours ---------------------------------------------------------------------------


def same(x):
    # x (…) -> (…)
    return x


def linear(*parts):
    # each (out,in) or (out,) -> (in,out) or (out,): the outputs of the parts side by side; one part is only a view
    return parts[0].T if len(parts) == 1 else np.concatenate([part.T for part in parts], axis=-1)


def convolution(x):
    # x (D,channels,P,P) -> (P,P,channels,D)
    return x.transpose(2, 3, 1, 0)


def tokens(*parts):
    # each (1,1,D) -> (1,parts,D)
    return np.concatenate(parts, axis=1)


def from_heads(*parts):
    # query, key, value, each (D,H,K) or (H,K) -> (D,3D) or (3D,): q | k | v, and in each the heads side by side
    return np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], axis=-1)


def to_rows(x):
    # x (H,K,D) -> (D,D): the rows are the heads side by side
    return x.reshape(-1, x.shape[-1])


# ---- tables ---------------------------------------------------------------------------------------------------------


def expected(rules, config):
    """{our flat name: (their names, their shape, turn)} for every parameter of the config, in reading order."""
    sizes = {
        "1": 1,
        "C": config.classes,
        "D": config.width,
        "3D": 3 * config.width,
        "H": config.heads,
        "K": config.head_width,
        "M": config.mlp,
        "N": config.tokens,
        "P": config.patch,
        "R": config.representation,
        "channels": config.channels,
        "feature": config.representation or config.width,  # what the head reads
        "prefix": config.prefix,
    }
    wanted = {}
    for ours in params.shapes(config):
        block = re.match(r"blocks\.(\d+)", ours)
        theirs, shape, turn = rules[re.sub(r"^blocks\.\d+", "blocks.*", ours)]
        names = _parts(theirs.replace("*", block[1]) if block else theirs)
        wanted[ours] = (names, tuple(sizes[letter] for letter in shape.split()), turn)
    return wanted


def _parts(name):
    several = re.search(r"\w+(?:\|\w+)+", name)
    return [name.replace(several[0], part) for part in several[0].split("|")] if several else [name]


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
