"""Golden forward passes: run the model on the stored weights and inputs, compare every stored tensor.

The stored tensors carry the names of the reference that made them; `ours` is the dictionary between the two.
"""

import re

import numpy as np

from .. import checkpoints, tiers
from ..files import read_arrays
from ..model import Model
from . import recipe, stem_names
from .verdict import judge

#: name in a golden case -> minivit's name (minivit/names)
OUTSIDE = {
    "embedding": "embed.patches",
    "stem": "embed.patches",
    "patch_embed": "embed.patches",
    "patch_embeddings": "embed.patches",
    "tokens": "embed.tokens",
    "pos_embed": "embed.position",
    "posembed": "embed.out",
    "embeddings": "embed.out",
    "encoder_norm": "final.norm",
    "pre_head_layer_norm": "final.norm",
    "last_hidden_state": "final.norm",
    "norm": "final.norm",
    "fc_norm": "final.norm",
    "pooled": "head.pooled",
    "pre_logits_linear": "head.pre_tanh",
    "pooler_dense": "head.pre_tanh",
    "pooler_output": "head.representation",
    "cls_logits": "head.class_logits",
    "distillation_logits": "head.distill_logits",
    "logits": "logits",
    "reconstruction": "painted",
}
IN_BLOCK = {
    "ln1": "ln1.out",
    "q": "attn.q",
    "k": "attn.k",
    "v": "attn.v",
    "attn_probs": "attn.probs",
    "attn_ctx": "attn.z",
    "attn_out": "attn.out",
    "resid_mid": "resid_mid",
    "token_in": "token_mlp.in",
    "token_fc1": "token_mlp.pre",
    "token_gelu": "token_mlp.act",
    "token_fc2": "token_mlp.out",
    "ln2": "ln2.out",
    "fc1": "mlp.pre",
    "gelu": "mlp.act",
    "fc2": "mlp.out",
    "channel_fc1": "mlp.pre",
    "channel_gelu": "mlp.act",
    "channel_fc2": "mlp.out",
    "out": "resid_post",
}


def check(case, tier, dtype, against):
    expected = read_arrays(case["folder"] / "tensors.npz")
    noise = noise_floors(case, expected)
    tensors = [tensor["name"] for tensor in case["tensors"]]
    stems = {name: name.removesuffix("__f64") for name in tensors}
    found = against if against is not None else produce(case, set(stems.values()), tier, dtype)
    hybrid = "resnet" in case["config"]
    return [
        judge(name, found.get(stem), expected[name], noise[stem], tier, dtype, hybrid) for name, stem in stems.items()
    ]


def noise_floors(case, expected):
    """{golden name: error of the reference's own float32 run, at most}.

    Of a tensor it is the largest of thousands of errors; of `stats`, three sums, it may be tiny by luck.  So those get
    the largest relative error of all stats of the case.
    """
    floors = {name: entry["max_abs"] for name, entry in case["float32_vs_float64_error_of_the_reference"].items()}
    sizes = {name: np.abs(expected[name]).max() for name in floors if name.endswith("/stats")}
    worst = max((floors[name] / size for name, size in sizes.items()), default=0)
    return {**floors, **{name: worst * size for name, size in sizes.items()}}


def produce(case, wanted, tier, dtype):
    """{golden name: our tensor in the golden's layout}; without those that minivit has no tensor for."""
    model = load_model(case, tier, dtype)
    parts = {name: _NAME.fullmatch(name).groups() for name in wanted}
    keep = {ours(stem, model.config) for _, stem, _ in parts.values()} & set(model.names())
    hidden = recipe.mask(case)
    traces = {part: model.trace(images, sorted(keep), **hidden) for part, images in recipe.inputs(case).items()}
    found = {}
    for name, (part, stem, view) in parts.items():
        trace = traces.get(part or "", {})
        if (mine := ours(stem, model.config)) in trace:
            grid = model.config.grid_of(*recipe.inputs(case)[part or ""].shape[1:3])
            found[name] = as_stored(stem, view, trace[mine], grid)
    return found


#: a golden name: which of the case's inputs, the tensor, and what is stored of it
_NAME = re.compile(r"(large/)?(.*?)(?:/(slice|stats))?")


def load_model(case, tier, dtype):
    """The model of a case.  What a checkpoint cannot say (heads in timm, unpooled heads) comes from its config."""
    config, folder = case["config"], case["folder"]
    overrides = {}
    if case["family"] == "timm":
        overrides["heads"] = config["num_heads"]
    elif "classifier" in config:
        overrides["pool"] = config["classifier"]
    if isinstance(case["weights"], dict):  # too large to store: drawn from a seed
        checkpoint = checkpoints.from_arrays(recipe.parameters(case), case["case"], **overrides)
    else:
        file = {"timm": "model.safetensors", "huggingface": "."}.get(case["family"], "weights.npz")
        checkpoint = checkpoints.read(folder / file, **overrides)
    return Model(checkpoint.config, checkpoint.params(), tiers.load(tier, dtype))


def ours(stem, config):
    """minivit's name of a golden tensor, or None."""
    if config.family == "hybrid" and (name := stem_names.ours(stem, config)):
        return name
    if match := re.fullmatch(r"block(\d+)/(\w+)", stem):
        index, tensor = match.groups()
        return f"block{int(index)}.{IN_BLOCK[tensor]}" if tensor in IN_BLOCK else None
    if stem in ("pre_logits", "output"):  # what the head reads
        if config.representation:
            return "head.representation"
        return "final.norm" if config.norm_after_pool else "head.pooled"
    if stem == "tokens" and not config.prefix:  # no class token: the tokens are the patches
        return "embed.patches"
    return OUTSIDE.get(stem)


def as_stored(stem, view, x, grid):
    """Our tensor as the golden stores it: heads after tokens, patches as a grid, and perhaps a slice or statistics."""
    if re.fullmatch(r"block\d+/(q|k|v|attn_ctx)", stem):
        x = x.swapaxes(1, 2)  # (B,H,N,K) -> (B,N,H,K)
    if stem == "reconstruction":
        x = x.transpose(0, 3, 1, 2)  # (B,h,w,c) -> (B,c,h,w)
    if stem in ("embedding", "stem"):
        x = x.reshape(len(x), *grid, -1)  # (B,G,D) -> (B,rows,columns,D)
    if view == "slice":
        return x[0, :4, :4, :8] if x.ndim == 4 else x[0, :4, :16]  # of a map, or of tokens
    if view == "stats":
        x = x.astype(np.float64)
        return np.array([x.mean(), x.std(), np.sqrt(np.square(x).sum())])
    return x
