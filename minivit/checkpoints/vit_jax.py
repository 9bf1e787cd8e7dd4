"""google-research/vision_transformer: `/`-joined names of a Flax tree, usually in an .npz.

Published files number the modules of a block over all classes (LayerNorm_0, MultiHeadDotProductAttention_1,
LayerNorm_2, MlpBlock_3), later code per class (LayerNorm_0, LayerNorm_1, MlpBlock_0 …).  The table has the second kind.
"""

import functools
import math
import re
from dataclasses import replace

import numpy as np

from ..config import GOOGLE
from ..errors import InputError
from . import vit_jax_hybrid, vit_jax_mixer
from .found import Found
from .rules import from_heads, same, to_rows

BLOCK = "Transformer/encoderblock_*"
ATTENTION = f"{BLOCK}/MultiHeadDotProductAttention_0"
POSITION = "Transformer/posembed_input/pos_embedding"

#   ours                    theirs                                        their shape       turn
RULES = {
    "embed.w": ("embedding/kernel", "P P channels D", same),
    "embed.b": ("embedding/bias", "D", same),
    "embed.prefix": ("cls", "1 1 D", same),
    "embed.position": (POSITION, "1 N D", same),
    "blocks.*.ln1.scale": (f"{BLOCK}/LayerNorm_0/scale", "D", same),
    "blocks.*.ln1.bias": (f"{BLOCK}/LayerNorm_0/bias", "D", same),
    "blocks.*.attn.qkv.w": (f"{ATTENTION}/query|key|value/kernel", "D H K", from_heads),
    "blocks.*.attn.qkv.b": (f"{ATTENTION}/query|key|value/bias", "H K", from_heads),
    "blocks.*.attn.out.w": (f"{ATTENTION}/out/kernel", "H K D", to_rows),
    "blocks.*.attn.out.b": (f"{ATTENTION}/out/bias", "D", same),
    "blocks.*.ln2.scale": (f"{BLOCK}/LayerNorm_1/scale", "D", same),
    "blocks.*.ln2.bias": (f"{BLOCK}/LayerNorm_1/bias", "D", same),
    "blocks.*.mlp.fc1.w": (f"{BLOCK}/MlpBlock_0/Dense_0/kernel", "D M", same),
    "blocks.*.mlp.fc1.b": (f"{BLOCK}/MlpBlock_0/Dense_0/bias", "M", same),
    "blocks.*.mlp.fc2.w": (f"{BLOCK}/MlpBlock_0/Dense_1/kernel", "M D", same),
    "blocks.*.mlp.fc2.b": (f"{BLOCK}/MlpBlock_0/Dense_1/bias", "D", same),
    "norm.scale": ("Transformer/encoder_norm/scale", "D", same),
    "norm.bias": ("Transformer/encoder_norm/bias", "D", same),
    "representation.w": ("pre_logits/kernel", "D R", same),
    "representation.b": ("pre_logits/bias", "R", same),
    "head.w": ("head/kernel", "feature C", same),
    "head.b": ("head/bias", "C", same),
}

#: Published relatives in the same kind of file: (a pattern that only they have, family, what they are).
RELATIVES = (
    (r"(img|txt)/", "lit", "a LiT model (image and text tower)"),
    (r"conv_root/", "hybrid", "a hybrid (ResNet stem and Vision Transformer)"),
    (r"MixerBlock_\d+/", "mixer", "an MLP-Mixer"),
    (r"Mixer/", "old mixer", "an MLP-Mixer with big_vision's older names"),
)


def subtree(arrays):
    """(the model's own arrays without their prefix, how many others the file holds), e.g. below `opt/target/`."""
    for prefix in ("params/", "opt/target/"):
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        if own:
            return own, len(arrays) - len(own)
    return arrays, 0


def relative(names):
    """(family, what it is) of a file of a related family, or None."""
    for pattern, family, what in RELATIVES:
        if any(re.match(pattern, name) for name in names):
            return family, what
    return None


def recognise(source):
    """What the file holds, or None if it is not of this layout.  Raises InputError for related families."""
    arrays, ignored = subtree(source.arrays)
    other = relative(arrays)
    if other and other[0] == "mixer":
        return _without(ignored, vit_jax_mixer.recognise(source.file, arrays))
    if other and other[0] != "hybrid":
        raise InputError(f"{source.file.name}: this is {other[1]}; this version reads ViT, DeiT, hybrids and Mixers")
    if "embedding/kernel" not in arrays:
        return None
    arrays = linen(_unstacked(source.file.name, arrays))
    arrays = {name: _squeezed(name, array) for name, array in arrays.items()}
    if "pos_embedding" in arrays and POSITION not in arrays:
        arrays[POSITION] = arrays.pop("pos_embedding")
    found = Found("vit_jax npz", "vit", source.file, arrays, RULES)
    _configure(found)
    if other:
        vit_jax_hybrid.add_stem(found)
    found.image_from(POSITION)
    return _without(ignored, found)


def _without(ignored, found):
    if ignored:
        found.warnings.append(f"{ignored} arrays beside the model (optimizer state) are ignored")
    return found


def _configure(found):
    arrays = found.arrays
    patch, _, channels, width = found.dims("embedding/kernel", 4)
    heads = found.dims(f"{ATTENTION}/query/kernel".replace("*", "0"), 3)[1]
    mlp = found.dims(f"{BLOCK}/MlpBlock_0/Dense_0/kernel".replace("*", "0"), 2)[1]
    found.fields = {
        "patch": patch,
        "channels": channels,
        "width": width,
        "blocks": found.count_blocks("Transformer/encoderblock_"),
        "heads": heads,
        "mlp": mlp,
        "prefix": int("cls" in arrays),
        "pool": "token" if "cls" in arrays else "gap",
        "preprocess": GOOGLE,
        "representation": found.dims("pre_logits/kernel", 2)[1] if "pre_logits/kernel" in arrays else None,
        "classes": found.dims("head/kernel", 2)[1] if "head/kernel" in arrays else None,
    }
    _add_class_position(found)


def _add_class_position(found):
    """big_vision may add the class token's position to the token itself: its row of the table is then zero."""
    one, rows, width = found.dims(POSITION, 3)
    if found.fields["prefix"] and one == 1 and math.isqrt(rows) ** 2 == rows > 1:
        found.arrays[POSITION] = found.arrays[POSITION].derived((1, rows + 1, width), _with_zero_row)


def _with_zero_row(position):
    # position (1,N,D) -> (1,1+N,D)
    return np.concatenate([np.zeros_like(position[:, :1]), position], axis=1)


def _squeezed(name, array):
    # old files store norms as (1,1,1,D)
    if array.shape[:3] == (1, 1, 1) and len(array.shape) == 4 and name.endswith(("/scale", "/bias")):
        return array.derived(array.shape[3:], np.ravel)
    return array


def linen(arrays):
    """The names of the children of every block, numbered per class: LayerNorm_0, …_2 -> LayerNorm_0, …_1."""
    child = re.compile(r"((?:img/Transformer|txt/Encoder_0|Transformer)/encoderblock_\d+/\w+_)(\d+)(?=/)")
    numbers = {}
    for match in filter(None, map(child.match, arrays)):
        numbers.setdefault(match[1], set()).add(match[2])
    new = {}
    for start, found in numbers.items():
        natural = sorted(found, key=lambda number: number.zfill(9))
        new.update({start + number: f"{start}{i}" for i, number in enumerate(natural)})
    return {child.sub(lambda match: new[match[0]], name): array for name, array in arrays.items()}


STACK = "Transformer/encoderblock/"
MAX_STACK = 1000  # blocks; a damaged shape must not turn into millions of names


def _unstacked(file, arrays):
    """big_vision's scanned blocks, `encoderblock/…` with a leading axis of blocks, as one array per block."""
    single = {name: array for name, array in arrays.items() if not name.startswith(STACK)}
    for name in arrays.keys() - single.keys():
        array, child = arrays[name], name.removeprefix(STACK)
        if not array.shape or not 0 < array.shape[0] <= MAX_STACK:
            raise InputError(
                f"{file}: {array.name!r} has shape {array.shape}, expected 1 to {MAX_STACK} blocks as first axis"
            )
        whole = functools.cache(array.read)  # the blocks are asked for one by one, the file has them in one piece
        for i in range(array.shape[0]):
            numbered = f"Transformer/encoderblock_{i}/{child}"
            if numbered in arrays:
                raise InputError(f"{file}: {numbered!r} and {array.name!r} are both there, expected one of them")
            single[numbered] = replace(array, shape=array.shape[1:], load=lambda _, i=i, whole=whole: whole()[i])
    return single
