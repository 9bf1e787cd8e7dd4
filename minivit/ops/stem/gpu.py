"""The ResNet of a hybrid on the GPU: a convolution is one launch, what stands between two of them is three.

GroupNorm, the sum of both paths and ReLU are one pass (ops/groupnorm/gpu.py).  In models of float16 and bfloat16, it
writes maps in two halves, as the next convolution wants them (ops/conv/gpu_halves.py); what leaves the stem is float32.
"""

from ...gpu.formats import FLOAT32
from ...models.hybrid import units
from ..conv.gpu import conv, standardise
from ..groupnorm.gpu import normalised
from ..max_pool.gpu import pooled


def stem(p, images, config):
    # images (B,h,w,c) -> (B,rows,columns,channels)
    inner, members = p["conv"]["w"].format, list(units(p))
    x = step(p["conv"], p["norm"], images, 2, config.stem, relu=True)
    x = pooled(x, 3, 2, inner if members else FLOAT32)
    for n, (_, _, member, stride) in enumerate(members, 1):
        x = unit(member, x, stride, config.stem, inner, inner if n < len(members) else FLOAT32)
    return x


def unit(p, x, stride, settings, inner, output):
    # x (B,h,w,c) -> (B,⌈h/stride⌉,⌈w/stride⌉,4f), in the format `output`; inner: that of the maps in between
    shortcut = step(p["proj"], p["proj_norm"], x, stride, settings) if "proj" in p else x
    y = step(p["conv1"], p["norm1"], x, 1, settings, relu=True, output=inner)
    y = step(p["conv2"], p["norm2"], y, stride, settings, relu=True, output=inner)
    return step(p["conv3"], p["norm3"], y, 1, settings, relu=True, residual=shortcut, output=output)


def step(p, norm, x, stride, settings, **options):
    # x (B,h,w,c) -> (B,⌈h/stride⌉,⌈w/stride⌉,O): convolution, GroupNorm and what its last pass is asked to do
    y = conv(x, standardise(p["w"], settings.weight_eps, settings.weight_eps_on), stride)
    return normalised(y, norm["scale"], norm["bias"], settings.groups, settings.norm_eps, **options)
