"""Small seeded LiT checkpoints as the official ones are written: LiT-….npz, and its vocabulary beside it."""

import numpy as np
from sentencepiece_files import model_file

from minivit import params
from minivit.checkpoints import rules, vit_jax_lit
from minivit.config import LiTConfig, TextConfig, ViTConfig

IMG = ViTConfig("img", patch=8, width=32, blocks=2, heads=2, mlp=64, classes=None, image=(24, 24))
WORDS = ("a", "photo", "of", "cat", "dog", "red", "blue", "the", ".", "itap", "bad", "large", "small", "art", "##s")
PIECES = ["[PAD]", "[UNK]", "[CLS]", *WORDS]
#: a byte-pair vocabulary without byte pieces: letters, and some pairs of them
PAIRS = [(name, 0.0) for name in ("<pad>", "</s>", "<unk>", "<s>")]
PAIRS += [(pair, -float(i)) for i, pair in enumerate(("ca", "cat", "do", "dog", "▁cat", "▁dog"))]
PAIRS += [(letter, -float(i)) for i, letter in enumerate("▁abcdefghijklmnopqrstuvwxyz.,", 6)]

BERT = LiTConfig("bert", IMG, TextConfig("bert", 768, 1, 12, 64, len(PIECES), 32, 20, segments=2, eps=1e-12))
SMALL = LiTConfig("small", IMG, TextConfig("transformer", 24, 2, 2, 48, len(PAIRS), 32, 16))


def arrays_of(config, seed=0):
    """{official name: array} of a seeded model."""
    flat = params.flatten(params.seeded(config, seed))
    return rules.theirs(vit_jax_lit.RULES[config.txt.kind], config, flat)


def write_lit(folder, config, seed=0):
    """The path of a checkpoint, its vocabulary beside it."""
    path = folder / f"LiT-{config.name}.npz"
    np.savez(path, **arrays_of(config, seed))
    if config.txt.kind == "bert":
        path.with_suffix(".txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    else:
        path.with_suffix(".model").write_bytes(model_file(PAIRS))
    return path


def write_pictures(folder, count=6):
    """The paths of small pictures, each of another colour."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    paths = []
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 120, (30, 40, 3), np.uint8)
        pixels[..., i % 3] += np.uint8(20 * i)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        paths.append(str(folder / f"{i}.png"))
    return paths
