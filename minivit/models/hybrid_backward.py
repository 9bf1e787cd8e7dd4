"""The hybrid backwards: the Vision Transformer as in vit_backward.py, then every function of hybrid.py in reverse.

Gradients go through the standardised weights to those that are learned.
"""

from ..trace import NO_TAP
from . import vit_backward
from .hybrid import units
from .vit_backward import made

#: What the backward pass reads again, and whose own output (see vit_backward.py); names of a unit without its place
READ = vit_backward.READ | {
    *("stem.conv", "stem.norm", "stem.pool"),
    *("proj", "conv1", "norm1", "conv2", "norm2", "conv3", "out"),
}
OUTPUTS = vit_backward.OUTPUTS | {"stem.pool", "out"}


def backward(params, saved, dout, config, ops, tap=NO_TAP):
    # dout like what `forward` gave -> gradients, a tree like params, and dimages (B,h,w,c)
    last = saved[f"block{config.blocks - 1}.resid_post"]
    dx, grads = vit_backward.head(params, last, saved, dout, config, ops, tap)
    dx, grads["blocks"] = vit_backward.encoder(params["blocks"], saved, dx, config, ops, tap)
    features = saved[maps(params["stem"])[-1]]
    dx, grads["embed"] = vit_backward.embed(params["embed"], features, dx, config, ops, tap.inside("embed"))
    dimages, grads["stem"] = stem(params["stem"], saved, dx, config, ops, tap.inside("stem"))
    return {name: grads[name] for name in params}, tap("image", dimages)


def maps(p):
    """The names of what each unit reads, and of what the last one gives."""
    return ["stem.pool", *(f"stem.stage{stage}.unit{i}.out" for stage, i, _, _ in units(p))]


def stem(p, saved, dout, config, ops, tap):
    # dout (B,rows,columns,channels) -> dimages (B,h,w,c)
    stages = [[None] * len(members) for members in p.get("stages", ())]
    for (stage, i, member, stride), x in reversed(list(zip(units(p), maps(p), strict=False))):
        name = f"stage{stage}.unit{i}"
        inside = {key.removeprefix(f"stem.{name}."): kept for key, kept in saved.items()}
        dout, stages[stage][i] = unit(member, saved[x], stride, inside, dout, config, ops, tap.inside(name))
    root = {name: saved[f"stem.{name}"] for name in ("conv", "norm")}
    y = ops.relu(root["norm"])
    dy = ops.backward.max_pool(tap("pool", dout), y, made(saved, "stem.pool"), 3, 2)
    dimages, grads = layer(p, "conv", "norm", saved["image"], 2, root, ops.backward.relu(dy, y), config, ops, tap)
    return dimages, {**grads, "stages": stages} if stages else grads


def unit(p, x, stride, saved, dout, config, ops, tap):
    # x (B,h,w,c), dout (B,⌈h/stride⌉,⌈w/stride⌉,4f) -> dx (B,h,w,c); a sum hands its gradient on to both terms
    dout = ops.backward.relu(tap("out", dout), made(saved, "out"))
    y1, y2, grads = ops.relu(saved["norm1"]), ops.relu(saved["norm2"]), {}
    dy, grads[3] = layer(p, "conv3", "norm3", y2, 1, saved, dout, config, ops, tap)
    dy, grads[2] = layer(p, "conv2", "norm2", y1, stride, saved, ops.backward.relu(dy, y2), config, ops, tap)
    dx, grads[1] = layer(p, "conv1", "norm1", x, 1, saved, ops.backward.relu(dy, y1), config, ops, tap)
    if "proj" in p:
        dout, grads[4] = layer(p, "proj", "proj_norm", x, stride, saved, dout, config, ops, tap)
    grads = {name: gradient for i in sorted(grads) for name, gradient in grads[i].items()}
    return dx + dout, grads


def layer(p, conv, norm, x, stride, saved, dy, config, ops, tap):
    # x (B,h,w,c), dy (B,⌈h/stride⌉,⌈w/stride⌉,O): of the normalised convolution of x -> dx (B,h,w,c)
    stem, scale = config.stem, p[norm]["scale"]
    settings = stem.weight_eps, stem.weight_eps_on
    dy, dscale, dbias = ops.backward.groupnorm(tap(norm, dy), saved[conv], scale, stem.groups, stem.norm_eps)
    dx, dw = ops.backward.conv(tap(conv, dy), x, ops.standardise(p[conv]["w"], *settings), stride)
    dw = ops.backward.standardise(dw, p[conv]["w"], *settings)
    return dx, {conv: {"w": dw}, norm: {"scale": dscale, "bias": dbias}}
