"""Models for the explorer's tests, and a reader of its pages that shares no code with it."""

import base64
import dataclasses
import json
import re
import zlib

import numpy as np

import minivit
from minivit import params
from minivit.loading import DEMO
from minivit.viz import picture

SIZE = 64, 96  # height and width: 4×6 patches, so that rows and columns cannot be mixed up


def model(labels=None, **settings):
    """A seeded model; its attention is sharpened, or all its maps would be nearly flat."""
    config = dataclasses.replace(DEMO, **settings)
    tree = params.seeded(config)
    for block in tree["blocks"]:
        block["attn"]["qkv"]["w"] = block["attn"]["qkv"]["w"] * 8
    return minivit.Model(config, tree, labels=labels, source="demo")


def balloon(seed=0):
    """A picture of SIZE, unlike for every seed."""
    return np.roll(picture.draw(112)[: SIZE[0], : SIZE[1]], 7 * seed, axis=1)


def facts(text):
    """The JSON of a page."""
    return json.loads(re.search(r'<script type="application/json" id="page">(.*?)</script>', text, re.DOTALL)[1])


def arrays(text, number=0):
    """{name: array} of one picture of a page, as they stand in it."""
    blob = re.search(rf'<script type="text/plain" id="data{number}">(.*?)</script>', text, re.DOTALL)[1]
    data = zlib.decompress(base64.b64decode(blob))
    found = {}
    for name, where in facts(text)["pictures"][number]["arrays"].items():
        count = int(np.prod(where["shape"]))
        found[name] = np.frombuffer(data, where["type"], count, where["offset"]).reshape(where["shape"])
    return found


def kept(text, name, number=0):
    """A map (…,N) as the page holds it, and how far its numbers of patches may be off: half a step (…,1)."""
    found = arrays(text, number)
    step = found[f"{name}.step"][..., None].astype(np.float64)
    return np.concatenate([found[f"{name}.prefix"], found[name] * step], -1), step / 2
