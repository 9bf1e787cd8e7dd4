"""Write a page to look inside a model: attention, relevance and logit lens of pictures, in any browser, offline.

The page is one HTML file.  Point at a square of the picture; choose block, head and method; play through depth.  More
pictures than one page can hold become several pages: OUTPUT, …-2.html, …-3.html.
"""

import time

from ..errors import InputError
from . import options, progress

EXAMPLE = "minivit explore cats.png --weights deit_tiny.safetensors --labels imagenet.txt -o cats.html"


def arguments(parser):
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    options.model(parser)
    parser.add_argument("-o", "--output", default="minivit-explore.html", metavar="FILE", help="default: %(default)s")
    options.as_json(parser)


def run(args):
    from ..viz import explorer

    if not args.output.lower().endswith((".html", ".htm")):
        raise InputError(f"cannot write {args.output}: the result is a page, expected a name that ends in .html")
    model = options.read_model(args)
    start = time.perf_counter()
    pages = explorer.write(model, args.images, args.output, args.size, progress.counter("pictures"))
    seconds = time.perf_counter() - start
    rows = [{"page": str(path), "bytes": path.stat().st_size, "left_out": left_out} for path, left_out in pages]
    if args.json:
        options.print_json({"model": model.config.name, "images": args.images, "seconds": seconds, "pages": rows})
        return
    for row in rows:
        print(f"{row['page']}: {row['bytes'] / 1e6:.1f} MB; open it in a browser")
    for sentence in dict.fromkeys(sentence for row in rows for sentence in row["left_out"]):
        print(f"left out: {sentence}")
