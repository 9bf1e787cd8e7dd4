"""What gpu.py's figures become: the ladder table of README.md, and the roofline.

python benchmarks/gpu_report.py benchmarks/results/h200.json      table and roofline
python benchmarks/gpu_report.py                                   table without figures: «not yet measured»
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import gpu_cases

ROOT = Path(__file__).parent.parent
MARKS = "<!-- gpu: begin -->", "<!-- gpu: end -->"
NONE = "not yet measured"
#: TFLOP/s of the tensor cores (halves), and of the float32 multipliers of an H100 or H200
PEAKS = {"halves": 990.0, "float32": 67.0}
COLOURS = {"linear": "#0072b2", "attention": "#d55e00", "patch_embed": "#009e73", "layernorm": "#cc79a7",
           "softmax": "#7a5c00", "gelu": "#56b4e9", "conv": "#000000", "groupnorm": "#882255", "max_pool": "#117733",
           "relu": "#888888"}  # fmt: skip


def markdown(report):
    """The tables of README.md.  report: what gpu.py wrote, or None."""
    rows = {row["case"]: row for row in report["rows"]} if report else {}
    models = {(row["model"], row["dtype"], row["batch"]): row for row in report["models"]} if report else {}
    lines = ["| op | rung | size | expected | measured | of the library | what it adds |", "|---" * 7 + "|"]
    lines += [_ladder_line(case, rows.get(case.key)) for case in gpu_cases.CASES]
    lines += ["", "| model | batch | expected | measured | PyTorch | compiled |", "|---" * 6 + "|"]
    for name, dtype, batch, expected in sorted(
        gpu_cases.MODELS, key=lambda model: (model[0], model[1] == "bfloat16", model[2])
    ):
        row = models.get((name, dtype, batch), {})
        figures = [f"{_figure(row[key])} ms" if key in row else NONE for key in ("ms", "eager_ms", "compiled_ms")]
        lines.append(f"| {name} {dtype} | {batch} | {expected:g} ms | {' | '.join(figures)} |")
    return "\n".join([_machine_line(report), "", *lines])


def _ladder_line(case, row):
    measured = f"{_figure(row['speed'])} {case.unit}" if row else NONE
    share = f"{row['of_library']:.0%}" if row else NONE
    size = "×".join(map(str, case.shape))
    cells = (
        f"{case.op} {case.dtype}",
        case.rung,
        size,
        f"{_figure(case.expected)} {case.unit}",
        measured,
        share,
        case.gains,
    )
    return f"| {' | '.join(cells)} |"


def _figure(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _machine_line(report):
    if not report:
        return "Expected of an H200; nobody has run `bash benchmarks/gpu.sh` there yet."
    facts = report["machine"]
    versions = ", ".join(
        f"{name} {facts[name]}" for name in ("numba-cuda", "torch", "numpy", "python") if name in facts
    )
    return f"{facts.get('card', 'GPU')}; copies at {report['copy_gbytes']:.0f} GB/s; {versions}."


def into_readme(report, path=ROOT / "README.md"):
    """Replace what stands between the two marks in a Markdown file; False if they are not there."""
    text = Path(path).read_text(encoding="utf-8")
    before, mark, rest = text.partition(MARKS[0])
    if not mark:
        return False
    after = rest.partition(MARKS[1])[2]
    Path(path).write_text(f"{before}{MARKS[0]}\n{markdown(report)}\n{MARKS[1]}{after}", encoding="utf-8")
    return True


def draw(report, path):
    """Every rung at its arithmetic intensity, under what the card can do: copies as measured, peaks as published."""
    from minivit.viz import panels

    figure = panels.new_figure(5.2)
    axes = figure.subplots()
    slope = report["copy_gbytes"] / 1e3
    for name, peak in PEAKS.items():
        corner = peak / slope
        axes.plot([0.3, corner, 1e4], [0.3 * slope, peak, peak], color="#888888", lw=1)
        axes.text(1e4, peak, f"{name} {peak:g} TFLOP/s", ha="right", va="bottom", fontsize=8)
    done = {row["case"]: row for row in report["rows"]}
    for op, colour in COLOURS.items():
        cases = [case for case in gpu_cases.CASES if case.op == op and case.key in done]
        for i, case in enumerate(cases):
            flops, moved = gpu_cases.work(case)
            place = flops / moved, flops / done[case.key]["ms"] / 1e9
            axes.scatter(*place, color=colour, s=24, zorder=3, label=None if i else op)
            axes.annotate(f" {case.rung}", place, color=colour, fontsize=8, va="center")
    axes.set(xscale="log", yscale="log", xlabel="FLOPs per byte that must be moved", ylabel="TFLOP/s")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_title(f"Tier gpu on {report['machine'].get('card', 'a GPU').split(',')[0]}", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    panels.Plot(figure).save(path)


def main(paths):
    report = json.loads(Path(paths[0]).read_text(encoding="utf-8")) if paths else None
    if report and report["tiny"]:
        sys.exit(f"{paths[0]} was made with --tiny: it measures nothing")
    if not into_readme(report):
        print(f"README.md has no {MARKS[0]}: here is the table\n\n{markdown(report)}")
    if report and find_spec("matplotlib") is None:
        print("matplotlib is not installed: no roofline; run this again where it is")
    elif report:
        draw(report, Path(paths[0]).with_name(f"{Path(paths[0]).stem}_roofline.png"))


if __name__ == "__main__":
    main(sys.argv[1:])
