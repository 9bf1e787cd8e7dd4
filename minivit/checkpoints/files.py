"""From a path to the arrays behind it: which file, container and shards.  Content decides, never the suffix."""

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .arrays_npz import open_npz
from .arrays_safetensors import open_safetensors
from .json_table import Table, read_json
from .stored import StoredArray, dtype_name, one_line

#: First bytes of files that people try and that are refused, with what they are.
FOREIGN = {
    b"\x93NUMPY": "one .npy array, not a checkpoint",
    b"\x80": "a Python pickle, which can run code when loaded",
    b"\x89HDF": "an HDF5 file",
    b"GGUF": "a GGUF file",
}
WANTED = "expected .npz (vit_jax) or .safetensors (Hugging Face, timm)"


@dataclass(frozen=True)
class Source:
    """A checkpoint: its file (of a sharded one: the index), the container's name and all its arrays."""

    file: Path
    container: str  # "npz" | "safetensors" | "memory"
    arrays: dict[str, StoredArray]
    tables: dict = field(default_factory=dict)  # in memory: what JSON files beside it would hold

    @property
    def bytes(self):
        """Size on disk, all shards together."""
        return sum(file.stat().st_size for file in {array.file for array in self.arrays.values()})

    def beside(self, name):
        """The JSON object in the file of that name in the same folder, as a Table; None if there is no such file."""
        if self.container == "memory":
            return Table(name, self.tables[name]) if name in self.tables else None
        path = self.file.parent / name
        return read_json(path) if path.exists() else None


def open_source(path):
    """The arrays of a checkpoint file or of a folder saved by Hugging Face or timm.

    Raises InputError if there is nothing there that this version reads.
    """
    try:
        path = Path(path)
        if path.is_dir():
            path = _in_folder(path)
        if not path.exists():
            raise InputError(f"{path}: no such file; {WANTED}")
        if not path.is_file():
            raise InputError(f"{path}: not a regular file; {WANTED}")
        with path.open("rb") as file:
            start = file.read(9)
        return _open_by_content(path, start)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)}); check the path and its permissions") from None


def source_of(arrays, name, tables):
    """{name: array} in memory, as if it had been read from a file of the given name, and {file name: JSON object}."""
    stored = {n: StoredArray(Path(name), n, a.shape, dtype_name(a.dtype), lambda _, a=a: a) for n, a in arrays.items()}
    return Source(Path(name), "memory", stored, tables)


def _in_folder(folder):
    for name in ("model.safetensors", "model.safetensors.index.json"):
        if (folder / name).exists():
            return folder / name
    held = ", ".join(sorted(entry.name for entry in folder.iterdir())[:6]) or "nothing"
    raise InputError(f"{folder}: no checkpoint in this folder, expected model.safetensors; it holds {held}")


def _open_by_content(path, start):
    if start.startswith(b"PK"):
        return Source(path, "npz", open_npz(path))
    if start[8:9] == b"{":
        return Source(path, "safetensors", open_safetensors(path))
    if start.startswith(b"{"):
        return Source(path, "safetensors", _open_shards(path))
    if not start:
        raise InputError(f"{path}: the file is empty; {WANTED}")
    what = next((what for magic, what in FOREIGN.items() if start.startswith(magic)), "not a format minivit knows")
    raise InputError(f"{path}: this is {what}; {WANTED}")


def _open_shards(index):
    """The arrays of all files that a model.safetensors.index.json names."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise InputError(f"{index}: a JSON file without a weight_map is not a checkpoint; {WANTED}")
    arrays = {}
    for shard in sorted(set(weight_map.values())):
        if shard in ("", ".", "..") or set(shard) & set("/\\:\0"):
            raise InputError(f"{index.name}: shard {shard!r} lies outside the folder, expected a plain file name")
        path = index.parent / shard
        if not path.is_file():
            raise InputError(f"{index.name}: shard {shard!r} is missing; download it into {index.parent}")
        arrays.update(_shard_arrays(index, path, weight_map))
    absent = sorted(set(weight_map) - set(arrays))
    if absent:
        raise InputError(f"{index.name}: {absent[0]!r} is not in {weight_map[absent[0]]!r}; download the shard again")
    return arrays


def _shard_arrays(index, path, weight_map):
    arrays = open_safetensors(path)
    for name in arrays:
        if weight_map.get(name) != path.name:
            raise InputError(f"{index.name}: {name!r} is in {path.name!r}, but the index does not place it there")
    return arrays
