"""What a figure shows, once, in words and numbers: its foot and the JSON of `minivit look` are both made from this."""

from dataclasses import dataclass, field

import numpy as np

TOP = 5


@dataclass(frozen=True)
class Shown:
    """method and source: what was computed, and the paper; scale: how it is normalised and coloured; caution: what it
    does not say; settings: from (which token), layer, head, class, label, and numbers of the method; maps:
    {title: array}, as drawn; grid: (rows, columns) of patches.
    """

    method: str
    source: str
    scale: str
    maps: dict
    settings: dict = field(default_factory=dict)
    caution: str = ""
    grid: tuple = ()

    @property
    def note(self):
        """The foot of the figure."""
        return "\n".join(filter(None, (f"{self.said} ({self.source}).", self.scale, self.caution)))

    @property
    def said(self):
        """Method and settings in one line: "Attention rollout: from the class token, layer 11, mean of the heads"."""
        where = [self._setting(key) for key in ("from", "layer", "head", "class") if key in self.settings]
        return self.method + (": " + ", ".join(where) if where else "")

    def _setting(self, key):
        value = self.settings[key]
        if key == "class":
            label = self.settings["label"].split(",")[0]
            return label if label == f"class {value}" else f"class {value} “{label}”"
        return value if isinstance(value, str) and key != "from" else f"{key} {value}"

    def numbers(self):
        """The same for programs: words, and for each map its range, sum and largest values with their places."""
        words = {"method": self.method, "source": self.source, "settings": self.settings}
        maps = {title: self._summary(np.asarray(values)) for title, values in self.maps.items()}
        return {**words, "scale": self.scale, "caution": self.caution, "maps": maps}

    def _summary(self, values):
        flat = values.ravel().astype(np.float64)
        largest = np.argsort(-flat, kind="stable")[:TOP].tolist()
        top = [{"at": [int(i) for i in np.unravel_index(at, values.shape)], "value": flat[at].item()} for at in largest]
        if values.shape == tuple(self.grid):
            top = [{"patch": at, **place} for at, place in zip(largest, top, strict=True)]
        spread = {"min": flat.min().item(), "mean": flat.mean().item(), "max": flat.max().item()}
        return {"shape": list(values.shape), **spread, "sum": flat.sum().item(), "top": top}
