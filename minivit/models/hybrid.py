"""The hybrid (arXiv:2010.11929 §3.1): a ResNet makes a small map of features, a Vision Transformer reads its cells.

The ResNet is that of vit_jax/models_resnet.py: version 1.5 (a unit's 3×3 convolution has the stride), every weight
standardised before it is used, GroupNorm in the place of BatchNorm.  What follows it is vit.py.
"""

from ..trace import NO_TAP
from . import vit
from .fusion import fusable


def forward(params, images, config, ops, tap=NO_TAP):
    # images (B,h,w,c) -> logits (B,C), or the feature (B,D) without a head; (B,N,C) if unpooled
    images = tap("image", images)
    features = stem(params["stem"], images, config, ops, tap.inside("stem"))
    x = vit.embed(params["embed"], features, config, ops, tap.inside("embed"))
    x = vit.encoder(params["blocks"], x, config, ops, tap)
    return vit.head(params, x, config, ops, tap)


@fusable("stem")
def stem(p, images, config, ops, tap):
    # images (B,h,w,c) -> (B,rows,columns,channels); lower-case h and w below are those of the map at hand
    x = tap("conv", conv(p["conv"], images, 2, config, ops))
    x = tap("norm", norm(p["norm"], x, config, ops))
    x = tap("pool", ops.max_pool(ops.relu(x), 3, 2))
    for stage, i, member, stride in units(p):
        x = unit(member, x, stride, config, ops, tap.inside(f"stage{stage}.unit{i}"))
    return x


def unit(p, x, stride, config, ops, tap):
    # x (B,h,w,c) -> (B,⌈h/stride⌉,⌈w/stride⌉,4f): down to f channels, 3×3, up to 4f, beside a shortcut
    shortcut = x
    if "proj" in p:
        shortcut = tap("proj", conv(p["proj"], x, stride, config, ops))
        shortcut = tap("proj_norm", norm(p["proj_norm"], shortcut, config, ops))
    y = tap("conv1", conv(p["conv1"], x, 1, config, ops))
    y = ops.relu(tap("norm1", norm(p["norm1"], y, config, ops)))
    y = tap("conv2", conv(p["conv2"], y, stride, config, ops))
    y = ops.relu(tap("norm2", norm(p["norm2"], y, config, ops)))
    y = tap("conv3", conv(p["conv3"], y, 1, config, ops))
    y = tap("norm3", norm(p["norm3"], y, config, ops))
    return tap("out", ops.relu(shortcut + y))


def conv(p, x, stride, config, ops):
    # x (B,h,w,c) -> (B,⌈h/stride⌉,⌈w/stride⌉,O)
    w = ops.standardise(p["w"], config.stem.weight_eps, config.stem.weight_eps_on)
    return ops.conv(x, w, stride)


def norm(p, x, config, ops):
    # x (B,h,w,c) -> (B,h,w,c)
    return ops.groupnorm(x, p["scale"], p["bias"], config.stem.groups, config.stem.norm_eps)


def units(p):
    """(stage, number in it, parameters, stride) of each unit: the first of every stage but the first halves the map."""
    for stage, members in enumerate(p.get("stages", ())):
        for i, member in enumerate(members):
            yield stage, i, member, 2 if stage and not i else 1
