"""LiT as functions of arrays: pictures and texts become points on one sphere (Zhai et al., arXiv:2111.07991).

The image tower is vit.py.  The text tower is a BERT (Devlin et al., arXiv:1810.04805), or the encoder of vit.py over a
table of embeddings.  Sources: vit_jax/models_lit.py; google/flaxformer, architectures/bert.
"""

import numpy as np

from ..trace import NO_TAP
from . import vit

MASKED = -1e10  # added to the scores of padding: its probability is then exactly 0
EPS = 1e-8  # added to a length, so that nothing is divided by 0


def forward(params, images, tokens, config, ops, tap=NO_TAP):
    # images (B,h,w,c), tokens (T,N) -> similarity (B,T), whose softmax over the texts says which belongs to an image
    image = embed_images(params, images, config, ops, tap)
    return similarity(params, image, embed_texts(params, tokens, config, ops, tap), ops, tap)


def embed_images(params, images, config, ops, tap=NO_TAP):
    # images (B,h,w,c) -> (B,E), each of length one
    tap = tap.inside("img")
    return normalise(ops.run(vit.forward, params["img"], images, config.img, ops, tap), tap)


def embed_texts(params, tokens, config, ops, tap=NO_TAP):
    # tokens (T,N), numbers of word pieces -> (T,E), each of length one
    tap, p = tap.inside("txt"), params["txt"]
    embed, tower = {"bert": (embed_words, bert), "transformer": (embed_pieces, transformer)}[config.txt.kind]
    inputs = embed(p, tap("tokens", tokens), config.txt, ops, tap)
    return normalise(ops.run(tower, p, inputs, config.txt, ops, tap), tap)


def normalise(z, tap):
    # z (B,E) -> (B,E)
    length = tap("length", np.linalg.norm(z, axis=-1, keepdims=True))
    return tap("normalised", z / (length + z.dtype.type(EPS)))


def similarity(params, image, text, ops, tap=NO_TAP):
    # image (B,E), text (T,E) -> (B,T): the cosines, times the temperature that was learned with them
    temperature = tap("temperature", np.exp(params["similarity"]["t"]))
    logits = tap("similarity", temperature * (image @ text.T))
    tap("probs", ops.softmax(logits))
    return logits


def embed_pieces(params, tokens, config, ops, tap):
    # tokens (T,N) -> (T,N,D)
    p = params["embed"]
    x = tap("embed.tokens", p["tokens"][tokens])
    return tap("embed.out", x + p["position"][:, : tokens.shape[1]])


def transformer(params, x, config, ops, tap):
    # x (T,N,D) -> (T,E), of the last token, which in every text is the end
    x = vit.encoder(params["blocks"], x, config, ops, tap)
    x = tap("final.norm", ops.layernorm(x, **params["norm"], eps=config.eps))
    return head(params, x[:, -1], ops, tap)


def embed_words(params, tokens, config, ops, tap):
    # tokens (T,N), 0 where there is none -> x (T,N,D), mask (T,1,1,N)
    p = params["embed"]
    x = tap("embed.sum", p["tokens"][tokens] + p["position"][: tokens.shape[1]] + p["segment"][0])
    x = tap("embed.out", ops.layernorm(x, **params["norm"], eps=config.eps))
    return x, np.where(tokens == 0, x.dtype.type(MASKED), x.dtype.type(0))[:, None, None]


def bert(params, inputs, config, ops, tap):
    # x (T,N,D), mask (T,1,1,N) -> (T,E), of the first token
    x, mask = inputs
    for i, p in enumerate(params["blocks"]):
        x = bert_block(p, x, mask, config, ops, tap.inside(f"block{i}"))
    return head(params, x[:, 0], ops, tap)


def head(params, y, ops, tap):
    # y (T,D) -> (T,E)
    return tap("logits", ops.linear(tap("head.pooled", y), **params["head"]))


def bert_block(p, x, mask, config, ops, tap):
    # x (T,N,D), mask (T,1,1,N) -> (T,N,D); post-norm: the residual stream itself is normalised
    x = tap("resid_mid", x + bert_attention(p["attn"], x, mask, config, ops, tap.inside("attn")))
    x = tap("ln1.out", ops.layernorm(x, **p["ln1"], eps=config.eps))
    x = tap("resid_post", x + vit.mlp(p["mlp"], x, config, ops, tap.inside("mlp")))
    return tap("ln2.out", ops.layernorm(x, **p["ln2"], eps=config.eps))


def bert_attention(p, x, mask, config, ops, tap):
    # x (T,N,D), mask (T,1,1,N) -> (T,N,D); nobody looks at padding
    q, k, v = vit.split_heads(ops.linear(x, **p["qkv"]), config.heads)
    q, k, v = tap("q", q), tap("k", k), tap("v", v)
    scores = tap("scores", ops.scores(q, k) + mask)
    probs = tap("probs", ops.softmax(scores))
    z = tap("z", ops.mix(probs, v))
    return tap("out", ops.linear(vit.merge_heads(z), **p["out"]))
