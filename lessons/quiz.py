"""What the lessons share: questions that are checked on the spot, and official weights where a machine has them."""

import os
from pathlib import Path

import minivit
from minivit.loading import found_weights

DEIT_TINY = "deit_tiny_patch16_224"


def check(answer, right, hints=None):
    """Say whether an answer is right; `hints` is {wrong answer: what it overlooks}.  Three dots: not answered yet."""
    if answer is ...:
        print("… your turn: replace the three dots by your answer and run this cell again")
    elif answer == right:
        print(f"✓ right: {right}")
    else:
        known = [hint for wrong, hint in (hints or {}).items() if wrong == answer]
        print(f"✗ {answer} is not it: {known[0] if known else 'look at the shapes above once more'}")


def deit_tiny(dtype="float32"):
    """DeiT-tiny from $MINIVIT_DATA or a weights folder (`minivit doctor` lists them); None, and a line, without it."""
    files = [
        *Path(os.environ.get("MINIVIT_DATA", "weights")).glob(f"deit_tiny/{DEIT_TINY}*.safetensors"),
        *found_weights(),
    ]
    for file in files:
        if file.name.startswith(DEIT_TINY):
            return minivit.load(file, preprocess="deit", dtype=dtype)
    print(f"no {DEIT_TINY}.safetensors on this machine: this cell is optional")
    return None
