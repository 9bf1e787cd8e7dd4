"""What the explorer shows of one picture, as arrays small enough for a web page.

L blocks, H heads, N tokens, K classes.  A map has one number per token.  Q are the tokens that can be asked: all N, and
for a model whose feature is the mean of its patches one more, that mean.
"""

import base64
import io
import os
from dataclasses import dataclass, replace

import numpy as np

from .. import names
from ..errors import InputError
from ..models import vit
from ..trace import NO_TAP
from . import flow
from .explain import class_gradients
from .explorer_pack import TINY, pack, quantised
from .maps import per_block
from .scene import colours

KEEP = "image, embed.out, block*.attn.probs, block*.resid_post"
TOP = 5  # answers per token, and classes with maps of their own
MERGES = ("mean", "max", "min")  # of the heads, square by square
EVERY_HEAD = 8e6  # numbers of attention (L·H·N·N) up to which every head of every token is kept
MOST = 40e6  # numbers of all maps that a page can hold


@dataclass(frozen=True)
class Record:
    """One picture for the page: `facts` become JSON, `blob` is base64 of its deflated arrays; left_out: sentences."""

    facts: dict
    blob: str
    left_out: list

    def __len__(self):
        # bytes on the page, nearly
        return len(self.blob) + len(self.facts["photo"])


def record(model, image, name, size=None):
    """(Record, trace): run the model on one picture and keep what the explorer shows of it.

    Raises InputError for a model without attention, several pictures, and one with more tokens than a page can hold.
    """
    config = model.config
    check_attention(config)
    pixels = model.preprocess(image, size)
    if len(pixels) != 1:
        raise InputError(f"expected one picture, got {len(pixels)}; give a list of pictures to explore several")
    check_tokens(config, pixels)
    trace = model.trace(pixels, KEEP)
    arrays, left_out = attention_arrays(per_block(trace), config)
    stream = np.stack([trace["embed.out"][0], *(x[0] for x in per_block(trace, "resid_post"))])
    arrays |= stream_arrays(stream, config)
    answer, labels = [], {}
    if config.classes:
        answer, lens = lens_arrays(model, stream)
        arrays |= lens | relevance_arrays(model, pixels, [c for c, _ in answer], left_out)
        labels = {int(c): model.label(c) for c in np.unique(lens["lens.best"])}
    else:
        left_out.append("The model has no classes: no logit lens and no relevance.")
    directory, blob = pack(arrays)
    rows, columns = config.grid_of(*pixels.shape[1:3])
    facts = {"name": name, "rows": rows, "columns": columns, "answer": answer, "labels": labels, "arrays": directory}
    return Record({**facts, "photo": photo(pixels[0], config)}, blob, left_out), trace


def asks_mean(config):
    """Whether the image's feature is the mean of the patches, so that no single token can be asked for it."""
    return config.prefix == 0 or config.pool == "gap"


def check_attention(config):
    if "block0.attn.probs" not in names.of(config):
        raise InputError(f"{config.name} has no attention, so there is nothing to explore; `minivit trace` lists it")


def check_tokens(config, pixels):
    tokens = config.prefix + int(np.prod(config.grid_of(*pixels.shape[1:3])))
    attention = config.blocks * config.heads * tokens**2
    numbers = config.blocks * tokens**2 * 2 + min(attention, max(EVERY_HEAD, len(MERGES) * attention / config.heads))
    if numbers > MOST:
        raise InputError(
            f"{tokens} tokens in {config.blocks} blocks are {numbers / 1e6:.0f} million numbers, "
            f"more than the {MOST / 1e6:.0f} million of a page; explore a smaller picture (--size)"
        )


def with_mean(rows, config):
    """Rows of tokens, and the mean of the patches' as a last one if that is what is asked."""
    # rows (...,N,·) -> (...,Q,·)
    if not asks_mean(config):
        return rows
    return np.concatenate([rows, rows[..., config.prefix :, :].mean(-2, keepdims=True)], -2)


def attention_arrays(probs, config):
    """Attention of every head, and rollout up to every block.  Where that is too much, of merged heads.

    probs: L × (1,H,N,N) -> {"attention": (L,H,Q,N), "rollout": (L,Q,N)}, or less and "merged": (L,3,Q,N); sentences
    """
    every = np.stack([with_mean(A[0], config) for A in probs])
    arrays = {"rollout": with_mean(np.stack([R[0] for R in flow.rollout_steps(probs)]), config)}
    left_out = []
    if every.size > EVERY_HEAD:
        arrays["merged"] = np.stack([getattr(every, merge)(1) for merge in MERGES], 1)
        tokens = probs[0].shape[-1]
        every = np.delete(every, np.s_[config.prefix : tokens], axis=2)
        left_out.append("Single heads are kept for the tokens beside the picture only; patches have mean, max and min.")
    return quantised({"attention": every, **arrays}, config), left_out


def stream_arrays(stream, config):
    """Of the residual stream: cosines between tokens after each block, lengths, and cosines with the state before."""
    # stream (L+1,N,D) -> {"similar": (L,Q,N), "length": (L+1,N), "path.length": (L+1,Q), "path.turn": (L,Q)}
    asked = with_mean(stream.astype(np.float64), config)
    lengths = np.linalg.norm(asked, axis=-1)
    unit = asked / np.maximum(lengths, TINY)[..., None]
    tokens = stream.shape[1]
    maps = {"similar": unit[1:] @ unit[1:, :tokens].swapaxes(-1, -2), "length": lengths[1:, :tokens]}
    paths = {"path.length": lengths, "path.turn": (unit[1:] * unit[:-1]).sum(-1)}
    return quantised(maps, config) | {name: x.astype(np.float32) for name, x in paths.items()}


def lens_arrays(model, stream):
    """The head applied to every token between the blocks: the best answers of each, and maps of the best classes.

    stream (L+1,N,D) -> K × [class, probability], {"lens.best", "lens.share": (L+1,Q,K), "lens": (K,L,N)}
    """
    count, tokens = min(TOP, model.config.classes), stream.shape[1]
    classes = np.argsort(-said(model, stream[-1])[readout(model.config)], kind="stable")[:count]
    best, shares, maps = [], [], []
    for x in stream:
        p = softmax(said(model, x))
        best.append(np.argsort(-p, axis=-1, kind="stable")[:, :count])
        shares.append(np.take_along_axis(p, best[-1], -1))
        maps.append(p[:tokens, classes].T)
    answer = [[int(c), float(p)] for c, p in zip(classes, shares[-1][readout(model.config)], strict=True)]
    arrays = quantised({"lens": np.stack(maps[1:], 1)}, model.config)
    arrays |= {"lens.best": np.stack(best).astype(np.int32), "lens.share": np.stack(shares).astype(np.float32)}
    return answer, arrays


def readout(config):
    """The row of that which becomes the image's feature: the class token, or the last row."""
    return -1 if asks_mean(config) else 0


def said(model, x):
    """Logits of every token alone, and in the row of the image's feature those of the model if it ended here."""
    # x (N,D), the residual stream -> (Q,C) float64
    config, copies = model.config, 2 if model.config.distilled_head else 1
    alone = np.repeat(x[:, None], copies, axis=1)  # every token an image of its own; a distilled DeiT reads it twice
    logits = vit.head(model.params, alone, replace(config, pool="token"), model.ops, NO_TAP)
    pooled = replace(config, pool="gap" if asks_mean(config) else "token")
    whole = vit.head(model.params, x[None], pooled, model.ops, NO_TAP)
    return np.concatenate([logits, whole] if asks_mean(config) else [whole, logits[1:]]).astype(np.float64)


def softmax(logits):
    # (...,C) -> (...,C)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def relevance_arrays(model, pixels, classes, left_out):
    """Relevance of every token for each class, up to every block; what is not affordable is noted in `left_out`."""
    # -> {"relevance": (K,L,N)} of the row of the image's feature, without the identity that it starts from
    config, rows = model.config, []
    try:
        for c in classes:  # one after the other: the gradients of a large model fill the memory
            _, trace, gradients = class_gradients(model, pixels, int(c))
            R = np.stack([step[0] for step in flow.relevance_steps(per_block(trace), per_block(gradients))])
            rows.append(with_mean(R - np.eye(R.shape[-1]), config)[:, readout(config)])
    except InputError as error:
        left_out.append(f"Relevance: {error}.")
        return {}
    return quantised({"relevance": np.stack(rows)}, config)


def photo(pixels, config):
    """The picture as the model sees it, as a PNG data URI."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray((colours(pixels, config) * 255).round().astype(np.uint8)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def name_of(image, number):
    """What to call a picture: the name of its file, without the folders, or its number."""
    return os.path.basename(os.fsdecode(image)) if isinstance(image, (str, os.PathLike)) else f"picture {number}"
