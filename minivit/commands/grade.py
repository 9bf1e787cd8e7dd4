"""Grade the assignments in a folder of notebooks or scripts: points, what is wrong, and a hint; exit code 0 or 1.

Every task runs in a process of its own, with limits on time and memory: an endless loop or a crash costs that task
only.  It keeps accidents apart, not attacks: grade strangers' code in a container.
"""

import json
import sys
from pathlib import Path

from ..errors import InputError
from ..files import replacing
from . import options

EXAMPLE = "minivit grade handed_in/smith --only A3 --gradescope results.json"


def arguments(parser):
    parser.add_argument("folder", metavar="FOLDER", help="a folder with the student's files, or one file")
    parser.add_argument("--only", nargs="+", metavar="A3", help="assignments (default: those that are in the folder)")
    parser.add_argument("--hidden", metavar="FILE", help="the instructor's hidden.json: more checks, only named")
    parser.add_argument("--gradescope", metavar="FILE", help="write the results.json that Gradescope reads")
    parser.add_argument("--seconds", type=float, default=30, metavar="S", help="limit of a task (default: %(default)s)")
    parser.add_argument("--memory", type=int, default=4096, metavar="MB", help="limit of a task (default: %(default)s)")
    options.as_json(parser)


def run(args):
    from ..course import grading, report

    if args.seconds <= 0 or args.memory <= 0:
        raise InputError("--seconds and --memory should be larger than zero")
    hidden = _seed(args.hidden) if args.hidden else None
    progress = _dot if sys.stderr.isatty() and not args.json else None
    found = grading.grade(args.folder, args.only, hidden, args.seconds, args.memory, progress)
    if progress:
        print(file=sys.stderr)
    if args.gradescope:
        with replacing(args.gradescope) as path:
            path.write_text(json.dumps(report.gradescope(found), ensure_ascii=False, indent=2), encoding="utf-8")
    if args.json:
        options.print_json(report.as_json(found))
    else:
        print(report.table(found))
    return 0 if found.score == found.points else 1


def _seed(path):
    from ..course import assignments

    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        seed, version = int(content["seed"]), content["version"]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no hidden.json, expected one from an instructor's bundle") from error
    here = assignments.table()[0]
    if seed < 0 or version != here:
        raise InputError(f"{path} is of version {version}, the assignments here of {here}: build the bundle again")
    return seed


def _dot(result):
    print(".", end="", file=sys.stderr, flush=True)
