"""Direct logit attribution: the logits as a sum of what every part of the model wrote into the residual stream.

The stream is a sum, z_L = z_0 + Σ (heads + bias + MLP), and the head is linear once the LayerNorm's divisor is frozen
at the value it had.  So every logit is a sum with one term per part, exactly.  "Direct": what a head does by way of
later blocks is counted as theirs.  Source: Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021);
Gandelsman et al., arXiv:2310.05916.

A representation layer's tanh is frozen as well, unit by unit: tanh(u) = g·u with g = tanh(u) / u as it came out.
"""

from dataclasses import dataclass

import numpy as np

from .lens import check_logits

KEEP = "embed.out, block*.attn.z, block*.mlp.out, logits"


@dataclass(frozen=True)
class Attribution:
    """values[b,s,c]: what part s (called names[s]) contributes to logit c of image b; their sum over s is the logit.

    names: "embed", then per block "block3.head0" …, "block3.attn.bias", "block3.mlp", then "norm.bias", "head.bias"
    (and "representation.bias"); error: max|Σ_s values − logits| / max|logits|, near 1e-6 in float32.
    """

    names: tuple
    values: np.ndarray  # (B,S,C) float64
    error: float

    def heads(self, config):
        """The heads alone, as a plate: (B,L,H,C)."""
        chosen = [i for i, name in enumerate(self.names) if ".head" in name]
        return self.values[:, chosen].reshape(len(self.values), config.blocks, config.heads, -1)


def attribute(model, trace):
    """Attribution of all logits of a trace that was recorded with KEEP and without patches.

    Raises InputError for a model without one set of logits, or a trace that lacks a tensor.
    """
    check_logits(model.config)
    terms = stream_terms(model.params, trace, model.config)
    names, values = frozen_head(model.params, list(terms), np.stack(list(terms.values())), model.config)
    logits = trace["logits"]
    error = np.abs(values.sum(0) - logits).max() / max(np.abs(logits).max(), np.finfo(np.float32).tiny)
    return Attribution(tuple(names), values.swapaxes(0, 1), float(error))


def stream_terms(params, trace, config):
    """{part: (B,T,D)}: what each wrote to the T tokens that the head reads.  Their sum is the last block's stream."""
    read = slice(0, 2 if config.distilled_head else 1) if config.pool == "token" else slice(config.prefix, None)
    terms = {"embed": trace["embed.out"][:, read]}
    for i, p in enumerate(params["blocks"]):
        z, out = trace[f"block{i}.attn.z"][:, :, read], p["attn"]["out"]
        w = dense(out["w"]).reshape(config.heads, config.head_width, -1).astype(np.float64)
        said = np.einsum("bhnk,hkd->hbnd", z, w)  # MSA(x) = Σ_h z_h W_O^h + b_O
        terms.update({f"block{i}.head{h}": each for h, each in enumerate(said)})
        terms[f"block{i}.attn.bias"] = np.broadcast_to(out["b"], said[0].shape)
        terms[f"block{i}.mlp"] = trace[f"block{i}.mlp.out"][:, read]
    return terms


def frozen_head(params, names, terms, config):
    """The head applied to every term with its divisor frozen.  Each bias on the way is one more term, at the end."""

    # names of S terms, terms (S,B,T,D) -> names of S' terms, (S',B,C)
    def pool(u):
        return u.mean(2) if config.pool == "gap" else u[:, :, 0]

    y = frozen_norm(pool(terms) if config.norm_after_pool else terms, params["norm"], config.eps)
    second = y[:, :, 1] if config.distilled_head else None
    y, names = y if config.norm_after_pool else pool(y), [*names, "norm.bias", "head.bias"]
    if "representation" in params:
        y = linear(y, params["representation"])
        u = y.sum(0)
        y *= np.divide(np.tanh(u), u, out=np.ones_like(u), where=u != 0)
        names.insert(-1, "representation.bias")
    values = linear(y, params["head"])
    if second is not None:  # DeiT: the logits are the mean of two heads
        values = (values + linear(second, params["head_distill"])) / 2
    return names, values


def frozen_norm(terms, p, eps):
    """LN(Σ u_s) = Σ (u_s − mean(u_s)) · scale / √(var(Σ u_s) + eps) + bias, term by term; the bias is the last."""
    # terms (S,...,D) -> (S+1,...,D)
    centred = terms - terms.mean(-1, keepdims=True)
    variance = np.square(centred.sum(0)).mean(-1, keepdims=True)
    return with_bias(centred / np.sqrt(variance + eps) * p["scale"].astype(np.float64), p["bias"])


def linear(terms, p):
    # terms (S,B,I) -> (S+1,B,O); the bias is the last term
    return with_bias(terms @ dense(p["w"]).astype(np.float64), p["b"])


def with_bias(terms, bias):
    # terms (S,...,D), bias (D,) -> (S+1,...,D)
    return np.concatenate([terms, np.broadcast_to(bias, (1, *terms.shape[1:]))])


def dense(w):
    """A weight matrix as a plain array, however the tier keeps it."""
    return w.unpacked().reshape(w.shape) if hasattr(w, "unpacked") else w
