"""A page that anyone can open: one HTML file to look inside a model, without a server or a network.

page = explore(model, "cat.jpg")     # shows itself in Jupyter Lab, VS Code and Colab
page.save("cat.html")                # point at a square, choose block, head and method: see explorer.js
"""

import base64
import html
import io
import json
from pathlib import Path
from string import Template
from urllib.parse import quote

from ..errors import InputError
from ..files import replacing
from ..names import no_attention
from .explorer_data import MERGES, asks_mean, name_of, record
from .explorer_methods import METHODS

PAGE = 24e6  # bytes of pictures on one page; more of them get several pages
HEIGHT = 900  # of the frame in a notebook, in pixels
PREFIX = ("class token", "distillation token")
EXACT = (
    "Maps are kept as one byte per square, in steps of 1/127 of the largest of the row: a number is off by at most "
    "half a step. What tokens beside the picture receive, the path and the table of answers are not rounded."
)


class Explorer:
    """A finished page: `html` is its text, `left_out` what it lacks; notebooks show it, `save(path)` writes a file."""

    def __init__(self, text, png, left_out):
        # a file name may hold what UTF-8 cannot: it becomes a question mark
        self.html, self.png, self.left_out = text.encode("utf-8", "replace").decode(), png, left_out

    def save(self, path):
        """Write the HTML file.  Raises InputError if the place cannot be written."""
        with replacing(path) as temporary:
            temporary.write_bytes(self.html.encode())

    def _repr_mimebundle_(self, include=None, exclude=None):
        # a page of its own inside the notebook's, so that neither disturbs the other
        style = f"width:100%;height:{HEIGHT}px;border:1px solid #8886;border-radius:8px"
        frame = f'sandbox="allow-scripts" style="{style}" title="minivit explorer"'
        text = f'<iframe {frame} srcdoc="{html.escape(self.html)}"></iframe>'
        return {"text/html": text, "image/png": base64.b64encode(self.png).decode()}


def explore(model, images, size=None):
    """An Explorer of one picture, or of a list of them with a chooser.

    images: as Model takes them; size: (height, width) in pixels.  Raises InputError for a model without attention,
    and for more pictures than one page can hold.
    """
    images = list(images) if isinstance(images, (list, tuple)) else [images]
    records, trace, _ = next(groups(model, images, size, most=1))
    return make_page(model, records, trace)


def write(model, images, path, size=None, progress=lambda done, total: None):
    """Write the page of some pictures, or as many as they need: path, …-2.html, …-3.html, each with links to all.

    Only one page is in memory at a time.  progress: called with (pictures done, pictures).
    Returns [(path, sentences about what was left out)].  Raises InputError as `explore` does.
    """
    path, written = Path(path), []
    for records, trace, count in groups(model, images, size, progress=progress):
        paths = [path, *(path.with_stem(f"{path.stem}-{i}") for i in range(2, count + 1))]
        place = paths[len(written)]
        page = make_page(model, records, trace, links([p.name for p in paths], place.name))
        page.save(place)
        written.append((place, page.left_out))
        del page, records  # before the next pictures come
    return written


def groups(model, images, size, most=None, progress=lambda done, total: None):
    """Yields (records of one page, the trace of its first picture, how many pages there are); at most `most`."""
    if not images:
        raise InputError("expected at least one picture, got none")
    if model.config.family == "mixer":
        raise no_attention(model.config)
    fitting = None
    for i, image in enumerate(images):
        found, trace = record(model, image, name_of(image, i + 1), size)
        fitting = fitting or _fitting(found, len(images), most)
        if i % fitting == 0:
            records, first = [], trace
        records.append(found)
        progress(i + 1, len(images))
        if len(records) == fitting or i + 1 == len(images):
            yield records, first, -(-len(images) // fitting)


def _fitting(found, total, most):
    # how many pictures like this one a page holds
    fitting = max(1, int(PAGE // len(found)))
    if most and total > most * fitting:
        raise InputError(
            f"{total} pictures of {len(found) / 1e6:.1f} MB are more than a page of {PAGE / 1e6:.0f} MB holds "
            f"({fitting}); explore fewer, or write several pages with `minivit explore`"
        )
    return fitting


def make_page(model, records, trace, links=""):
    """The Explorer of some records; trace: of the first, for the picture without scripts."""
    from .. import __version__

    config, name = model.config, "demo model, never trained" if model.source == "demo" else model.config.name
    what = records[0].facts["name"] if len(records) == 1 else f"{len(records)} pictures"
    asker = "mean patch" if asks_mean(config) else "class token"
    left_out = list(dict.fromkeys(sentence for found in records for sentence in found.left_out))
    png = still(trace, name)
    words = {
        **{"title": f"Inside {name}: {what}", "lead": lead(config, records[0].facts), "asker": asker},
        **{"alt": f"attention from the {asker} to the patches", "version": __version__},
        "exactness": " ".join([EXACT, *left_out]),
        "first": "Only the first picture is shown." if len(records) > 1 else "",
    }
    parts = {
        **{"style": _read("explorer.css"), "script": _read("explorer.js"), "links": links},
        "fallback": base64.b64encode(png).decode(),
        "page": as_json(page_facts(config, asker, records)),
        "data": "\n".join(f'<script type="text/plain" id="data{i}">{r.blob}</script>' for i, r in enumerate(records)),
    }
    escaped = {key: html.escape(text) for key, text in words.items()}
    return Explorer(Template(_read("explorer.html")).substitute(escaped, **parts), png, left_out)


def lead(config, facts):
    """What the model sees, in a sentence."""
    return (
        f"The model sees {facts['rows']}×{facts['columns']} squares of {config.cell} pixels, one token each; in each "
        f"of {config.blocks} blocks the tokens read from one another."
    )


def page_facts(config, asker, records):
    """What explorer.js reads: the model, the methods and their colours, and the facts of every picture."""
    from matplotlib import colormaps

    from .panels import QUANTITY, SIGNED

    def colours(name):
        return colormaps[name](range(256), bytes=True)[:, :3].tolist()

    mean = asker if asks_mean(config) else None
    return {
        **{"blocks": config.blocks, "heads": config.heads, "prefix": PREFIX[: config.prefix], "mean": mean},
        **{"merges": MERGES, "asker": asker, "methods": METHODS},
        **{"colours": {"quantity": colours(QUANTITY), "signed": colours(SIGNED)}},
        "pictures": [found.facts for found in records],
    }


def as_json(value):
    """JSON that can stand in a script element: "<" and every letter beyond ASCII are written as escapes."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def still(trace, name):
    """The attention of the first picture as a small PNG, for readers without scripts."""
    from PIL import Image

    from .plots_attention import attention_figure

    file = io.BytesIO()
    attention_figure(trace, name=name).figure.savefig(file, format="png", dpi=90)
    small = io.BytesIO()
    Image.open(file).convert("RGB").quantize(192).save(small, "PNG", optimize=True)
    return small.getvalue()


def links(names, here):
    """HTML links to the other pages of a set."""
    if len(names) == 1:
        return ""
    marks = [
        f"<b>{i}</b>" if name == here else f'<a href="{html.escape(quote(name))}">{i}</a>'
        for i, name in enumerate(names, 1)
    ]
    return f"<span>Page {' '.join(marks)}</span>"


def _read(name):
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
