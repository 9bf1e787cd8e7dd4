"""The single table of tensor names: every intermediate of a forward pass has one name, and only one.

Grammar: ``[block{i}.]part.tensor``.  Each table stands in execution order; `names.of` unrolls them for one model.
Shape letters are those of the shapes glossary: B images, N tokens, G patches, D width, H heads, K head width, M mlp
width, R representation width, S a Mixer's hidden width across tokens, O pixels of a patch, C classes, h × w pixels
(h/4: a quarter, rounded up), c channels; "*" is N for unpooled models and nothing otherwise.  Of LiT: T texts, E
numbers of an embedding; the N tokens of its text tower are those of a text.
Symbols are those of arXiv:2010.11929, official paths those of vit_jax/models_vit.py.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: str
    symbol: str
    official: str
    meaning: str
    exists: Callable = lambda config: True


_ATTENTION = "Transformer/encoderblock_{i}/MultiHeadDotProductAttention_1"
_MLP = "Transformer/encoderblock_{i}/MlpBlock_3"

BEFORE = (
    Tensor("image", "B h w c", "x", "(input)", "pixels after resizing and normalising"),
    Tensor("embed.patches", "B G D", "x_p E", "embedding", "one vector per patch, row by row"),
    Tensor(
        "embed.tokens", "B N D", "[x_class; x_p E]", "cls", "class token (and distillation token) put in front",
        exists=lambda config: config.prefix > 0,
    ),
    Tensor("embed.position", "1 N D", "E_pos", "Transformer/posembed_input", "position table at this resolution"),
    Tensor("embed.out", "B N D", "z_0", "Transformer/posembed_input", "tokens plus positions: the stream starts"),
)  # fmt: skip

BLOCK = (
    Tensor("ln1.out", "B N D", "LN(z_{l-1})", "Transformer/encoderblock_{i}/LayerNorm_0", "what attention reads"),
    Tensor("attn.q", "B H N K", "q", f"{_ATTENTION}/query", "queries, before the division by √K"),
    Tensor("attn.k", "B H N K", "k", f"{_ATTENTION}/key", "keys"),
    Tensor("attn.v", "B H N K", "v", f"{_ATTENTION}/value", "values"),
    Tensor("attn.scores", "B H N N", "q kᵀ / √D_h", _ATTENTION, "how well each query (row) fits each key (column)"),
    Tensor("attn.probs", "B H N N", "A", _ATTENTION, "softmax of the scores: every row sums to one"),
    Tensor("attn.z", "B H N K", "A v", _ATTENTION, "values averaged with those weights, per head"),
    Tensor("attn.out", "B N D", "MSA(LN(z_{l-1}))", f"{_ATTENTION}/out", "heads side by side, mixed by one matrix"),
    Tensor("resid_mid", "B N D", "z'_l", "Transformer/encoderblock_{i}", "residual stream after attention"),
    Tensor("ln2.out", "B N D", "LN(z'_l)", "Transformer/encoderblock_{i}/LayerNorm_2", "what the MLP reads"),
    Tensor("mlp.pre", "B N M", "LN(z'_l) W_1", f"{_MLP}/Dense_0", "hidden layer before GELU"),
    Tensor("mlp.act", "B N M", "GELU(LN(z'_l) W_1)", _MLP, "hidden layer after GELU"),
    Tensor("mlp.out", "B N D", "MLP(LN(z'_l))", f"{_MLP}/Dense_1", "what the MLP adds to the stream"),
    Tensor("resid_post", "B N D", "z_l", "Transformer/encoderblock_{i}", "residual stream after the block"),
)

STEM = (
    Tensor("stem.conv", "B h/2 w/2 {c}", "–", "conv_root", "7×7 convolution with standardised weights"),
    Tensor("stem.norm", "B h/2 w/2 {c}", "–", "gn_root", "…normalised by GroupNorm, before ReLU"),
    Tensor("stem.pool", "B h/4 w/4 {c}", "–", "(max_pool)", "…after ReLU: the largest of every 3×3"),
)
_UNIT = "block{stage}/unit{unit}"
UNIT = (
    Tensor("proj", "{out} {outer}", "–", f"{_UNIT}/conv_proj", "the input, projected to more channels"),
    Tensor("proj_norm", "{out} {outer}", "–", f"{_UNIT}/gn_proj", "…normalised"),
    Tensor("conv1", "{in} {inner}", "–", f"{_UNIT}/conv1", "1×1 convolution to few channels"),
    Tensor("norm1", "{in} {inner}", "–", f"{_UNIT}/gn1", "…normalised, before ReLU"),
    Tensor("conv2", "{out} {inner}", "–", f"{_UNIT}/conv2", "3×3 convolution"),
    Tensor("norm2", "{out} {inner}", "–", f"{_UNIT}/gn2", "…normalised, before ReLU"),
    Tensor("conv3", "{out} {outer}", "–", f"{_UNIT}/conv3", "1×1 convolution to many channels"),
    Tensor("norm3", "{out} {outer}", "–", f"{_UNIT}/gn3", "…normalised"),
    Tensor("out", "{out} {outer}", "–", _UNIT, "ReLU of the sum of both paths"),
)

HIDDEN = Tensor("embed.masked", "B G D", "–", "vit.embeddings.mask_token", "…hidden patches are one learned vector")
PAINTED = (
    Tensor("decoder.out", "B G O", "–", "decoder.0", "the pixels of every patch, from its token"),
    Tensor("painted", "B h w c", "–", "decoder.1", "…put where they belong: the picture as the model sees it"),
)

_MIXER = "MixerBlock_{i}"
MIXER_BLOCK = (
    Tensor("ln1.out", "B N D", "LN(X)", f"{_MIXER}/LayerNorm_0", "what the MLP across tokens reads"),
    Tensor("token_mlp.in", "B D N", "LN(X)ᵀ", f"{_MIXER}/token_mixing", "…turned: one row per channel"),
    Tensor("token_mlp.pre", "B D S", "W_1 LN(X)", f"{_MIXER}/token_mixing/Dense_0", "hidden layer before GELU"),
    Tensor("token_mlp.act", "B D S", "σ(W_1 LN(X))", f"{_MIXER}/token_mixing", "hidden layer after GELU"),
    Tensor(
        "token_mlp.out", "B D N", "W_2 σ(W_1 LN(X))", f"{_MIXER}/token_mixing/Dense_1", "what tokens tell each other"
    ),
    Tensor("resid_mid", "B N D", "U", _MIXER, "residual stream after it, turned back"),
    Tensor("ln2.out", "B N D", "LN(U)", f"{_MIXER}/LayerNorm_1", "what the MLP across channels reads"),
    Tensor("mlp.pre", "B N M", "LN(U) W_3", f"{_MIXER}/channel_mixing/Dense_0", "hidden layer before GELU"),
    Tensor("mlp.act", "B N M", "σ(LN(U) W_3)", f"{_MIXER}/channel_mixing", "hidden layer after GELU"),
    Tensor("mlp.out", "B N D", "σ(LN(U) W_3) W_4", f"{_MIXER}/channel_mixing/Dense_1", "what the MLP adds"),
    Tensor("resid_post", "B N D", "Y", _MIXER, "residual stream after the block"),
)

_LAYER = "BertEncoder_0/encoder_block/layer_sequence/layers_{i}"
_HEADS = f"{_LAYER}/attention_block/attention_layer"
BERT_BEFORE = (
    Tensor("tokens", "T N", "–", "(input)", "numbers of the word pieces"),
    Tensor("embed.sum", "T N D", "–", "BertEncoder_0/embedder", "embedding of piece, position and segment, added"),
    Tensor("embed.out", "T N D", "–", "BertEncoder_0/layer_norm", "…normalised: the stream starts"),
)
BERT_BLOCK = (
    Tensor("attn.q", "T H N K", "q", f"{_HEADS}/query", "queries, before the division by √K"),
    Tensor("attn.k", "T H N K", "k", f"{_HEADS}/key", "keys"),
    Tensor("attn.v", "T H N K", "v", f"{_HEADS}/value", "values"),
    Tensor("attn.scores", "T H N N", "q kᵀ / √D_h", _HEADS, "how well each query fits each key; −10¹⁰ for padding"),
    Tensor("attn.probs", "T H N N", "A", _HEADS, "softmax of the scores: nobody looks at padding"),
    Tensor("attn.z", "T H N K", "A v", _HEADS, "values averaged with those weights, per head"),
    Tensor("attn.out", "T N D", "MHA(x)", f"{_LAYER}/attention_block/dense_layer", "heads mixed by one matrix"),
    Tensor("resid_mid", "T N D", "x + MHA(x)", f"{_LAYER}/attention_block", "stream after attention"),
    Tensor("ln1.out", "T N D", "LN(x + MHA(x))", f"{_LAYER}/attention_block/layer_norm", "…normalised: the stream"),
    Tensor("mlp.pre", "T N M", "x W_1", f"{_LAYER}/mlp_block/mlp/dense_layer", "hidden layer before GELU"),
    Tensor("mlp.act", "T N M", "GELU(x W_1)", f"{_LAYER}/mlp_block/mlp", "hidden layer after GELU"),
    Tensor("mlp.out", "T N D", "FFN(x)", f"{_LAYER}/mlp_block/dense_layer", "what the MLP adds to the stream"),
    Tensor("resid_post", "T N D", "x + FFN(x)", f"{_LAYER}/mlp_block", "stream after the MLP"),
    Tensor("ln2.out", "T N D", "LN(x + FFN(x))", f"{_LAYER}/mlp_block/layer_norm", "…normalised: the stream"),
)
TEXT_BEFORE = (
    BERT_BEFORE[0],
    Tensor("embed.tokens", "T N D", "–", "Embed_0", "embedding of each word piece"),
    Tensor("embed.out", "T N D", "z_0", "pos_embedding", "tokens plus positions: the stream starts"),
)
TEXT_AFTER = (
    Tensor("head.pooled", "T D", "–", "(pool)", "the feature: first token (BERT) or last token"),
    Tensor("logits", "T E", "–", "head", "the feature, turned to where images lie"),
)
#: What follows in either tower, and what the two say together
POINT = (
    Tensor("length", "{n} 1", "‖z‖", "(norm)", "how long the vector is"),
    Tensor("normalised", "{n} E", "z / (‖z‖ + 1e-8)", "(normalised)", "the embedding: a point on the sphere"),
)
TOGETHER = (
    Tensor("temperature", "1", "exp(t)", "t", "what cosines are multiplied by"),
    Tensor("similarity", "B T", "exp(t) z_img z_txtᵀ", "(logits)", "how well each text fits each image"),
    Tensor("probs", "B T", "–", "(softmax)", "…as probabilities of the texts, for each image"),
)

_NORM = "Transformer/encoder_norm"
AFTER = (
    Tensor("final.norm", "B N D", "LN(z_L)", _NORM, "all tokens, normalised", lambda c: not c.norm_after_pool),
    Tensor("head.pooled", "B * D", "LN(z_L^0)", "(pool)", "the feature: class token, mean, or every token"),
    Tensor("final.norm", "B * D", "LN(mean z_L)", _NORM, "the pooled feature, normalised", lambda c: c.norm_after_pool),
    Tensor("head.pre_tanh", "B * R", "W y + b", "pre_logits", "representation layer", lambda c: c.representation),
    Tensor("head.representation", "B * R", "tanh(W y + b)", "pre_logits", "…and its tanh", lambda c: c.representation),
    Tensor("head.class_logits", "B C", "–", "(DeiT)", "logits from the class token", lambda c: c.distilled_head),
    Tensor("head.distill_logits", "B C", "–", "(DeiT)", "logits from the second token", lambda c: c.distilled_head),
    Tensor("logits", "B * C", "y", "head", "one score per class", lambda c: c.classes),
)  # fmt: skip
