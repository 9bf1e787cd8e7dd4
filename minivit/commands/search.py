"""Find the nearest neighbours of images or texts in a file that `minivit embed` wrote.

Images find images by any model; texts find images, and images texts, by a LiT model.
"""

import time
import warnings
from pathlib import Path

import numpy as np

from .. import search
from ..errors import InputError, nearest
from ..tables import Table
from . import options
from .embed import embed_pictures
from .look import check_folder
from .zeroshot import lit_model

EXAMPLE = 'minivit search photos.npz --text "a dog on a beach" -o found.png'


def arguments(parser):
    parser.add_argument("file", metavar="FILE", help="embeddings, from `minivit embed`")
    parser.add_argument("--image", nargs="+", default=[], metavar="IMAGE", help="find what is like these image files")
    parser.add_argument("--text", nargs="+", default=[], metavar="TEXT", help="find what fits these texts (LiT)")
    parser.add_argument(
        "--like", nargs="+", default=[], metavar="NAME", help="find what is like these names in FILE; needs no model"
    )
    parser.add_argument("--top", type=int, default=8, metavar="K", help="how many neighbours (default: %(default)s)")
    options.weights(parser, None, "the one that FILE was made with")
    options.vocabulary(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="contact sheet as .png (default: FILE-search.png; with --json none)"
    )
    options.as_json(parser)


def run(args):
    if args.top < 1:
        raise InputError(f"--top {args.top}: expected a positive number")
    if not (args.image or args.text or args.like):
        raise InputError("nothing to search for: give --image, --text or --like")
    output = place_of(args)
    found = search.read(args.file)
    queries, vectors = read_queries(args, found)
    begin = time.perf_counter()
    places, cosines = search.nearest(vectors, found.vectors, args.top + bool(args.like))
    seconds = time.perf_counter() - begin
    answers = [
        {"query": name, "kind": kind, "found": neighbours(found, *row, args.top, name if own else None)}
        for (name, kind, own), *row in zip(queries, places, cosines, strict=True)
    ]
    if output:
        draw(answers, found, output)
    if args.json:
        options.print_json(answers)
        return
    for answer in answers:
        print(f"{answer['query']}\n{Table(('rank', 'cosine', 'name'), answer['found'])}\n")
    speed = f"{1e3 * seconds / len(queries):.1f} ms per query"
    print(f"{len(found.names):,} {found.kind}s by {found.model}, {speed}{f'; {output}' if output else ''}")


def place_of(args):
    """Where the contact sheet goes, or None."""
    if args.output is None and args.json:
        return None
    place = Path(args.output or f"{Path(args.file).stem}-search.png")
    if place.suffix.lower() != ".png":
        raise InputError(f"cannot write {place}: the result is a picture, expected a name that ends in .png")
    check_folder(place)
    return place


def read_queries(args, found):
    """[(name, kind, whether it is one of the file)] and their vectors (Q,D)."""
    places = {name: i for i, name in enumerate(found.names)}
    for name in args.like:
        if name not in places:
            raise InputError(f"{args.file} has no {name!r}{nearest(name, found.names)}")
    queries = [(name, found.kind, True) for name in args.like]
    vectors = [found.vectors[[places[name] for name in args.like]]]
    if args.image or args.text:
        model = query_model(args, found)
        if args.image:
            for image in args.image:
                vectors.append(embed_pictures(model, [image], args.size)[0])
            queries += [(name, "image", False) for name in args.image]
        if args.text:
            vectors.append(model.embed_texts(args.text))
            queries += [(text, "text", False) for text in args.text]
    for part in vectors:
        if part.shape[1] != found.vectors.shape[1]:
            numbers = f"{found.vectors.shape[1]} numbers, the query has {part.shape[1]}"
            raise InputError(f"{args.file}: its {found.kind}s are {numbers}; give the weights that it was made with")
    return queries, np.concatenate(vectors).astype(np.float32, copy=False)


def query_model(args, found):
    """The model that made the file.  Raises InputError if it is another one, or cannot read what is asked."""
    if not args.weights and not args.model:
        args.weights = found.weights
    model = lit_model(args) if args.text or found.kind == "text" else options.read_model(args, lit=True)
    if model.config.name != found.model:
        raise InputError(
            f"{args.file} was made with {found.model}, the query would be with {model.config.name};"
            " give the same weights (--weights)"
        )
    if Path(model.source).name != Path(found.weights).name:
        files = f"{found.weights or 'other weights'}, the query is with {model.source}"
        warnings.warn(
            f"{args.file} was made with {files}: cosines mean something only if they are the same", stacklevel=2
        )
    return model


def neighbours(found, places, cosines, count, own):
    """The best `count` as dicts; without the query itself, where it is one of the file."""
    rows = [(int(p), float(c)) for p, c in zip(places, cosines, strict=True) if found.names[p] != own][:count]
    return [{"rank": i, "cosine": c, "name": found.names[p], "place": p} for i, (p, c) in enumerate(rows, 1)]


def draw(answers, found, output):
    """The contact sheet, as PNG."""
    from ..viz.contact_sheet import Tile, contact_sheet

    rows = []
    for answer in answers:
        tiles = [Tile(row["name"], found.kind, f"{row['rank']}.  {row['cosine']:.3f}") for row in answer["found"]]
        rows.append((Tile(answer["query"], answer["kind"], "query"), tiles))
    contact_sheet(rows, f"nearest of {len(found.names):,} {found.kind}s, by {found.model}").save(output)
