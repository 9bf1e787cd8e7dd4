"""Check an implementation against reference tensors: `run(folder)` gives one verdict per tensor of a golden case.

A case is a folder with `case.json` (family, config, the list of tensors, the noise floor of the reference) and the
arrays beside it.  `KINDS` says which families this version knows; another one is an error, never a silent pass.
"""

import json
from pathlib import Path

from ..errors import InputError, nearest
from . import forward, gradients, lit, positions, preprocess, tokenizer, training

#: family in case.json -> function(case, tier, dtype, against) -> list of Verdict
KINDS = {
    "vit_jax_vit": forward.check,
    "vit_jax_hybrid": forward.check,
    "vit_jax_mixer": forward.check,
    "huggingface": forward.check,
    "timm": forward.check,
    "real_size": forward.check,
    "posembed_interpolation": positions.check,
    "preprocess": preprocess.check,
    "lit": lit.check,
    "tokenizer": tokenizer.check,
    "training_vit_jax": training.check,
    "gradients_vit_jax": gradients.check,
    "gradients_huggingface": gradients.check,
}


def run(folder, tier="ref", dtype="float32", against=None):
    """The verdicts of one case, in execution order.

    against: {name: array} of somebody else's implementation, judged in place of minivit's own tensors.
    Raises InputError if the folder is not a case, or is of a kind that this version does not check.
    """
    folder = Path(folder)
    case = read_json(folder / "case.json", f"{folder} is not a golden case")
    family = case.get("family")
    if family not in KINDS:
        raise InputError(f"{folder}: cannot check cases of the family {family!r}{nearest(family, KINDS)}")
    if against is not None and KINDS[family] not in (forward.check, gradients.check, lit.check):
        raise InputError(f"{folder}: --against compares tensors and gradients; this case is of the family {family!r}")
    try:
        return KINDS[family]({**case, "folder": folder}, tier, dtype, against)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder}/case.json: missing or malformed entry {error}; see the format in tests/golden"
        ) from error


def read_json(path, problem):
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{problem}: {path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{problem}: {path} is not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{problem}: {path} should hold one JSON object")
    return content
