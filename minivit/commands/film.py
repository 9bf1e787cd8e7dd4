"""Make a film: a map through the blocks of a model, over a folder of frames, or as a training run went on.

An image gives a frame per block; a folder of images a frame per image; the folder of a run of `minivit train` a frame
per test, from its attention pictures (no weights needed).  The file is a GIF or an animated PNG.
"""

from pathlib import Path

from ..errors import InputError, nearest
from . import options
from .look import check_folder
from .progress import counter

EXAMPLE = "minivit film cat.jpg --weights deit_tiny.safetensors --map rollout -o cat.gif"


def arguments(parser):
    parser.add_argument(
        "source", metavar="SOURCE", help="an image, a folder of images, or the folder of a training run"
    )
    options.model(parser)
    parser.add_argument(
        "--map", default="attention", metavar="NAME", help="attention, rollout, … (default: %(default)s)"
    )
    parser.add_argument("--layer", type=int, metavar="L", help="for a folder of images: a block (default: the last)")
    parser.add_argument(
        "--class", dest="target", metavar="C", help="a class: index or label (default: the most probable)"
    )
    parser.add_argument("--fps", type=float, metavar="N", help="frames per second (default: 2, of a folder 8)")
    parser.add_argument(
        "-o", "--output", default="film.gif", metavar="FILE", help=".gif or .png (default: %(default)s)"
    )
    options.as_json(parser)


def run(args):
    from ..viz import film

    film.kind_of(args.output)
    check_folder(args.output)
    frames, count, fps = frames_of(args, film)
    fps = fps if args.fps is None else args.fps
    film.write(args.output, frames, count, fps, counter("frames"))
    megabytes = Path(args.output).stat().st_size / 1e6
    if args.json:
        answer = {"source": args.source, "output": args.output, "map": args.map}
        options.print_json({**answer, "frames": count, "fps": fps, "megabytes": megabytes})
    else:
        print(f"{args.output}: {count} frames, {fps:g} per second, {megabytes:.1f} MB")


def frames_of(args, film):
    """The frames that the source gives, how many, and how many a second are easy to follow."""
    source = Path(args.source)
    training = (source / "attention").is_dir() or (source / "run.json").is_file()
    check_options(args, training, film.MAPS)
    if training:
        paths = film.training_pictures(source)
        return film.pages(paths), len(paths), 4
    what = args.map, args.target
    if source.is_dir():
        paths = film.images(source)
        model = options.read_model(args)
        shared = args.layer, args.size, counter("pictures looked at")
        return film.over_pictures(model, paths, *what, *shared), len(paths), 8
    model = options.read_model(args)
    return film.through_blocks(model, source, *what, args.size, counter("blocks")), model.config.blocks, 2


def check_options(args, training, maps):
    """Refuse what would be ignored: options that this kind of film does not take."""
    if args.map not in maps:
        raise InputError(f"there is no film of {args.map!r}{nearest(args.map, maps)}")
    if args.target is not None and not (maps[args.map][1] or training):
        raise InputError(f"--map {args.map} takes no --class, as it is the same for all classes")
    given = {"--layer": args.layer, "--class": args.target}
    for option in [option for option, value in given.items() if value is not None and training]:
        raise InputError(f"{args.source} is the folder of a training run: its pictures are drawn, and take no {option}")
    if args.layer is not None and not Path(args.source).is_dir():
        raise InputError("--layer is for a folder of images: the film of one image goes through all layers")
