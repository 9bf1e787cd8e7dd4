"""Golden tokenizers: the numbers of the word pieces of every text, as they are and as a model is fed, must be equal."""

import json

import numpy as np

from ..errors import InputError
from ..files import read_arrays
from ..text import bert
from .verdict import exact


def check(case, tier, dtype, against):
    folder = case["folder"]
    try:
        known = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}/expected.json: cannot be read as JSON ({error})") from error
    vocabulary = bert.read_vocabulary(folder / case.get("vocab", "vocab.txt"))
    if "do_lower_case" in case["config"]:
        tokenizer = bert.HuggingFaceTokenizer(vocabulary, case["config"]["do_lower_case"])
        filled = [one["padded16"] for one in known]
    else:
        tokenizer, filled = bert.LitTokenizer(vocabulary), read_arrays(folder / "tokens.npz")["tokens"]
    verdicts = []
    for one, row in zip(known, filled, strict=True):
        ids = tokenizer.ids(one["text"])
        mine = np.array([*ids, *tokenizer.fill(ids, len(row))])
        verdicts.append(exact(ascii(one["text"]), mine, [*one["ids"], *row]))
    return verdicts
