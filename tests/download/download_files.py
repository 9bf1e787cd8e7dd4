"""Small files for the tests of downloads, and what looks at folders and reports."""

import json
from pathlib import Path

import numpy as np
import pytest

from minivit import download
from minivit.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden"


def files_of(folder):
    """{path below a folder} of all files."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def refused(name="tiny/token"):
    """The one line with which a download is refused."""
    with pytest.raises(InputError) as caught:
        download.fetch(name)
    line = str(caught.value)
    assert "\n" not in line, line
    return line


class Told(download.Report):
    """Remembers what was reported."""

    def __init__(self):
        self.done, self.notes = [], []

    def progress(self, done, total):
        self.done.append((done, total))

    def note(self, text):
        self.notes.append(text)


def tiny16(path):
    """A file with the tensors of an official ViT-Ti/16, all zeros: real in its layout, and small when packed."""
    shapes = json.loads((GOLDEN / "real__vit_ti16" / "case.json").read_text())["weights"]["shapes"]
    np.savez_compressed(path, **{n: np.zeros(s, np.float32) for n, s in shapes.items()})
    return path.read_bytes()
