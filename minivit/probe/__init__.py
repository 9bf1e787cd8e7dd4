"""A linear probe: how much a frozen model's features tell about classes that it was never trained on.

    features x (n,D) -> logits x·w + b (n,C); only w and b are learnt

features.py takes them from the model's last blocks, fitting.py learns the map; the test images take no part in that.
"""

from .features import FEATURES, extract, pooled, select
from .fitting import METHODS, Probe, fit

__all__ = ["FEATURES", "METHODS", "Probe", "extract", "fit", "pooled", "select"]
