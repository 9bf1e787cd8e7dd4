"""Figures of what a model does with a picture, one line each: plots.rollout(model, "cat.jpg").

Every function takes a Model and one image (anything the model takes), and answers with a Plot: notebooks show it,
`.save(path)` writes it, `.shown` has the words and numbers behind it.  Common options: size (pixels), layer, head,
patch (a number, or (row, column)), target (a class, by index or label).  FIGURES lists them by name.
"""

from .plots_attention import attention, attention_figure, norm, rollout
from .plots_class import attribution, knockout, lens, relevance
from .plots_faithful import compare, deletion, randomisation
from .plots_heads import heads, merge
from .plots_layers import cka, distance, entropy
from .plots_tokens import filters, pca, positions, similarity
from .scene import colours

#: Every figure of one image by name, as `minivit look --map` takes it; `compare` is a command of its own
FIGURES = {
    figure.__name__: figure
    for figure in (
        *(attention, heads, merge, rollout, norm, relevance, lens, attribution, knockout),
        *(distance, entropy, cka, positions, filters, pca, similarity, deletion, randomisation),
    )
}


__all__ = [*FIGURES, "FIGURES", "attention_figure", "compare", "visible"]


def visible(trace):
    """The traced image as colours again, cut to whole patches as the model cuts it: (h,w,3), from 0 to 1."""
    return colours(trace["image"][0], trace.config)
