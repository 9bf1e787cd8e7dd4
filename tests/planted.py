"""Planted mistakes: a copy of a backward pass with one line as a tired person might write it."""

from pathlib import Path
from types import ModuleType

import minivit

#: mistake -> (op, what is right, what is planted); all in minivit/ops/<folder>/ref.py
IN_OPS = {
    "layernorm, mean forgotten": ("layernorm", "    dx -= dx.mean(-1, keepdims=True)\n", ""),
    "layernorm, stretch forgotten": ("layernorm", "    dx -= normal\n", ""),
    "layernorm, not divided by the deviation": ("layernorm", "    dx *= inverse\n", ""),
    "layernorm, dscale of the raw gradient": ("layernorm", "product.sum(rows), dy", "dy.sum(rows), dy"),
    "layernorm, scale forgotten": ("layernorm", "dx = dy * scale", "dx = dy.copy()"),
    "softmax, row sum forgotten": ("softmax", ' - np.einsum("...j,...j->...", dp, p)[..., None]', " + 0"),
    "softmax, not times p": ("softmax", "    dx *= p\n", ""),
    "softmax, squared instead of weighted": ("softmax", '"...j,...j->...", dp, p', '"...j,...j->...", dp, dp'),
    "gelu, kinds exchanged": ("gelu", "gelu_erf_slope}[kind]", "gelu_erf_slope}[{'tanh': 'erf', 'erf': 'tanh'}[kind]]"),
    "gelu tanh, inner slope forgotten": ("gelu", "(1 - t * t) * inner_slope", "(1 - t * t)"),
    "gelu erf, density forgotten": ("gelu", " + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)", ""),
    "scores, root forgotten": ("scores", "root = np.sqrt(q.dtype.type(q.shape[-1]))", "root = 1"),
    "scores, not transposed": ("scores", "dscores.swapaxes(-1, -2) @", "dscores @"),
    "mix, not transposed": ("mix", "probs.swapaxes(-1, -2) @ dz", "probs @ dz"),
    "linear, bias of one row": ("linear", "rows.sum(0)", "rows[0]"),
    "linear, bias averaged": ("linear", "rows.sum(0)", "rows.mean(0)"),
    "tanh, y not squared": ("tanh", "1 - y * y", "1 - y"),
    "pool, mean of too many": ("pool", "(tokens - prefix)", "(tokens + 1)"),
    "pool, another token": ("pool", "dx[:, 0] = dy", "dx[:, 1] = dy"),
    "prepend, not summed over the images": ("prepend", "dy[:, :T].sum(0, keepdims=True)", "dy[:1, :T]"),
    "patches, rows for columns": ("patch_embed", "c).transpose(0, 1, 3, 2, 4, 5)", "c).transpose(0, 1, 4, 2, 3, 5)"),
    "patches, bias averaged": ("patch_embed", "rows.sum(0)", "rows.mean(0)"),
    "cross-entropy, not over the batch": ("cross_entropy", "    p /= logits.size // logits.shape[-1]\n", ""),
    "cross-entropy, targets forgotten": ("cross_entropy", "    p -= targets\n", ""),
}  # fmt: skip
#: mistakes that show only at another size than the trained one, or only where a matrix is square
IN_SOME_OPS = {
    "linear, w not transposed": ("linear", "dy @ w.T", "dy @ w"),
    "linear, dw transposed": ("linear", "x.reshape(-1, x.shape[-1]).T @ rows", "rows.T @ x.reshape(-1, x.shape[-1])"),
    "positions, upside down": ("resize_positions", "= weights(old[0], new[0])", "= weights(old[0], new[0])[::-1]"),
    "positions, channels in reverse": ("resize_positions", "spread.reshape", "spread[..., ::-1].reshape"),
}  # fmt: skip
#: mistake -> (what is right, what is planted); all in minivit/models/vit_backward.py
IN_MODEL = {
    "stream dropped at attention": ("return dout + dy, {", "return dy, {"),
    "stream dropped at the MLP": ('tap("resid_mid", dout + dy)', 'tap("resid_mid", dy)'),
    "branch dropped at the MLP": ('tap("resid_mid", dout + dy)', 'tap("resid_mid", dout)'),
    "positions of the first image only": ("dx.sum(0, keepdims=True)", "dx[:1]"),
    "heads across instead of along": (
        "(B, N, heads, D // heads).transpose(0, 2, 1, 3)", "(B, N, D // heads, heads).transpose(0, 3, 1, 2)"
    ),
    "queries for keys": ("for d in (dq, dk, dv)", "for d in (dk, dq, dv)"),
    "gelu at its output": ('saved["mlp.pre"]', 'saved["mlp.act"]'),
    "first norm at the wrong stream": ('x, p["ln1"]', 'saved["resid_mid"], p["ln1"]'),
    "final norm at its own output": ('x, params["norm"]', 'tokens, params["norm"]'),
}  # fmt: skip
#: mistake -> (op, what is right, what is planted); ops that only hybrids have
IN_HYBRID_OPS = {
    "conv, padded at the wrong end": ("conv", "(top, bottom), (left, right) =", "(bottom, top), (right, left) ="),
    "conv, windows overwrite each other": ("conv", "stride)[...] += parts", "stride)[...] = parts"),
    "conv, windows in reverse": ("conv", "dw = windows(x, len(w), stride)", "dw = windows(x, len(w), stride)[:, ::-1]"),
    "standardise, stretch forgotten": ("standardise", "dw = dy - centred * along", "dw = dy"),
    "standardise, mean forgotten": ("standardise", "(dw - dw.mean((0, 1, 2)))", "dw"),
    "standardise, eps in the root": ("standardise", "np.maximum(root, ", "np.maximum(deviation, "),
    "groupnorm, mean forgotten": ("groupnorm", " - _mean(dx)", ""),
    "groupnorm, stretch forgotten": ("groupnorm", " - normal * _mean(dx * normal)", ""),
    "groupnorm, not divided by the deviation": ("groupnorm", "(dx * inverse)", "dx"),
    "groupnorm, dscale of the raw gradient": ("groupnorm", "(dy * normal.reshape(x.shape)).sum", "dy.sum"),
    "relu, not a step": ("relu", "(y > 0)", "y"),
    "max_pool, to the whole window": ("max_pool", "+= dy * hit", "+= dy"),
}  # fmt: skip
#: mistake -> (what is right, what is planted); all in minivit/models/hybrid_backward.py
IN_HYBRID = {
    "shortcut dropped": ("return dx + dout, grads", "return dx, grads"),
    "main path dropped": ("return dx + dout, grads", "return dout, grads"),
    "ReLU of the sum forgotten": ('ops.backward.relu(tap("out", dout), made(saved, "out"))', 'tap("out", dout)'),
    "ReLU before the pooling forgotten": ("ops.backward.relu(dy, y)", "dy"),
    "gradient of the standardised weights": ('    dw = ops.backward.standardise(dw, p[conv]["w"], *settings)\n', ""),
    "convolution with the raw weights": ('ops.standardise(p[conv]["w"], *settings), stride', 'p[conv]["w"], stride'),
    "projection reads the wrong map": ('"proj_norm", x, stride', '"proj_norm", x[:, ::-1], stride'),
}  # fmt: skip


def module_with(file, right, planted):
    """The module minivit/<file>, with `planted` in place of `right`."""
    source = (Path(minivit.__file__).parent / file).read_text(encoding="utf-8")
    assert right in source, f"{file} has changed: it no longer holds {right!r}"
    module = ModuleType(file)
    module.__package__ = ".".join(["minivit", *Path(file).parts[:-1]])
    exec(compile(source.replace(right, planted), file, "exec"), module.__dict__)
    return module


def ops_with(ops, op, right, planted):
    """The same ops, with a mistake in the backward of one."""
    from minivit.tiers import FOLDERS

    module = module_with(f"ops/{FOLDERS[op]}/ref.py", right, planted)
    return ops.replace(**{f"{op}_backward": getattr(module, f"{op}_backward")})
