"""timm and the original DeiT: query, key and value are fused; the hub's files have timm's config.json beside them."""

from ..config import DEIT, SIZES, TIMM, VARIANTS
from ..errors import InputError
from . import preprocessors, timm_hybrid
from .found import Found
from .json_table import Table
from .rules import convolution, linear, same, tokens

PATCHES = "patch_embed.proj.weight"

#   ours                    theirs                                        their shape       turn
RULES = {
    "embed.w": (PATCHES, "D channels P P", convolution),
    "embed.b": ("patch_embed.proj.bias", "D", same),
    "embed.prefix": ("cls_token", "1 1 D", same),
    "embed.position": ("pos_embed", "1 N D", same),
    "blocks.*.ln1.scale": ("blocks.*.norm1.weight", "D", same),
    "blocks.*.ln1.bias": ("blocks.*.norm1.bias", "D", same),
    "blocks.*.attn.qkv.w": ("blocks.*.attn.qkv.weight", "3D D", linear),
    "blocks.*.attn.qkv.b": ("blocks.*.attn.qkv.bias", "3D", same),
    "blocks.*.attn.out.w": ("blocks.*.attn.proj.weight", "D D", linear),
    "blocks.*.attn.out.b": ("blocks.*.attn.proj.bias", "D", same),
    "blocks.*.ln2.scale": ("blocks.*.norm2.weight", "D", same),
    "blocks.*.ln2.bias": ("blocks.*.norm2.bias", "D", same),
    "blocks.*.mlp.fc1.w": ("blocks.*.mlp.fc1.weight", "M D", linear),
    "blocks.*.mlp.fc1.b": ("blocks.*.mlp.fc1.bias", "M", same),
    "blocks.*.mlp.fc2.w": ("blocks.*.mlp.fc2.weight", "D M", linear),
    "blocks.*.mlp.fc2.b": ("blocks.*.mlp.fc2.bias", "D", same),
    "norm.scale": ("norm.weight", "D", same),
    "norm.bias": ("norm.bias", "D", same),
    "representation.w": ("pre_logits.fc.weight", "R D", linear),
    "representation.b": ("pre_logits.fc.bias", "R", same),
    "head.w": ("head.weight", "C feature", linear),
    "head.b": ("head.bias", "C", same),
    "head_distill.w": ("head_dist.weight", "C feature", linear),
    "head_distill.b": ("head_dist.bias", "C", same),
}
#: DeiT with a distillation token.
DISTILLED = {"embed.prefix": ("cls_token|dist_token", "1 1 D", tokens)}
#: With average pooling the final norm acts on the pooled feature and has another name.
AVERAGE = {"norm.scale": ("fc_norm.weight", "D", same), "norm.bias": ("fc_norm.bias", "D", same)}
#: timm's name of an activation -> ours
ACTIVATIONS = {"gelu": "erf", "gelu_tanh": "tanh"}


def recognise(source):
    """What the file (and a config.json beside it) holds, or None if it is not of this layout."""
    arrays = source.arrays
    if PATCHES not in arrays:
        return None
    rules = rules_of("dist_token" in arrays, "fc_norm.weight" in arrays)
    found = Found("timm", "vit", source.file, arrays, rules)
    config = source.beside("config.json") or Table("config.json", {})
    pretrained = config.table("pretrained_cfg")
    found.fields = _sizes(found) | {"gelu": gelu_of(config.table("model_args"))}
    timm_hybrid.add_stem(found)
    _pool(found, config)
    _heads(found, config)
    _image(found, pretrained)
    if found.family == "hybrid":
        find_preprocess(found, pretrained, TIMM, "timm's way")
    else:
        found.family = _family(found, config)
        find_preprocess(found, pretrained, DEIT, "DeiT's way")
    found.labels = labels_of(found, config if "label_names" in config.values else pretrained)
    return found


def rules_of(distilled, average):
    """The table of a model with or without a distillation token, and with or without a norm after average pooling."""
    return RULES | (DISTILLED if distilled else {}) | (AVERAGE if average else {})


def gelu_of(arguments):
    """Our name of the activation in model_args.  Raises InputError for one that is not known here."""
    activation = arguments.get("act_layer", "gelu")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise arguments.wrong(f"act_layer {activation!r}, expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[activation]


def _sizes(found):
    arrays = found.arrays
    width, channels, patch, _ = found.dims(PATCHES, 4)
    return {
        "patch": patch,
        "channels": channels,
        "width": width,
        "blocks": found.count_blocks("blocks."),
        "mlp": found.dims("blocks.0.mlp.fc1.weight", 2)[0],
        "classes": found.dims("head.weight", 2)[0] if "head.weight" in arrays else None,
        "representation": found.dims("pre_logits.fc.weight", 2)[0] if "pre_logits.fc.weight" in arrays else None,
        "prefix": ("cls_token" in arrays) + ("dist_token" in arrays),
        "distilled_head": "head_dist.weight" in arrays,
        "norm_after_pool": "fc_norm.weight" in arrays,
        "qkv_bias": "blocks.0.attn.qkv.bias" in arrays,
        "eps": 1e-6,
        "position_resize": "bicubic_antialias_float32",
    }


def _pool(found, config):
    averages = found.fields["norm_after_pool"] or not found.fields["prefix"]
    pool = config.get("global_pool", "avg" if averages else "token")
    if pool in ("avg", "token"):
        found.fields["pool"] = "gap" if pool == "avg" else "token"
    else:
        found.needed["pool"] = f"global_pool {pool!r} in config.json is not known here"


def _heads(found, config):
    """No tensor tells the number of heads: config.json, a published size or the usual 64 numbers per head do."""
    fields, arguments = found.fields, config.table("model_args")
    published = {(width, blocks, mlp): heads for width, blocks, heads, mlp in SIZES.values()}
    size = fields["width"], fields["blocks"], fields["mlp"]
    if "num_heads" in arguments.values:
        fields["heads"] = arguments.whole("num_heads")
    elif size in published:
        fields["heads"] = published[size]
    elif fields["width"] and fields["width"] % 64 == 0:
        fields["heads"] = fields["width"] // 64
        guess = f"{fields['heads']} of 64 numbers each assumed (choose with heads=, --heads)"
        found.assumed["heads"] = f"the file does not say how many heads it has: {guess}"
    else:
        found.needed["heads"] = f"the file does not say how many heads its width of {fields['width']} has"


def _image(found, pretrained):
    found.image_from("pos_embed")
    image_of(found, pretrained)


def image_of(found, pretrained):
    """The image size as config.json tells it, where the number of patches does not."""
    size = pretrained.get("input_size")
    if "image" in found.needed and isinstance(size, list):  # not square: only the config can tell height from width
        found.fields["image"] = Table("config.json", {"input_size": size[1:]}).pair("input_size")
        del found.needed["image"]


def _family(found, config):
    architecture = config.get("architecture")
    if isinstance(architecture, str):
        return "deit" if architecture.startswith("deit") else "vit"
    sizes = ("patch", "width", "blocks", "mlp", "pool", "prefix")
    deit = [variant for name, variant in VARIANTS.items() if name.startswith("DeiT-")]
    published = any(all(getattr(variant, f) == found.fields.get(f) for f in sizes) for variant in deit)
    return "deit" if published or found.fields["prefix"] == 2 else "vit"


def find_preprocess(found, pretrained, usual, way):
    """Set what pretrained_cfg tells; where there is none, `usual`, called `way` in the warning."""
    if not pretrained.values:
        found.fields["preprocess"] = usual
        guess = f"{way} assumed (choose with preprocess=, --preprocess)"
        found.assumed["preprocess"] = f"the file does not say how to prepare images: {guess}"
        return
    try:
        found.fields["preprocess"] = preprocessors.timm(pretrained)
    except InputError as error:
        found.needed["preprocess"] = str(error)


def labels_of(found, config):
    """The label_names, or None.  Raises InputError if they are not one name per class."""
    names = config.get("label_names")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise config.wrong("label_names is not a list of names")
    if len(names) != found.fields["classes"]:
        raise config.wrong(f"{len(names)} label_names, but the head has {found.fields['classes']} classes")
    return tuple(names)
