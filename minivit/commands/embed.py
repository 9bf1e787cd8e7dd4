"""Turn images or texts into points on a sphere, for `minivit search`: near means alike.

Images: any model (of one without a text tower, the feature that its head reads).  Texts: a LiT model.
"""

import warnings
from pathlib import Path

import numpy as np

from .. import search
from ..data.folders import SUFFIXES, is_picture
from ..errors import InputError
from ..lit import LitModel
from . import options
from .look import check_folder
from .progress import counter
from .zeroshot import lit_model, read_lines

EXAMPLE = "minivit embed photos/ --weights LiT-B16B.npz -o photos.npz"
BATCH = 8  # pictures at a time


def arguments(parser):
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE", help="image files, or folders of them (and their folders)"
    )
    parser.add_argument("--text", nargs="+", default=[], metavar="TEXT", help="texts instead of images")
    parser.add_argument("--texts", metavar="FILE", help="a file with one text per line instead of images")
    options.weights(parser)
    options.vocabulary(parser)
    parser.add_argument("-o", "--output", default="embeddings.npz", metavar="FILE", help="default: %(default)s")
    options.as_json(parser)


def run(args):
    texts = [*args.text, *(read_lines(args.texts) if args.texts else [])]
    if bool(args.images) == bool(texts):
        raise InputError("expected either IMAGEs or texts (--text, --texts)")
    check_folder(args.output)
    if texts:
        model, kind, names = lit_model(args), "text", texts
        vectors = model.embed_texts(texts, progress=counter("texts"))
    else:
        files, kind = picture_files(args.images), "image"
        model = options.read_model(args, lit=True)
        vectors, names = embed_pictures(model, files, args.size)
    search.Embeddings(vectors, names, kind, model.config.name, model.source).write(args.output)
    told = {"output": args.output, "model": model.config.name, "kind": kind, "count": len(names)}
    told |= {"numbers": vectors.shape[1], "skipped": 0 if texts else len(files) - len(names)}
    if args.json:
        options.print_json(told)
    else:
        print(f"{args.output}: {len(names):,} {kind}s as {vectors.shape[1]} numbers each, by {model.config.name}")


def picture_files(given):
    """The paths of files, and of all pictures below folders, in order.  Raises InputError for a folder without any."""
    found = []
    for path in map(Path, given):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if is_picture(file) and file.is_file())
            if not inside:
                raise InputError(f"{path}: no pictures in this folder ({', '.join(SUFFIXES)})")
            found += map(str, inside)
        else:
            found.append(str(path))
    return found


def embed_pictures(model, files, size=None):
    """(vectors (n,D), their files).  One that cannot be read is skipped with a warning.

    Raises InputError if none can be read.
    """
    vectors, names, show = [], [], counter("pictures")
    for start in range(0, len(files), BATCH):
        pixels = []
        for file in files[start : start + BATCH]:
            try:
                pixels.append((model.tower if isinstance(model, LitModel) else model).preprocess(file, size))
                names.append(file)
            except InputError as error:
                if len(files) == 1:
                    raise
                warnings.warn(f"skipped: {error}", stacklevel=2)
        if pixels:
            vectors.append(search.image_vectors(model, np.concatenate(pixels)))
        show(min(start + BATCH, len(files)), len(files))
    if not vectors:
        raise InputError(f"none of {len(files)} pictures can be read, expected at least one")
    return np.concatenate(vectors), names
