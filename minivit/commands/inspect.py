"""Say what a checkpoint file is: family, layout, configuration, parameters, dtype, and what to beware of."""

from .. import checkpoints
from ..records import shown
from . import options

EXAMPLE = "minivit inspect ViT-B_16.npz"
SHOWN = 8  # tensors of a file that is not understood


def arguments(parser):
    parser.add_argument("file", metavar="FILE", help="a checkpoint file, or a Hugging Face folder")
    options.as_json(parser)


def run(args):
    facts = checkpoints.describe(args.file)
    if args.json:
        options.print_json(facts)
        return
    for name, lines in _readable(facts):
        for i, line in enumerate(lines):
            print(f"{'' if i else name:>12}  {line}")


def _flat(settings, inside=""):
    """(field, value) of a config, and of the configs inside it: ("txt.width", 768)."""
    for field, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{inside}{field}.")
        else:
            yield f"{inside}{field}", value


def _readable(facts):
    """(heading, lines) of what people want to know."""
    what = " · ".join(filter(None, (facts["what"], facts["layout"], facts["name"])))
    yield "what", [what]
    yield "file", [f"{facts['file']} ({facts['bytes'] / 1e6:.1f} MB, {facts['container']})"]
    yield "parameters", [f"{facts['parameters']:,} in {', '.join(facts['dtypes'])}"]
    if facts["config"]:
        settings = dict(facts["config"])
        preprocess = settings.pop("preprocess", None) or settings["img"].pop("preprocess")
        fields = {field: value for field, value in _flat(settings) if value is not None}
        width = max(17, *(len(field) + 2 for field in fields))
        yield "config", [f"{field:<{width}}{value}" for field, value in fields.items()]
        yield "images", [f"{field:<17}{value}" for field, value in preprocess.items() if value is not None]
    if facts["labels"]:
        yield "labels", [str(facts["labels"])]
    yield "provenance", [f"{field:<17}{shown(value)}" for field, value in facts["provenance"].items()]
    if facts["problem"]:
        tensors = facts["tensors"]
        more = [f"… and {len(tensors) - SHOWN} more (--json lists all)"] if len(tensors) > SHOWN else []
        yield "tensors", tensors[:SHOWN] + more
        yield "problem", [facts["problem"]]
    yield "warning", facts["warnings"]
