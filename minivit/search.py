"""Files of embeddings, and the nearest neighbours in them.

    found = search.read("pictures.npz")                  # 307 MB for 100,000 vectors of 768 numbers: mapped, not loaded
    places, cosines = search.nearest(queries, found.vectors, 10)
    found.names[places[0, 0]]

The file is an .npz of two arrays: "embeddings" (n,D), float32, every row of length one; and "about", the UTF-8 bytes of
a JSON object {"model", "weights", "kind": "image" or "text", "names": [n texts]}.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .checkpoints.arrays_npz import open_npz
from .errors import InputError
from .files import write_npz
from .lit import LitModel

ROWS = 8192  # vectors that are compared at a time: 25 MB of a file with 768 numbers each
#: Its length places the numbers at a multiple of 64 bytes in the file that NumPy writes, so that they can be mapped
VECTORS = "embeddings"


@dataclass(frozen=True)
class Embeddings:
    """Vectors, and whose they are: `names` are paths of pictures or texts, by `kind`."""

    vectors: np.ndarray = field(repr=False)  # (n,D) float32, every row of length one
    names: list[str] = field(repr=False)
    kind: str  # "image" | "text"
    model: str  # name of the config
    weights: str = ""  # name of the checkpoint's file

    def write(self, path):
        """Write the file that `read` reads.  Raises InputError for vectors with NaN or infinity."""
        if not np.isfinite(self.vectors).all():
            raise InputError(f"cannot write {path}: an embedding has NaN or infinite numbers")
        told = {name: getattr(self, name) for name in ("model", "weights", "kind", "names")}
        about = np.frombuffer(json.dumps(told, ensure_ascii=False).encode(), np.uint8)
        write_npz(path, {VECTORS: np.asarray(self.vectors, np.float32), "about": about})


def read(path):
    """The Embeddings of a file that `write` wrote; the vectors are read from disk when they are used.

    Raises InputError if it is not such a file, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected embeddings, as `minivit embed` writes them")
    try:
        arrays = open_npz(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except InputError as error:
        raise InputError(f"{error}; expected embeddings, as `minivit embed` writes them") from error
    if set(arrays) != {VECTORS, "about"}:
        held = ", ".join(map(repr, sorted(arrays)[:4]))
        raise InputError(f"{path}: not a file of embeddings, it holds {held}; `minivit embed` writes them")
    told = _about(path, arrays["about"].read())
    stored = arrays[VECTORS]
    if (
        stored.dtype != "float32"
        or len(stored.shape) != 2
        or 0 in stored.shape
        or stored.shape[0] != len(told["names"])
    ):
        problem = f"{stored.dtype} of shape {stored.shape} for {len(told['names'])} names"
        raise InputError(f"{path}: the embeddings are {problem}, expected float32 (names, numbers); write it again")
    return Embeddings(stored.read(), **told)


def _about(path, raw):
    try:
        told = json.loads(raw.tobytes().decode())
        right = all(isinstance(told[name], str) for name in ("model", "weights", "kind")) and len(told) == 4
        right = right and isinstance(told["names"], list) and all(isinstance(name, str) for name in told["names"])
    except (ValueError, KeyError, TypeError, RecursionError):
        right = False
    if not right or told["kind"] not in ("image", "text"):
        raise InputError(f"{path}: what should say whose embeddings these are is damaged; write it again")
    return told


def image_vectors(model, images, size=None):
    """The images as points (B,D) of length one: of LiT its embedding, else the feature that the model's head reads.

    images, size: as in Model.run.
    """
    if isinstance(model, LitModel):
        return model.embed_images(images, size)
    features = model.features(images, size)
    z = features["cls" if model.config.pool == "token" else "mean"]
    return z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), np.finfo(z.dtype).tiny)


def nearest(queries, vectors, count, rows=ROWS):
    """The `count` rows of `vectors` that are nearest to each query: places (Q,k) and cosines (Q,k), nearest first.

    A plain matrix product, so many rows at a time: exact, and memory for the file is not needed.
    """
    # queries (Q,D), vectors (n,D), all of length one -> (Q,k) int, (Q,k) float32
    places = np.empty((len(queries), 0), np.int64)
    cosines = np.empty((len(queries), 0), np.float32)
    for first in range(0, len(vectors), rows):
        new = queries @ vectors[first : first + rows].T
        if not np.isfinite(new).all():
            raise InputError("an embedding has NaN or infinite numbers: the file is damaged, write it again")
        where = np.broadcast_to(np.arange(first, first + new.shape[1]), new.shape)
        cosines, places = np.concatenate([cosines, new], 1), np.concatenate([places, where], 1)
        if cosines.shape[1] > count:
            best = np.argpartition(-cosines, count - 1)[:, :count]
            cosines, places = np.take_along_axis(cosines, best, 1), np.take_along_axis(places, best, 1)
    order = np.lexsort((places, -cosines))
    return np.take_along_axis(places, order, 1), np.take_along_axis(cosines, order, 1)
