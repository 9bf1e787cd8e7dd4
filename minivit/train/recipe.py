"""A recipe is everything that decides what a training run gives, apart from the pictures: one frozen record.

    recipe = dataclasses.replace(PRESETS["cifar10"], epochs=10, warmup=500, seed=1)

It is saved as JSON with the run.  The same recipe, pictures and tier give the same numbers, bit for bit.
"""

from dataclasses import dataclass, field, fields

from .. import records
from ..config import HybridConfig, MixerConfig, ViTConfig
from ..data import Augment
from ..errors import InputError, nearest
from .muon import Muon
from .optimiser import BUFFERS, SGD, AdamW
from .schedule import DECAYS
from .start import INITIALS

OPTIMISERS = ("sgd", "adamw", "muon")
CHOICES = {"initial": INITIALS, "optimiser": OPTIMISERS, "buffer": BUFFERS, "decay": DECAYS}


def _about(default, text):
    # a field whose meaning the command line can tell
    return field(default=default, metadata={"about": text})


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of a run; what they mean stands behind each, and in `minivit train --help`.

    Raises InputError for a value that is not possible, or that the chosen optimiser does not use.
    """

    model: ViTConfig | HybridConfig | MixerConfig | None = None  # None: that of the checkpoint that is fine-tuned
    epochs: int | None = _about(None, "how often every picture is seen (or give steps)")
    steps: int | None = _about(None, "how many batches are seen (or give epochs)")
    batch: int = _about(128, "pictures per step")
    parts: int = _about(1, "pieces that a batch is cut into, so that its tensors fit in memory")
    initial: str = _about("vit_jax", "first parameters of a model from scratch: vit_jax or mimetic")
    optimiser: str = _about("adamw", "sgd, adamw or muon")
    momentum: float = _about(0.9, "momentum of sgd")
    buffer: str = _about("bfloat16", "numbers of the momentum: bfloat16 (official), float32, float64")
    betas: tuple[float, float] = (0.9, 0.999)  # decay of adamw's averages of the gradient and of its square
    eps: float = 1e-8  # keeps adamw from dividing by zero
    weight_decay: float = _about(0.0, "pull of adamw and muon on weight matrices")
    rate: float = _about(1e-3, "largest learning rate")
    warmup: int = _about(0, "steps until the learning rate has risen to it")
    decay: str = _about("cosine", "how the learning rate falls: cosine or linear")
    clip: float | None = _about(1.0, "largest norm of the gradient")
    smoothing: float = _about(0.0, "label smoothing: share of the target that goes to all classes alike")
    dropout: float = _about(0.0, "probability that a number is dropped")
    attention_dropout: float = _about(0.0, "probability that an attention weight is dropped")
    stochastic_depth: float = _about(0.0, "probability that the last block is skipped; less for earlier ones")
    mixup: float = _about(0.0, "alpha of mixup, 0 for none")
    cutmix: float = _about(0.0, "alpha of cutmix, 0 for none")
    augment: Augment = field(default=Augment())  # random changes of the pictures
    average: float | None = _about(None, "decay of the moving average of the parameters that is tested and kept")
    seed: int = _about(0, "of the first parameters, the order of the pictures and everything else random")

    def __post_init__(self):
        records.check(self)
        if (self.epochs is None) == (self.steps is None):
            raise InputError(f"epochs is {self.epochs} and steps is {self.steps}, expected exactly one of them")
        for names, low, high, what in RANGES:
            for name in names:
                value = getattr(self, name)
                if value is not None and not low <= value < high:
                    raise InputError(f"{name} is {value:g}, expected {what}")
        if not 0 < self.eps < 1 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"eps is {self.eps:g} and betas are {self.betas}, expected small eps, betas in [0, 1)")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(f"unknown {name} {getattr(self, name)!r}{nearest(getattr(self, name), known)}")
        if self.optimiser == "sgd" and self.weight_decay:
            raise InputError(f"weight_decay is {self.weight_decay:g}, but sgd has none; use adamw, or 0")
        if self.parts > self.batch:
            raise InputError(f"parts is {self.parts}, more than the {self.batch} pictures of a batch")

    def total(self, steps_per_epoch):
        """The number of steps of the run.  Raises InputError if the warm-up takes them all."""
        total = self.steps or self.epochs * steps_per_epoch
        if self.warmup >= total:
            raise InputError(f"warmup is {self.warmup} steps, but the run has only {total}; choose fewer (--warmup)")
        return total

    def optimiser_for(self, vector):
        """The optimiser, which needs to know which numbers of the Vector weight decay acts on."""
        if self.optimiser == "sgd":
            return SGD(self.momentum, self.buffer)
        adamw = AdamW(self.betas, self.eps, self.weight_decay, tuple(vector.matrices()))
        return Muon(tuple(vector.block_matrices()), adamw) if self.optimiser == "muon" else adamw


#: fields, from, below, what that is in words
RANGES = (
    (("epochs", "steps", "batch", "parts"), 1, records.LARGEST, "a number from 1"),
    (("warmup", "seed"), 0, records.LARGEST, "a number from 0"),
    (("rate", "clip"), 1e-12, records.LARGEST, "a positive number"),
    (("weight_decay", "mixup", "cutmix"), 0, records.LARGEST, "a number from 0"),
    (("momentum", "smoothing", "average"), 0, 1, "at least 0 and below 1"),
    (("dropout", "attention_dropout", "stochastic_depth"), 0, 1, "a probability of at least 0 and below 1"),
)


def first_difference(mine, other):
    """The name of the first field in which two recipes differ, None if they are equal: "batch", "model.width"."""
    for item in fields(mine):
        a, b = getattr(mine, item.name), getattr(other, item.name)
        if a != b:
            same_kind = type(a) is type(b) and hasattr(a, "__dataclass_fields__")
            return f"{item.name}.{first_difference(a, b)}" if same_kind else item.name
    return None


def options():
    """{field: (type, what it means)} of everything that the command line can change."""
    kinds = {item.name: records.options(item.type)[0] for item in fields(Recipe)}
    return {f.name: (kinds[f.name], f.metadata["about"]) for f in fields(Recipe) if "about" in f.metadata}
