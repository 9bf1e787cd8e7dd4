"""Build what is handed out in a course: the students' bundle, or the instructor's with solutions and hidden tests.

Work in a clone of the repository, best with everything committed.  --strict leaves the functions that students are to
write out of their library, too.  `minivit course tasks` lists them.
"""

import sys

from ..errors import InputError
from ..tables import Table
from . import options

EXAMPLE = "minivit course build --student handout --strict"
COLUMNS = ("task", "points", "function", "in the library")


def arguments(parser):
    parser.add_argument("action", choices=("build", "tasks"), help="build a bundle, or list the tasks")
    parser.add_argument("--student", metavar="DIR", help="write the students' bundle there")
    parser.add_argument("--instructor", metavar="DIR", help="write the instructor's bundle there")
    parser.add_argument("--strict", action="store_true", help="a students' library without the taught functions")
    parser.add_argument("--scripts", action="store_true", help="assignments as .py files instead of notebooks")
    parser.add_argument("--seed", type=int, help="the hidden seed, to build the same again (default: a random one)")
    options.as_json(parser)


def run(args):
    from ..course import assignments

    version, _, tasks = assignments.table()
    if args.action == "tasks":
        rows = [dict(zip(COLUMNS, (t.id, t.points, t.name, t.module), strict=True)) for t in tasks.values()]
        if args.json:
            options.print_json(rows)
        else:
            print(Table(COLUMNS, rows))
        return
    if not (args.student or args.instructor):
        raise InputError("nothing to build: say --student DIR, --instructor DIR or both")
    if args.seed is not None and args.seed < 10**6:
        raise InputError(f"--seed {args.seed}: expected at least seven digits, so that nobody guesses it")
    build(args)
    if args.json:
        options.print_json({"version": version, "student": args.student, "instructor": args.instructor})
        return
    if args.student:
        print(f"{args.student}: for students; its README.md says how to begin")
    if args.instructor:
        print(f"{args.instructor}: for you only (solutions, hidden tests); INSTRUCTORS.md is the guide")


def build(args):
    """Write the bundles that were asked for, and say what in them is not committed."""
    from ..course import bundle

    if changed := bundle.changed():
        more = f" and {len(changed) - 3} more" * (len(changed) > 3)
        print(f"minivit: warning: not committed, but in the bundle: {', '.join(changed[:3])}{more}", file=sys.stderr)
    if args.student:
        bundle.students(args.student, args.strict, args.scripts)
    if args.instructor:
        bundle.instructors(args.instructor, args.strict, args.scripts, args.seed)
