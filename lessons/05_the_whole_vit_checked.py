# %% [markdown]
# # 05 · The whole ViT, checked
#
# You have all parts: patches, positions, LayerNorm, softmax, GELU, heads. This lesson puts them together, in about
# thirty lines, and then does what most ports of a model never do: it *proves* that they are right, number by number,
# against what Google's own program computed.
#
# **The question of this lesson.** A file holds hundreds of thousands of weights. Somebody changes *one* of them, by
# 0.05. The model still gives the same answer. *Can you find out which number it was, and what it was before, without
# ever seeing the right file?* All you have are the tensors that the official program had on its way. Write down how you
# would begin. Section 6 is the search.
#
# About 45 minutes to read; a few seconds of CPU. Equations are those of
# [arXiv:2010.11929](https://arxiv.org/abs/2010.11929), and lessons 01 to 04 explain each part.

# %%
import re
from pathlib import Path

import numpy as np
from quiz import check, deit_tiny

import minivit
from minivit import names, tiers
from minivit import params as parameters
from minivit.check.forward import ours
from minivit.trace import Trace
from minivit.viz import panels, picture, ship

# %% [markdown]
# ## 1 · Something to compare with
#
# `tests/golden/vit__token` is a **golden case**: a small model with random weights, two inputs, and every tensor that
# the official JAX code (`google-research/vision_transformer`) computed from them. Random weights are as good as
# trained ones here: a wrong equation is wrong with any numbers. And they are better in one respect: no layer happens
# to do nothing.
#
# A golden case is part of the repository. If you have the lessons without it, the bundled model and its own tensors
# take its place, and only section 4 has less to show.


# %%
def golden_case(name):
    """The folder of a golden case, or None if these lessons do not lie in a clone of the repository."""
    here = Path.cwd()
    folders = (folder / "tests" / "golden" / name for folder in (here, *here.parents))
    return next((folder for folder in folders if folder.is_dir()), None)


def official_tensors(case, config):
    """{our name: the tensor of the official program}; theirs have the heads after the tokens."""
    found = {}
    for name, x in np.load(case / "tensors.npz").items():
        mine = ours(name, config)  # "block00/fc1" -> "block0.mlp.pre"
        if mine == "embed.patches":
            x = x.reshape(len(x), -1, config.width)
        elif mine and mine.endswith(("attn.q", "attn.k", "attn.v", "attn.z")):
            x = x.swapaxes(1, 2)  # (B,N,H,K) -> (B,H,N,K)
        if mine:
            found[mine] = x
    return found


ops = tiers.load("ref", "float64")  # the parts that you wrote in lessons 01 to 04: ops.softmax, ops.layernorm, …
case = golden_case("vit__token")
if case:
    config = minivit.load(case / "weights.npz").config
    theirs = dict(np.load(case / "weights.npz"))
    images = np.load(case / "inputs.npz")["images"].astype(np.float64)
    official = official_tensors(case, config)
else:
    model = minivit.load(dtype="float64")
    config, theirs, images = model.config, None, model.preprocess(ship.draw(32))
    official = dict(model.trace(images))
print("reference:", "the official JAX code" if case else "the bundled model itself (no golden case here)")
print(f"{len(official)} tensors, {parameters.count(config):,} weights, {config.blocks} blocks, D = {config.width}")

# %% [markdown]
# ## 2 · Thirty lines
#
# $$\mathbf{z}_0 = [\mathbf{x}_\text{class};\; \mathbf{x}_p^1\mathbf{E};\; \dots;\; \mathbf{x}_p^N\mathbf{E}]
# + \mathbf{E}_{pos} \tag{1}$$
# $$\mathbf{z}'_\ell = \mathrm{MSA}(\mathrm{LN}(\mathbf{z}_{\ell-1})) + \mathbf{z}_{\ell-1} \tag{2}$$
# $$\mathbf{z}_\ell = \mathrm{MLP}(\mathrm{LN}(\mathbf{z}'_\ell)) + \mathbf{z}'_\ell \tag{3}$$
# $$\mathbf{y} = \mathrm{LN}(\mathbf{z}_L^0) \tag{4}$$
#
# Read the code with the equations beside it. `see(name, x)` notes a tensor down and gives it back; it is how a program
# becomes *checkable*, and it should be there from the first day.


# %%
def attention(y, p, heads, ops, see):
    # y (B,N,D) -> (B,N,D)
    B, N, D = y.shape
    qkv = ops.linear(y, **p["qkv"]).reshape(B, N, 3, heads, D // heads)
    q, k, v = map(see, ("attn.q", "attn.k", "attn.v"), qkv.transpose(2, 0, 3, 1, 4))  # each (B,H,N,K)
    probs = see("attn.probs", ops.softmax(ops.scores(q, k)))
    z = see("attn.z", ops.mix(probs, v))
    return see("attn.out", ops.linear(z.transpose(0, 2, 1, 3).reshape(B, N, D), **p["out"]))


def mlp(y, p, config, ops, see):
    # y (B,N,D) -> (B,N,D)
    hidden = see("mlp.pre", ops.linear(y, **p["fc1"]))
    return see("mlp.out", ops.linear(see("mlp.act", ops.gelu(hidden, config.gelu)), **p["fc2"]))


def block(x, p, config, ops, see):
    # x (B,N,D) -> (B,N,D): read a normalised copy, add the result
    y = see("ln1.out", ops.layernorm(x, **p["ln1"], eps=config.eps))
    x = see("resid_mid", x + attention(y, p["attn"], config.heads, ops, see))  # eq. 2
    y = see("ln2.out", ops.layernorm(x, **p["ln2"], eps=config.eps))
    return see("resid_post", x + mlp(y, p["mlp"], config, ops, see))  # eq. 3


def vit(params, images, config, ops, block=block):
    # images (B,h,w,3) -> {name: tensor}, the last of which is logits (B,C)
    seen = {}

    def see(name, x, inside=""):
        seen[inside + name] = x
        return x

    e = params["embed"]
    x = see("embed.patches", ops.patch_embed(images, e["w"], e["b"]))
    x = see("embed.tokens", ops.prepend(x, e["prefix"]))
    x = see("embed.out", x + e["position"])  # eq. 1
    for i, p in enumerate(params["blocks"]):
        x = block(x, p, config, ops, lambda name, x, i=i: see(name, x, f"block{i}."))
    y = see("final.norm", ops.layernorm(x, **params["norm"], eps=config.eps))  # eq. 4
    see("logits", ops.linear(see("head.pooled", ops.pool(y, "token", 1)), **params["head"]))  # token 0: the class token
    return seen


# %% [markdown]
# **Question 1.** How many times is something *added* to the stream of this model on the way from z₀ to z_L, its last
# block's output? (The last cell of section 1 printed how many blocks there are.)

# %%
answer = ...
### BEGIN SOLUTION
answer = 2 * config.blocks
### END SOLUTION
hints = {config.blocks: "each block adds twice", 2 * config.blocks + 1: "the positions are in z₀ already"}
check(answer, 2 * config.blocks, hints)

# %% [markdown]
# ## 3 · What the plus is for
#
# Two of those lines have an `x +` in front, and it is easily taken for a detail. Run the bundled model, which has been
# trained, in *your* thirty lines, and take things out.
#
# > **Predict.** What becomes of P(ship) if block 2 is skipped as a whole, so that block 3 reads what was meant for
# > block 2? And if all blocks are there, but without the plus: `x = attention(…)`, `x = mlp(…)`?

# %%
trained = minivit.load(dtype="float64")
sea = trained.preprocess(ship.draw(32))


def p_ship(changed_block):
    """The probability of "ship" when the trained model runs with other blocks."""
    logits = vit(trained.params, sea, trained.config, ops, changed_block)["logits"]
    return ops.softmax(logits)[0, trained.labels.index("ship")]


def scaled(number, a, m):
    """Our block, but in block `number` attention is multiplied by a and the MLP by m."""

    def changed(x, p, config, ops, see):
        here = p is trained.params["blocks"][number]
        y = ops.layernorm(x, **p["ln1"], eps=config.eps)
        x = x + (a if here else 1) * attention(y, p["attn"], config.heads, ops, see)
        y = ops.layernorm(x, **p["ln2"], eps=config.eps)
        return x + (m if here else 1) * mlp(y, p["mlp"], config, ops, see)

    return changed


def without_plus(x, p, config, ops, see):
    x = attention(ops.layernorm(x, **p["ln1"], eps=config.eps), p["attn"], config.heads, ops, see)
    return mlp(ops.layernorm(x, **p["ln2"], eps=config.eps), p["mlp"], config, ops, see)


assert np.allclose(vit(trained.params, sea, trained.config, ops)["logits"], trained.run(sea), rtol=0, atol=1e-12)
print(f"P(ship): {p_ship(block):.3f} with all blocks as they are, {p_ship(without_plus):.3f} without the plus")
left_out = {"no attention": (0, 1), "no MLP": (1, 0), "neither: skipped": (0, 0)}
answers = [[p_ship(scaled(i, *by)) for i in range(trained.config.blocks)] for by in left_out.values()]
title = "P(ship) if one block lacks its attention, its MLP, or both"
panels.row(panels.matrix(np.array(answers), title, "which block", fmt="{:.2f}", rows=list(left_out)), height=2.2)

# %% [markdown]
# Where the number has hardly changed, the model does without that part: the others find in the stream nearly all that
# they expect, because the stream passes *through*. Where it falls, nobody else does the work of this part. (One
# picture does not say that a part is useless; it says that this answer does not hang on it.)
#
# Without the plus nothing passes through. Each block would have to hand over everything that later ones need, and these
# blocks have never learnt to.
#
# ## 4 · The name map
#
# Now the proof. First, Google's numbers must get into our arrays. Here is one block in the official file:

# %%
if theirs:
    for name in sorted(theirs):
        if "encoderblock_0" in name:
            print(f"{theirs[name].shape!s:14} {name}")

# %% [markdown]
# There, the projections of queries, keys and values are three arrays, with heads as an axis of their own. Ours is one
# matrix, `attn.qkv.w`, whose columns are (q, k, v), then head, then number within the head (lesson 04).
#
# **Question 2.** D = 96, three heads of K = 32. What is the shape of our `attn.qkv.w`? Answer with a pair.

# %%
answer = ...
### BEGIN SOLUTION
answer = (96, 288)
### END SOLUTION
check(
    answer, (96, 288), {(96, 96): "that is one of three", (288, 96): "x @ w: rows are what comes in (PyTorch turns it)"}
)

# %% [markdown]
# The map takes every official array exactly once and in the end looks at what is left. This is worth more than it
# seems: a loader that ignores what it does not know will, one day, load half a model and say nothing.


# %%
def from_official(theirs, blocks):
    """Our tree of parameters; every official array is used, or the loader names those that were not."""
    left = dict(theirs)

    def side_by_side(layer, leaf):
        parts = [left.pop(f"{layer}/{name}/{leaf}") for name in ("query", "key", "value")]
        return np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], axis=-1)

    flat = {"embed.w": left.pop("embedding/kernel"), "embed.b": left.pop("embedding/bias")}
    flat["embed.prefix"] = left.pop("cls")
    flat["embed.position"] = left.pop("Transformer/posembed_input/pos_embedding")
    for i in range(blocks):
        b, here = f"Transformer/encoderblock_{i}", f"blocks.{i}"
        a, m = f"{b}/MultiHeadDotProductAttention_1", f"{b}/MlpBlock_3"
        flat[f"{here}.attn.qkv.w"] = side_by_side(a, "kernel")
        flat[f"{here}.attn.qkv.b"] = side_by_side(a, "bias")
        flat[f"{here}.attn.out.w"] = left.pop(f"{a}/out/kernel").reshape(config.width, config.width)
        flat[f"{here}.attn.out.b"] = left.pop(f"{a}/out/bias")
        for mine, name in (("ln1", "LayerNorm_0"), ("ln2", "LayerNorm_2")):
            flat |= {f"{here}.{mine}.{leaf}": left.pop(f"{b}/{name}/{leaf}") for leaf in ("scale", "bias")}
        for mine, name in (("fc1", "Dense_0"), ("fc2", "Dense_1")):
            flat[f"{here}.mlp.{mine}.w"] = left.pop(f"{m}/{name}/kernel")
            flat[f"{here}.mlp.{mine}.b"] = left.pop(f"{m}/{name}/bias")
    flat |= {f"norm.{leaf}": left.pop(f"Transformer/encoder_norm/{leaf}") for leaf in ("scale", "bias")}
    flat |= {"head.w": left.pop("head/kernel"), "head.b": left.pop("head/bias")}
    assert not left, f"not used: {sorted(left)}"
    return parameters.nest(flat)


weights = ops.prepare(from_official(theirs, config.blocks) if theirs else model.params)  # in float64
flat = parameters.flatten(weights)
assert {name: x.shape for name, x in flat.items()} == parameters.shapes(config)
print(f"{sum(x.size for x in flat.values()):,} numbers, each at its place")

parts = {"patches, positions": "embed", "attention": "attn", "MLPs": "mlp", "LayerNorms": "ln|^norm", "head": "head"}
sizes = [sum(x.size for name, x in flat.items() if re.search(part, name)) for part in parts.values()]
assert sum(sizes) == parameters.count(config)
panels.row(panels.bars(list(parts), sizes, "where the weights of this model are", "numbers", fmt="{:,.0f}"), height=2)

# %% [markdown]
# Run it once and walk through. Each number below is one `see` of the thirty lines: find them there, one after the
# other. (The later blocks repeat steps 4 to 16.)

# %%
mine = vit(weights, images, config, ops)
walk = [name for name in mine if not name.startswith("block") or name.startswith("block0.")]
for step, name in enumerate(walk, 1):
    print(f"{step:3d}. {name:17} {mine[name].shape!s:16} {names.of(config)[name].meaning}")

# %% [markdown]
# ## 5 · All green
#
# Your thirty lines in float64 against the official float32. A tensor passes if its largest error is below 2e-5 of its
# largest number: that is room for a few hundred roundings of float32, and less than a mistake of meaning costs.
#
# > **Predict.** How many of the tensors pass at the first attempt? And how many digits will agree in the first block,
# > and in the last?

# %%
ROWS = ["ln1.out", "attn.q", "attn.k", "attn.v", "attn.probs", "attn.z", "attn.out", "resid_mid"]
ROWS += ["ln2.out", "mlp.pre", "mlp.act", "mlp.out", "resid_post"]
BEFORE, AFTER = ["embed.patches", "embed.tokens", "embed.out"], ["final.norm", "head.pooled", "logits"]


def verdicts(params, ops=ops):
    """The table of verdicts on our thirty lines with those parameters and parts; only tensors that both have."""
    mine = vit(params, images, config, ops)
    return Trace(mine).diff({name: official[name] for name in mine if name in official})


def verdict_map(table, title, digits=True, rows=True):
    """A panel: a column per block, a row per tensor; green agrees, red does not; the numbers are right digits."""
    columns = [BEFORE, *([f"block{i}.{row}" for row in ROWS] for i in range(config.blocks)), AFTER]
    found = {row["name"]: row for row in table.rows}

    def draw(ax):
        for x, y, name in ((x, y, name) for x, column in enumerate(columns) for y, name in enumerate(column)):
            good = found[name]["ok"]
            ax.fill_between((x + 0.03, x + 0.97), y + 0.06, y + 0.94, color=panels.LINES[3] if good else panels.MARK)
            right = min(16, -np.log10(max(found[name]["error"], 1e-16)))
            text = f"{right:.1f}" if digits else "" if good else "×"
            if not name.startswith("block"):
                text = f"{name}  {text}" if digits else name.partition(".")[2] or name
            style = {"fontsize": 8 if digits else 6, "color": "black" if good else "white"}
            ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", **style)
        ax.set(xlim=(0, len(columns)), ylim=(len(ROWS), 0))
        ax.set_yticks(np.arange(len(ROWS)) + 0.5, ROWS if rows else [""] * len(ROWS), fontsize=8)
        names = ["before", *(f"block {i}" if digits else str(i) for i in range(config.blocks)), "after"]
        ax.set_xticks(np.arange(len(columns)) + 0.5, names, fontsize=8 if digits else 6)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_title(title, fontsize=9)

    return draw


green = verdicts(weights)
print(sum(row["ok"] for row in green.rows), "of", len(green.rows), "tensors agree;", green.footer)
panels.row(verdict_map(green, "our thirty lines and the official program: right digits"), height=4.4)

# %% [markdown]
# **Every tensor of two programs that share no line of code.** About six digits are all there can be: float32 has
# seven, and the official program rounds in each step. (`print(green)` shows the table with the errors. On the command
# line, `minivit check` does the same for all golden cases, and for *your* program's tensors with `--against`.)
#
# The official code was also run in float64. There, rounding is no excuse:

# %%
if not case:
    print("only with a golden case")
else:
    truth = {name.removesuffix("__f64"): x for name, x in np.load(case / "tensors.npz").items() if "__f64" in name}
    for name, x in truth.items():
        print(f"{name:14} off by {abs(mine[ours(name, config)] - x).max() / abs(x).max():.0e}")

# %% [markdown]
# ### Four culprits
#
# Now the table must show what it is good for: it has to turn red. Four people, four mistakes. Their maps are below, in
# another order.
#
# 1. takes GELU with erf;
# 2. divides the variance by n − 1;
# 3. has exchanged queries and keys in block 1, in the name map (same shape, so no loader complains);
# 4. reads the last token instead of the class token in front of the head.
#
# **Question 3.** Whose are maps A, B, C and D? Find the *first* red square of each map, in the order of computation:
# down a column, then on to the next. Answer with four digits, the first for map A, such as `"1234"`.


# %%
def unbiased(x, scale, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.square(centred).sum(-1, keepdims=True) / (x.shape[-1] - 1) + eps) * scale + bias


def exchanged(params, number):
    """The parameters with the columns of queries and keys exchanged in one block."""
    flat = dict(parameters.flatten(params))
    for leaf in ("w", "b"):
        q, k, v = np.split(flat[f"blocks.{number}.attn.qkv.{leaf}"], 3, axis=-1)
        flat[f"blocks.{number}.attn.qkv.{leaf}"] = np.concatenate([k, q, v], axis=-1)
    return parameters.nest(flat)


culprits = {
    "1": (weights, ops.replace(gelu=lambda x, kind: ops.gelu(x, "erf"))),
    "2": (weights, ops.replace(layernorm=unbiased)),
    "3": (exchanged(weights, 1), ops),
    "4": (weights, ops.replace(pool=lambda y, how, prefix: y[:, -1])),
}
hidden = np.random.default_rng(5).permutation(list(culprits))
tables = {letter: verdicts(*culprits[who]) for letter, who in zip("ABCD", hidden, strict=True)}
panels.row(*(verdict_map(t, letter, digits=False, rows=letter == "A") for letter, t in tables.items()), height=3.2)

# %%
answer = ...
### BEGIN SOLUTION
answer = "".join(hidden)
### END SOLUTION
check(answer, "".join(hidden), {"1234": "they are shuffled; begin with the map that is green to the very end"})

# %% [markdown]
# This is the whole method. *After* the first red square nothing means anything: nearly everything was made from wrong
# numbers. *Before* it everything is proved to be right. So the mistake is between the last green and the first red
# tensor, and that is one line of code.
#
# Not one of them raised an error, and nobody looked at the answer.
#
# ## 6 · One number
#
# The thief takes one number from one of the large matrices of the blocks and adds 0.05. The cell does not look at
# which.


# %%
def robbed(params, seed):
    """A copy of the parameters with one number of one matrix changed, and where: (parameters, (name, row, column))."""
    thief = np.random.default_rng(seed)
    flat = dict(parameters.flatten(params))
    name = thief.choice([n for n in flat if n.startswith("blocks") and n.endswith(".w")])
    changed = flat[name].copy()
    row, column = (int(thief.integers(size)) for size in changed.shape)
    changed[row, column] += 0.05
    return parameters.nest({**flat, name: changed}), (name, row, column)


loot, secret = robbed(weights, seed=3)  # any seed you like
wrong = vit(loot, images, config, ops)
before = vit(weights, images, config, ops)["logits"]
candidates = sum(x.size for name, x in flat.items() if name.startswith("blocks") and name.endswith(".w"))
print(f"one of {candidates:,} numbers is wrong")
print("the model's answers before:", before.argmax(1), " and now:", wrong["logits"].argmax(1))

# %% [markdown]
# > **Predict.** You will see the map in a moment. Down to which tensor will it be green, if the thief was in
# > `mlp.fc1` of block 1? And what does the *error* of the first red tensor look like: spread over all numbers, or
# > not?

# %%
red = verdicts(loot)
suspect = red.first
print("the first tensor that differs:", suspect)

# in:  what the matrix reads (tokens, I);  out: what it makes (tokens, O)
READS = {"attn.q": "ln1.out", "attn.k": "ln1.out", "attn.v": "ln1.out"}
READS |= {"attn.out": "attn.z", "mlp.pre": "ln2.out", "mlp.out": "mlp.act"}


def rows_of(tensor):
    """(tokens, numbers): all images below each other, heads side by side."""
    if tensor.ndim == 4:
        tensor = tensor.swapaxes(1, 2)  # (B,H,N,K) -> (B,N,H,K)
    return tensor.reshape(tensor.shape[0] * tensor.shape[1], -1)


number, _, tensor = suspect.partition(".")
read = rows_of(wrong[f"{number}.{READS[tensor]}"])  # still right: it was made before the theft was felt
error = rows_of(wrong[suspect]) - rows_of(official[suspect])
panels.row(
    verdict_map(red, "red begins where the thief was", digits=False),
    panels.heat(error, f"the error of {suspect}", "its numbers", "tokens of all images"),
    widths=(2, 3),
    height=3.4,
)

# %% [markdown]
# One column. The reason is one line of algebra. If w gets a change δ at place (i, j), then
#
# $$y' = x\,(w + \delta\, e_i e_j^\top) + b = y + \delta\; x_{\cdot i}\; e_j^\top$$
#
# so only number *j* of each token changes, by **δ times number *i* of what was read**. The column tells j. And the
# *form* of the error, over all tokens, tells i: it is a copy of one column of the input.
#
# **Question 4.** If the thief had changed number *j* of the *bias* b instead: how many different values (but for
# rounding) would you see in the error's column?

# %%
answer = ...
### BEGIN SOLUTION
answer = 1
### END SOLUTION
check(answer, 1, {0: "b is added to every token", len(error): "the bias does not depend on the token"})

# %% [markdown]
# > **Predict.** How many columns of the input will look like the error: one, or several?

# %%
j = int(abs(error).max(0).argmax())
fingerprint = error[:, j]
likeness = abs(read.T @ fingerprint) / (np.linalg.norm(read, axis=0) * np.linalg.norm(fingerprint) + 1e-30)  # |cosine|
i = int(likeness.argmax())
delta = read[:, i] @ fingerprint / (read[:, i] @ read[:, i])  # least squares

panels.row(
    panels.curves(
        np.arange(len(likeness)), {"|cosine|": likeness}, "which input column looks like the error?", "input"
    ),
    panels.curves(
        np.arange(len(fingerprint)),
        {f"the error of number {j}": fingerprint, f"input {i}, times {delta:.4f}": delta * read[:, i]},
        "they are the same curve",
        "token",
    ),
    height=2.8,
)

# %% [markdown]
# Now the number can be named, and put back.

# %%
part, offset = tensor, 0
if tensor in ("attn.q", "attn.k", "attn.v"):
    part, offset = "attn.qkv", ("attn.q", "attn.k", "attn.v").index(tensor) * config.width
where = f"blocks.{number.removeprefix('block')}.{ {'mlp.pre': 'mlp.fc1', 'mlp.out': 'mlp.fc2'}.get(part, part) }.w"
print(f"accused:   {where}[{i}, {offset + j}], too large by {delta:.6f}")
print(f"the thief: {secret[0]}[{secret[1]}, {secret[2]}]")
assert (where, i, offset + j) == secret

restored = dict(parameters.flatten(loot))
restored[where] = restored[where].copy()
restored[where][i, offset + j] -= delta
print(f"put back: {restored[where][i, offset + j]:.6f}, it was {flat[where][i, offset + j]:.6f}")
print(verdicts(parameters.nest(restored)).footer)

# %% [markdown]
# **One number among hundreds of thousands, found and repaired without the right file.** What made it possible is not
# cleverness: it is that every tensor has a name and somebody to be compared with. Try other seeds. Some thefts are
# hard to hear: which ones, and why do more tokens help?
#
# **Optional, with official weights.** The same thirty lines with the weights of DeiT-tiny, 5.7 million numbers, twelve
# blocks, and a painted balloon (class 417).

# %%
deit = deit_tiny(dtype="float64")
if deit:
    balloon = deit.preprocess(picture.draw())
    tensors = vit(deit.params, balloon, deit.config, deit.ops)
    table = Trace(tensors).diff(deit.trace(balloon, keep=list(tensors)), tolerance=1e-12)
    print(*deit.top(tensors["logits"][0], 3), sep="  ")
    print(len(table.rows), "tensors beside minivit's:", table.footer)

# %% [markdown]
# ## What you have now
#
# * A ViT in thirty lines, equal to the official one in every tensor, down to rounding.
# * A loader that uses every number once, or says which it did not use.
# * A way to search: first red tensor, then the column, then the form of the error.
#
# **Assignment A4** asks for the model from a blank page; your functions run inside the whole of it and are judged as
# in this lesson. Each is checked on its own:
#
# ```python
# from minivit.course import check as grade
#
# grade("A4.2", block)  # A4.1: mlp, A4.3: embed, A4.4: forward
# ```
#
# Try next: `golden_case("vit__patch8")`; move LayerNorm behind the plus ("post-norm", the original Transformer) and
# read the map; change *two* numbers.
