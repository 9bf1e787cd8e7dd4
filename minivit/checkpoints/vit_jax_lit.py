"""google-research/vision_transformer: LiT, whose two towers are under img/ and txt/ (vit_jax/models_lit.py)."""

from dataclasses import replace

from ..config import LIT, TextConfig, ViTConfig
from ..config.published import VARIANTS
from ..errors import InputError
from . import vit_jax
from .found import Found, published_name
from .rules import from_heads, same, side_by_side, to_rows

BERT = "txt/BertEncoder_0"
LAYER = f"{BERT}/encoder_block/layer_sequence/layers_*"
ATTENTION, MLP = f"{LAYER}/attention_block", f"{LAYER}/mlp_block"
HEADS = {768: 12, 1024: 16}  # width of the published BERTs -> heads, which their tensors do not tell


def _heads(shape, turn, tower=""):
    # where heads have an axis of their own, letters say so; all other shapes are our own
    if turn not in (from_heads, to_rows):
        return "="
    return " ".join(f"{tower}{letter}" for letter in shape.split())


IMG = {
    f"img.{ours}": (f"img/{theirs}", _heads(shape, turn), turn) for ours, (theirs, shape, turn) in vit_jax.RULES.items()
}
HEAD = {"txt.head.w": ("txt/head/kernel", "=", same), "txt.head.b": ("txt/head/bias", "=", same)}
TRANSFORMER = {
    "txt.embed.tokens": ("txt/Embed_0/embedding", "=", same),
    "txt.embed.position": ("txt/pos_embedding", "=", same),
    **{
        f"txt.{ours}": (theirs.replace("Transformer", "txt/Encoder_0"), _heads(shape, turn, "txt."), turn)
        for ours, (theirs, shape, turn) in vit_jax.RULES.items()
        if ours.startswith(("blocks.", "norm."))
    },
}
BERT_RULES = {
    "txt.embed.tokens": (f"{BERT}/embedder/embedders_token_ids/embedding", "=", same),
    "txt.embed.position": (f"{BERT}/embedder/embedders_position_ids/embedding", "=", same),
    "txt.embed.segment": (f"{BERT}/embedder/embedders_segment_ids/embedding", "=", same),
    "txt.blocks.*.attn.qkv.w": (f"{ATTENTION}/attention_layer/query|key|value/kernel", "txt.D txt.D", side_by_side),
    "txt.blocks.*.attn.qkv.b": (f"{ATTENTION}/attention_layer/query|key|value/bias", "txt.D", side_by_side),
}
for _ours, _theirs in {
    "norm": f"{BERT}/layer_norm",
    "blocks.*.ln1": f"{ATTENTION}/layer_norm",
    "blocks.*.ln2": f"{MLP}/layer_norm",
}.items():
    BERT_RULES |= {f"txt.{_ours}.{leaf}": (f"{_theirs}/{leaf}", "=", same) for leaf in ("scale", "bias")}
for _ours, _theirs in {
    "blocks.*.attn.out": f"{ATTENTION}/dense_layer",
    "blocks.*.mlp.fc1": f"{MLP}/mlp/dense_layer",
    "blocks.*.mlp.fc2": f"{MLP}/dense_layer",
}.items():
    BERT_RULES[f"txt.{_ours}.w"] = (f"{_theirs}/kernel", "=", same)
    BERT_RULES[f"txt.{_ours}.b"] = (f"{_theirs}/bias", "=", same)

#: kind of text tower -> the table of the whole model
RULES = {
    kind: {**IMG, **txt, **HEAD, "similarity.t": ("t", "=", same)}
    for kind, txt in (("bert", BERT_RULES), ("transformer", TRANSFORMER))
}


def recognise(source):
    """What the file holds, or None if it is not a LiT model."""
    arrays, ignored = vit_jax.subtree(source.arrays)
    if (vit_jax.relative(arrays) or ("",))[0] != "lit":
        return None
    arrays = vit_jax.linen(arrays)
    kind = "bert" if any(name.startswith(BERT) for name in arrays) else "transformer"
    img = {name.removeprefix("img/"): array for name, array in arrays.items() if name.startswith("img/")}
    tower = vit_jax.recognise(replace(source, arrays=img))
    others = {name: array for name, array in arrays.items() if not name.startswith("img/")}
    found = Found("vit_jax npz", "lit", source.file, others, RULES[kind], nested=_nested)
    if tower is None or tower.family != "vit":
        raise found.wrong("expected a Vision Transformer under 'img/', as in LiT")
    for why in tower.needed.values():
        raise found.wrong(why)
    found.arrays = {**{f"img/{name}": array for name, array in tower.arrays.items()}, **others}
    if ignored:
        found.warnings.append(f"{ignored} arrays beside the model (optimizer state) are ignored")
    txt = _bert(found) if kind == "bert" else _transformer(found)
    img = ViTConfig(**{"name": source.file.name, **tower.fields, "preprocess": LIT})
    img = replace(img, name=published_name(img, "vit"))
    found.fields = {"img": img, "txt": txt, "length": min(16, txt.positions), "name": _name(img, txt)}
    return found


def _bert(found):
    vocabulary, width = found.dims(f"{BERT}/embedder/embedders_token_ids/embedding", 2)
    if width not in HEADS:
        found.needed["heads"] = f"its text tower of width {width} may have any number of heads"
    return _text(
        found, "bert", width, HEADS.get(width, 1), vocabulary,
        blocks=found.count_blocks(LAYER.removesuffix("*")),
        mlp=found.dims(f"{MLP}/mlp/dense_layer/kernel".replace("*", "0"), 2)[1],
        positions=found.dims(f"{BERT}/embedder/embedders_position_ids/embedding", 2)[0],
        segments=found.dims(f"{BERT}/embedder/embedders_segment_ids/embedding", 2)[0],
        eps=1e-12,
    )  # fmt: skip


def _transformer(found):
    block = vit_jax.BLOCK.replace("Transformer", "txt/Encoder_0").replace("*", "0")
    width, heads, _ = found.dims(f"{block}/MultiHeadDotProductAttention_0/query/kernel", 3)
    return _text(
        found, "transformer", width, heads, found.dims("txt/Embed_0/embedding", 2)[0],
        blocks=found.count_blocks("txt/Encoder_0/encoderblock_"),
        mlp=found.dims(f"{block}/MlpBlock_0/Dense_0/kernel", 2)[1],
        positions=found.dims("txt/pos_embedding", 3)[1],
    )  # fmt: skip


def _text(found, kind, width, heads, vocabulary, **sizes):
    try:
        out = found.dims("txt/head/kernel", 2)[1]
        return TextConfig(kind, width, heads=heads, vocabulary=vocabulary, out=out, **sizes)
    except InputError as error:
        raise found.wrong(str(error)) from None


def _nested(found, overrides):
    """What is given for a tower goes into its config: `heads`, which files do not tell of a BERT, and `preprocess`."""
    overrides = dict(overrides)
    for name, tower in (("heads", "txt"), ("preprocess", "img")):
        if name in overrides:
            try:
                overrides[tower] = replace(found.fields[tower], **{name: overrides.pop(name)})
            except TypeError as error:
                raise InputError(f"{found.path.name}: {name} has a value of the wrong kind ({error})") from None
    return overrides


def _name(img, txt):
    """The published name of two such towers, or else what they are."""
    for known in VARIANTS.values():
        if known.family == "lit" and (known.img, known.txt) == (img, txt):
            return known.name
    return f"LiT (image width {img.width}, {txt.kind} of width {txt.width})"
