"""Planted mistakes in minivit/viz: what goes wrong with attention maps in practice, one line each."""

#: file in minivit/viz -> mistake -> (what is right, what is planted)
BY_FILE = {
    "maps.py": {
        "class token not dropped": ("rows[..., prefix:]", "rows[..., : rows.shape[-1] - prefix]"),
        "two prefix tokens treated as one": (
            "rows[..., prefix:]", "rows[..., min(prefix, 1) :][..., : grid[0] * grid[1]]",
        ),
        "patches read column by column": (
            "reshape(*rows.shape[:-1], *grid)", "reshape(*rows.shape[:-1], *grid[::-1]).swapaxes(-1, -2)",
        ),
        "column instead of row": ("probs[..., query, :]", "probs[..., :, query]"),
        "row instead of column": ("probs[..., :, key]", "probs[..., key, :]"),
        "class token's row in the mean of the patches": ("probs[..., prefix:, :].mean(-2)", "probs.mean(-2)"),
        "mean of columns": ("probs[..., prefix:, :].mean(-2)", "probs[..., :, prefix:].mean(-1)"),
        "class token asked of a mean-pooling model": ('config.prefix and config.pool != "gap"', "True"),
        "distillation token asked": ("query_map(probs, 0,", "query_map(probs, config.prefix - 1,"),
        "heads weighted by entropy, upside down": ("np.log(patches) - entropy", "entropy"),
        "heads normalised together": (
            "by_head.sum((-2, -1), keepdims=True)", "by_head.sum((-3, -2, -1), keepdims=True)",
        ),
        "mask one patch short": ("largest_first.cumsum(-1) - largest_first", "largest_first.cumsum(-1)"),
        "mask from the smallest on": ("np.argsort(-flat", "np.argsort(flat"),
        "mask by the maximum": ("mass * flat.sum(-1", "mass * flat.max(-1"),
        "mask not put back in place": (
            "np.put_along_axis(mask, order, before < mass * flat.sum(-1, keepdims=True), -1)",
            "mask[:] = before < mass * flat.sum(-1, keepdims=True)",
        ),
    },
    "statistics.py": {
        "distance in patches": ("patch * np.stack", "np.stack"),
        "distance with rows for columns": ("grid[0] * grid[1]), grid[1])", "grid[0] * grid[1]), grid[0])"),
        "distance along one axis": (
            "np.linalg.norm(centres[:, None] - centres, axis=-1)", "abs(centres[:, None] - centres)[..., 0]",
        ),
        "distance shrunk by what the class token got": (
            "travelled / np.maximum(A.sum(-1), np.finfo(A.dtype).tiny)", "travelled",
        ),
        "distance with the class token as a patch": (
            "A = probs[..., prefix:, prefix:]",
            "A = probs[..., : probs.shape[-1] - prefix, : probs.shape[-1] - prefix]",
        ),
        "entropy's sign": ("return -(probs * np.log", "return (probs * np.log"),
        "entropy over the queries": ("tiny))).sum(-1)", "tiny))).sum(-2)"),
        "received: rows instead of columns": ("probs.mean(-2)", "probs.mean(-1)"),
        "high norm: prefix in the median": ("np.median(length[:, prefix:]", "np.median(length"),
        "high norm: prefix marked": ("    found[:, :prefix] = False\n", ""),
        "norm of the query's value": ("axis=-1)[:, :, None]", "axis=-1)[..., None]"),
        "W_O split across instead of along": (
            "w_out.reshape(heads, width, -1)", "w_out.reshape(width, heads, -1).swapaxes(0, 1)",
        ),
    },
    "flow.py": {
        "missing identity": (" + np.eye(A.shape[-1])", ""),
        "normalised over the wrong axis": ("A.sum(-1, keepdims=True)", "A.sum(-2, keepdims=True)"),
        "not normalised": ("        A /= A.sum(-1, keepdims=True)\n", ""),
        "reversed layers": ("A if R is None else A @ R", "A if R is None else R @ A"),
        "first layer left out": ("R = A if R is None else A @ R", "R = np.eye(A.shape[-1]) if R is None else A @ R"),
        "largest head in place of the mean": ("A.mean(1, dtype=np.float64)", "A.max(1).astype(np.float64)"),
        "gradients zipped with layers in reverse": ("zip(probs, gradients,", "zip(probs, gradients[::-1],"),
        "ReLU after the mean instead of before": (
            "np.maximum(gradient.astype(np.float64) * probs, 0).mean(1)", "np.maximum((gradient * probs).mean(1), 0)",
        ),
        "no ReLU": ("np.maximum(gradient.astype(np.float64) * probs, 0)", "(gradient * probs)"),
        "gradient without attention": ("gradient.astype(np.float64) * probs", "gradient"),
        "magnitude instead of ReLU": ("np.maximum(gradient.astype(np.float64) * probs, 0)", "abs(gradient * probs)"),
        "relevance without the residual": ("R = R + gradient_weighted", "R = gradient_weighted"),
        "relevance multiplied in reverse": ("gradient_weighted(A, gradient) @ R", "R @ gradient_weighted(A, gradient)"),
    },
    "similarity.py": {
        "position of the class token as a patch": ("position[0, prefix:]", "position[0, : position.shape[1] - prefix]"),
        "dot product instead of cosine": ("return x / np.maximum(", "return x + 0 * np.maximum("),
        "cosine to another token": ("E[:, query])", "E[:, prefix + query])"),
        "PCA without centring": ("np.linalg.svd(x - x.mean(0)", "np.linalg.svd(x"),
        "PCA: singular values as variances": ("(s**2 / max((s**2).sum(),", "(s / max(s.sum(),"),
        "filters cut across": ("w.reshape(-1, w.shape[-1]).T", "w.reshape(w.shape[-1], -1)"),
        "PCA with the class token": ("x = tokens[:, prefix:]", "x = tokens[:, : tokens.shape[1] - prefix]"),
        "colours not stretched": ("    along -= along.min(0)\n", ""),
        "CKA without centring": (" - z.mean(0, dtype=np.float64)", ""),
        "CKA centred per example": ("z.mean(0, dtype=np.float64)", "z.mean(1, keepdims=True)"),
        "CKA without the root": ("np.sqrt(alone)", "alone"),
    },
    "lens.py": {
        "early stream without the model's norm": (
            "vit.head(model.params, stream,", "vit.head({**model.params, 'norm': {'scale': 1, 'bias': 0}}, stream,",
        ),
        "class token as a patch in the lens": (
            "stream[:, model.config.prefix :]", "stream[:, : stream.shape[1] - model.config.prefix]",
        ),
        "stream before attention": ('per_block(trace, "resid_post")', 'per_block(trace, "resid_mid")'),
        "embedding left out": ('[trace["embed.out"], *per_block', "[*per_block"),
    },
    "attribution.py": {
        "LayerNorm not frozen": ("np.square(centred.sum(0))", "np.square(centred)"),
        "LayerNorm's mean forgotten": ("terms - terms.mean(-1, keepdims=True)", "terms"),
        "LayerNorm's eps forgotten": ("np.sqrt(variance + eps)", "np.sqrt(variance + 1e-2)"),
        "LayerNorm's bias forgotten": (
            'p["scale"].astype(np.float64), p["bias"])', 'p["scale"].astype(np.float64), 0 * p["bias"])',
        ),
        "bias of the heads counted H times": ('np.broadcast_to(out["b"],', 'np.broadcast_to(config.heads * out["b"],'),
        "heads cut across the width": (
            'dense(out["w"]).reshape(config.heads, config.head_width, -1)',
            'dense(out["w"]).reshape(config.head_width, config.heads, -1).swapaxes(0, 1)',
        ),
        "DeiT's two heads added": ('params["head_distill"])) / 2', 'params["head_distill"]))'),
        "DeiT's teacher head at the class token": ("y[:, :, 1] if", "y[:, :, 0] if"),
        "mean before the norm": (
            "if config.norm_after_pool else terms",
            "if config.norm_after_pool else pool(terms)[:, :, None] if config.pool == 'gap' else terms",
        ),
        "tanh's slope instead of its ratio": (
            "np.divide(np.tanh(u), u, out=np.ones_like(u), where=u != 0)", "1 - np.tanh(u) ** 2",
        ),
    },
    "explain.py": {
        "gradient of the loss instead of the logit": (
            "backward(model.params, saving.store, dlogits,",
            "backward(model.params, saving.store, ops.backward.cross_entropy(logits, dlogits),",
        ),
        "gradient of the most probable class": ("targets_of(logits, target)", "targets_of(logits)"),
        "lens of another class": ("seen.targets[:, None, None, None]", "seen.targets[::-1, None, None, None]"),
        "relevance of all blocks": (
            "seen.probs()[: layer + 1], gradients[: layer + 1]", "seen.probs()[1:], gradients[1:]",
        ),
        "values of another block": ('seen.trace[f"block{layer}.attn.v"]', 'seen.trace["block0.attn.v"]'),
        "output matrix of another block": ('["blocks"][layer]', '["blocks"][0]'),
    },
    "faithful.py": {
        "knock-out's sign": ('logits - trace["logits"]', 'trace["logits"] - logits'),
        "knock-out one block late": ("blocks[i:], x", "blocks[i + 1 :] or blocks[i:], x"),
        "knock-out of the other heads": ("z[:, head] = 0", "z[:, np.arange(z.shape[1]) != head] = 0"),
        "smallest patches first": ("np.argsort(-values", "np.argsort(values"),
        "order used as place": (
            'place[np.argsort(-values, axis=None, kind="stable")] = np.arange(values.size)',
            'place[:] = np.argsort(-values, axis=None, kind="stable")',
        ),
        "one patch too many": ("place < round(", "place <= round("),
        "logit in place of the probability": (
            "Curve(fractions, probabilities[:, target])", "Curve(fractions, logits[:, target])",
        ),
        "class of the blank picture": ("logits[intact][None]", "logits[-1 - intact][None]"),
        "blurred along one side": ("ij,bjkc,lk->bilc", "ij,bjkc,ll->bikc"),
        "randomised from the bottom": (
            '*model.params["blocks"][:i], *drawn["blocks"][i:]',
            '*drawn["blocks"][: -i or None], *model.params["blocks"][len(drawn["blocks"]) - i :]',
        ),
        "values correlated, not ranks": ("[_ranks(x.ravel()) for x in (a, b)]", "[x.ravel() for x in (a, b)]"),
        "equal numbers ranked by place": (
            "(count.cumsum() - (count - 1) / 2)[which]", "np.argsort(np.argsort(x, kind='stable'))",
        ),
    },
}  # fmt: skip

#: mistake -> (file, what is right, what is planted)
MISTAKES = {mistake: (file, *change) for file, found in BY_FILE.items() for mistake, change in found.items()}
