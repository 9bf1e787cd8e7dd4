"""One style for all figures: its colours and sizes, and the finished figure itself.

Figures are made without pyplot, so that neither its backend nor its global state matters.  viridis from 0 for
quantities, purple to orange around 0 for signed numbers: both are safe for colour-blind readers.
"""

import io
import warnings

from ..files import replacing

WIDTH = 10  # inches
QUANTITY, SIGNED = "viridis", "PuOr_r"
INK, FAINT, MARK = "#222222", "#bbbbbb", "#d62728"
LINES = ("#31688e", "#e66101", "#5e3c99", "#35b779", "#222222", "#cc79a7", "#b8860b", "#56b4e9")


class Plot:
    """A finished figure: `figure` is matplotlib's; notebooks show it, `save(path)` writes it as PNG.

    shown: what it shows, for programs (see shown.py); None for figures made by hand.
    """

    def __init__(self, figure, shown=None):
        from matplotlib.text import Text

        self.figure, self.shown = figure, shown
        for text in figure.findobj(Text):
            text.set_parse_math(False)  # a label with dollar signs is no formula

    def save(self, path):
        """Write a PNG file.  Raises InputError if the place cannot be written."""
        with replacing(path) as temporary:
            temporary.write_bytes(self._repr_png_())

    def _repr_png_(self):
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")  # scripts that the font lacks are drawn as boxes
            self.figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
        return file.getvalue()


def new_figure(height):
    """An empty matplotlib figure, `height` inches high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return figure


def short(text, length):
    """The text, cut to so many characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def spread(values):
    """The range of values, for a label: "-2.1 … 3.4"."""
    return f"{values.min():.2g} … {values.max():.2g}"
