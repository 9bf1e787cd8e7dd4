"""Compare every tensor of golden cases with their references: a verdict each, exit code 0 or 1.

CASE is a folder with case.json, weights, inputs and reference tensors (tests/golden has some).  With --against, the
tensors of your own implementation, saved as .npz under the case's names, are judged in place of minivit's.
"""

from dataclasses import asdict
from pathlib import Path

from .. import tiers
from ..check import run as run_case
from ..errors import InputError
from ..files import read_arrays
from ..tables import Table
from . import options

EXAMPLE = "minivit check tests/golden/vit__token tests/golden/timm__vit_avg --dtype float64"
COLUMNS = ("name", "ok", "error", "noise", "tolerance", "note")


def arguments(parser):
    parser.add_argument("cases", nargs="+", metavar="CASE", help="folders of golden cases")
    options.tier(parser)
    parser.add_argument("--against", metavar="FILE", help="an .npz with your tensors, by the names of the case")
    parser.add_argument("--failed", action="store_true", help="print only the tensors that differ")
    options.as_json(parser)


def run(args):
    if args.against and len(args.cases) > 1:
        raise InputError("--against judges one case at a time")
    tiers.load(args.tier, args.dtype, args.threads)  # refuses what it does not know, and sets the threads
    dump = read_arrays(args.against) if args.against else None
    reports = []
    for folder in args.cases:
        verdicts = run_case(folder, args.tier, args.dtype, dump)
        ok = all(v.ok for v in verdicts)
        reports.append({"case": Path(folder).resolve().name, "ok": ok, "tensors": [asdict(v) for v in verdicts]})
        if not args.json:
            _print(reports[-1], args)
    if args.json:
        options.print_json(reports)
    return 0 if all(report["ok"] for report in reports) else 1


def _print(report, args):
    rows = [row for row in report["tensors"] if not (args.failed and row["ok"])]
    good = sum(row["ok"] for row in report["tensors"])
    print(f"{report['case']}  ({args.tier} {args.dtype}; errors relative to max|reference|)")
    if rows:
        print(Table(COLUMNS, rows))
    print(f"{'OK' if report['ok'] else 'NOT OK'}: {good} of {len(report['tensors'])} tensors agree\n")
