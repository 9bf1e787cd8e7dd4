"""The logit lens: what the model would say if the encoder ended at an earlier block.

Source: nostalgebraist, "interpreting GPT: the logit lens" (2020); for ViT: Vilas et al., arXiv:2310.18969.  The head
was trained on the last block's stream alone, so early answers are a reading, not what the model "thinks".
"""

from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..models import vit
from ..trace import NO_TAP
from .maps import per_block

KEEP = "embed.out, block*.resid_post"


def streams(trace):
    """The residual stream before the first block and after each, L + 1 in all, from a trace with KEEP."""
    return [trace["embed.out"], *per_block(trace, "resid_post")]


def logit_lens(model, stream):
    """The logits if the encoder ended with that stream: head(pool(LN(z_l))), with the model's own pooling and norm.

    After the last block these are the model's logits.  Raises InputError for a model without one set of logits.
    """
    # stream (B,N,D) -> (B,C)
    check_logits(model.config)
    return vit.head(model.params, stream, model.config, model.ops, NO_TAP)


def patch_lens(model, stream, grid):
    """The logits if each patch were the feature: head(LN(z_l^i)).

    Not where the class is seen: in a class-token model no patch was trained to be read by the head, and DeiT-tiny's
    patches on the object score lower than the background (benchmarks/deletion.py).  The two heads of a distilled DeiT
    both read the patch, and are averaged as always.
    """
    # stream (B,N,D), grid (rows,columns) -> (B,rows,columns,C)
    check_logits(model.config)
    B, _, D = stream.shape
    alone = stream[:, model.config.prefix :].reshape(-1, 1, D)  # every patch an image of its own
    alone = np.repeat(alone, 2 if model.config.distilled_head else 1, axis=1)
    logits = vit.head(model.params, alone, replace(model.config, pool="token"), model.ops, NO_TAP)
    return logits.reshape(B, *grid, -1)


def targets_of(logits, target=None):
    """The class of each image: the most probable one, or `target`, one for all or one per image.

    Raises InputError for a class that the model does not have.
    """
    # logits (B,C) -> (B,) of whole numbers
    target = np.asarray(logits.argmax(-1) if target is None else target)
    if target.dtype.kind not in "iu" or target.shape not in ((), logits.shape[:1]):
        raise InputError(f"target {target.tolist()!r}: expected the index of a class, or {len(logits)}, one per image")
    for wrong in target[(target < 0) | (target >= logits.shape[1])].flat:
        raise InputError(f"class {wrong}: expected 0 to {logits.shape[1] - 1}")
    return np.broadcast_to(target, len(logits))


def check_logits(config):
    """Raises InputError for a model that has no logits, or has them for every token."""
    if not config.classes:
        raise InputError(f"{config.name} has no classification head, so there are no logits to look at")
    if "unpooled" in config.pool:
        raise InputError(f"{config.name} gives logits for every token; load it with pool='token' or pool='gap'")
