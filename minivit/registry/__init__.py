"""The published checkpoints: what is known of each, and which one is meant by the name that somebody writes.

Everything is data in weights/registry.toml.  Nothing here reads the network; minivit/download does.
"""

from .entry import Entry, File
from .resolve import find, matching
from .table import entries

__all__ = ["Entry", "File", "entries", "find", "matching"]
