"""Golden LiT models: every tensor of both towers, from the stored images and word pieces to the probabilities.

Where a text is over, BERT's own rows mean nothing: the reference attends from padding to everything, minivit to the
text alone.  Nobody reads those rows, and they are left out on both sides.
"""

from .. import checkpoints, tiers
from ..files import read_arrays
from ..lit import LitModel
from ..models import lit
from ..trace import make_tap
from . import forward
from .verdict import judge

#: name in a golden case -> minivit's name, where a text tower or both towers have their own
IN_TOWER = {"embeddings_sum": "embed.sum", "embeddings_ln": "embed.out", "embedded": "embed.tokens"}
IN_TOWER |= {"pre_logits": "head.pooled", "norm": "length", "normalized": "normalised"}
IN_BERT_BLOCK = {"resid_out": "resid_post", "out": "ln2.out"}


def check(case, tier, dtype, against):
    folder = case["folder"]
    expected, inputs = read_arrays(folder / "tensors.npz"), read_arrays(folder / "inputs.npz")
    noise = case["float32_vs_float64_error_of_the_reference"]
    config, found = produce(case, inputs, tier, dtype)
    words = inputs["tokens"] != 0
    verdicts = []
    for name in (tensor["name"] for tensor in case["tensors"]):
        stem = name.removesuffix("__f64")
        x = against.get(stem) if against is not None else as_stored(stem, found.get(ours(stem, config)), config)
        pair = [x, expected[name]]
        if stem.startswith("txt/") and config.txt.kind == "bert" and expected[name].ndim > 2:
            pair = [None if x is None else of_words(stem, x, words) for x in pair]
        verdicts.append(judge(name, *pair, noise[stem]["max_abs"], tier, dtype))
    return verdicts


def produce(case, inputs, tier, dtype):
    """(config, {our name: tensor}) of a forward pass with the case's weights and inputs."""
    heads = {"heads": case["config"]["text"]["num_attention_heads"]} if case["config"]["text_model"] == "bert" else {}
    checkpoint = checkpoints.read(case["folder"] / "weights.npz", **heads)
    model = LitModel(checkpoint.config, checkpoint.stream(), tiers.load(tier, dtype))
    images, tap = inputs["images"].astype(model.ops.activations), make_tap(model.config, "*")
    lit.forward(model.params, images, inputs["tokens"], model.config, model.ops, tap)
    return model.config, tap.store


def ours(name, config):
    """minivit's name of a golden tensor, or None."""
    tower, _, stem = name.partition("/")
    if not stem:
        return name
    block, _, tensor = stem.partition("/")
    if tensor in IN_BERT_BLOCK and tower == "txt" and config.txt.kind == "bert":
        return f"txt.block{int(block.removeprefix('block'))}.{IN_BERT_BLOCK[tensor]}"
    inside = IN_TOWER.get(stem) or forward.ours(stem, config.img)
    return inside and f"{tower}.{inside}"


def as_stored(name, x, config):
    """Our tensor as the golden stores it."""
    return None if x is None else forward.as_stored(name.partition("/")[2], None, x, config.grid)


def of_words(name, x, words):
    # x (T,N,…), or (T,H,N,N) for probabilities; words (T,N) -> the rows of words only
    return x.swapaxes(1, 2)[words] if name.endswith("attn_probs") else x[words]
