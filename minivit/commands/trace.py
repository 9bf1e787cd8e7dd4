"""Print every named tensor of a forward pass; save them, or compare them with somebody else's.

Without an image, lists the names: what each tensor is, its shape letters, its symbol in the paper, its official path.
"""

from .. import names
from ..errors import InputError
from ..files import read_arrays, write_npz
from ..lit import LitModel
from ..tables import Table
from . import options

EXAMPLE = "minivit trace cat.jpg --weights deit_tiny.safetensors --keep 'block3.attn.*' -o trace.npz"


def arguments(parser):
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="an image file; none: list the names")
    options.model(parser)
    options.vocabulary(parser)
    parser.add_argument("--text", nargs="+", metavar="TEXT", help="texts, for the text tower of a LiT model")
    parser.add_argument(
        "--keep", default="*", metavar="PATTERN", help="which tensors, such as 'block*.attn.probs,logits'"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="save the tensors as .npz")
    parser.add_argument("--against", metavar="FILE", help="an .npz of the same names: print a verdict per tensor")
    options.as_json(parser)


def run(args):
    model = options.read_model(args, lit=True)
    if args.text and not isinstance(model, LitModel):
        raise InputError(f"{model.config.name} reads no texts: --text is for LiT models")
    if args.image is None:
        return _list_names(model, args)
    texts = {"texts": args.text} if args.text else {}
    trace = model.trace(args.image, args.keep, args.size, **texts)
    if args.output:
        write_npz(args.output, trace)
    result = trace.diff(read_arrays(args.against)) if args.against else trace.table()
    options.print_json(result.rows) if args.json else print(result)
    return 1 if args.against and not result.ok else 0


def _list_names(model, args):
    known = names.of(model.config)
    rows = [
        {"name": name, "shape": t.shape, "paper": t.symbol, "official": t.official, "meaning": t.meaning}
        for name in names.expand(args.keep, model.config)
        for t in [known[name]]
    ]
    options.print_json(rows) if args.json else print(Table(rows[0], rows))
