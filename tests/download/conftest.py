"""A server, an empty weights folder, and a registry of small files."""

from pathlib import Path

import pytest
from download_files import Told
from download_server import Served, Server

from minivit.download import transfer
from minivit.registry import table

GOLDEN = Path(__file__).parents[1] / "golden"

#: The real table's form, with small files
REGISTRY = """
[labels.five]
url = "https://storage.googleapis.com/labels/five.txt"
lines = 10

[families.tiny]
url = "https://storage.googleapis.com/tiny/{file}"
licence = "Apache-2.0"
image = 32
classes = 10
checkpoints = [
  { name = "token" },
  { name = "named", labels = "five" },
  { name = "sized", size = "1 MiB" },
  { name = "Ti", variant = "ViT-Ti/16", image = 224, classes = 1000 },
  { name = "seven", classes = 7 },
  { name = "words", vocabulary = "words.txt" },
]

[families.owner]
repo = "owner"
checkpoints = [{ name = "model" }, { name = "other", image = 999 }]

[families.augreg]
url = "https://storage.googleapis.com/vit_models/augreg/{file}"
index = "index.csv"
checkpoints = []
"""


@pytest.fixture(scope="session")
def weights():
    """The bytes of a small official checkpoint."""
    return (GOLDEN / "grad__vit_token" / "weights.npz").read_bytes()


@pytest.fixture
def server():
    with Server() as one:
        yield one
        one.shutdown()


@pytest.fixture
def home(server, tmp_path, monkeypatch):
    """An empty weights folder; the server stands for all others, and nothing waits."""
    for name in ("MINIVIT_OFFLINE", "http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("MINIVIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MINIVIT_MIRROR", server.address)
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    return tmp_path / "home"


@pytest.fixture
def small(home, tmp_path, monkeypatch, weights):
    """The small registry instead of the real one."""
    path = tmp_path / "registry.toml"
    path.write_text(REGISTRY)
    monkeypatch.setattr(table, "location", lambda: path)
    forget()
    yield
    monkeypatch.undo()
    forget()


def forget():
    table.content.cache_clear()
    table.entries.cache_clear()


@pytest.fixture
def token(small, server, weights):
    """tiny/token, as the server has it."""
    served = server.files["/tiny/token.npz"] = Served(weights)
    return served


@pytest.fixture
def told():
    return Told()
