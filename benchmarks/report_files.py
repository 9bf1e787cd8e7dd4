"""What compare.py leaves behind: a bar chart, and the table of README.md."""

from pathlib import Path

PACKAGES = ("minivit", "numpy", "numba", "torch", "transformers", "onnxruntime", "openvino")
MARKS = "<!-- speed: begin -->", "<!-- speed: end -->"


def draw(report, path):
    """Bars of the median time per image: one row of panels per batch size, one panel per model."""
    from minivit.viz import panels

    rows = report["rows"]
    models, batches, names = (list(dict.fromkeys(row[key] for row in rows)) for key in ("model", "batch", "engine"))
    figure = panels.new_figure(0.9 + len(batches) * (0.6 + 0.24 * len(names)))
    grid = figure.subplots(len(batches), len(models), squeeze=False, sharey=True)
    for row in rows:
        axes = grid[batches.index(row["batch"])][models.index(row["model"])]
        place = names.index(row["engine"])
        axes.barh(place, row["median_ms"], color="#0072b2" if row["engine"].startswith("minivit") else "#b0b0b0")
        axes.text(row["median_ms"], place, f" {row['median_ms']:.3g}", va="center", fontsize=8)
        axes.set_title(f"ViT-{row['model']}, batch {row['batch']}", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.18)
    grid[0][0].set_yticks(range(len(names)), names)
    grid[0][0].invert_yaxis()
    facts = report["machine"]
    figure.suptitle(
        f"ms per image, median ({facts['cpu']}, {facts['threads']} threads): shorter is faster", fontsize=11
    )
    panels.Plot(figure).save(path)


def markdown(report):
    """The table of README.md: median ms per image, a column per model and batch, the fastest of each in bold."""
    rows, facts = report["rows"], report["machine"]
    columns = list(dict.fromkeys((row["model"], row["batch"]) for row in rows))
    fastest = {c: min(r["median_ms"] for r in rows if (r["model"], r["batch"]) == c) for c in columns}
    heads = [f"{model} ×{batch}" for model, batch in columns]
    lines = [f"| engine | {' | '.join(heads)} | memory, {heads[-1]} |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for name in dict.fromkeys(row["engine"] for row in rows):
        mine = {(row["model"], row["batch"]): row for row in rows if row["engine"] == name}
        cells = [f"{mine[c]['median_ms']:.1f}" for c in columns]
        cells = [f"**{x}**" if mine[c]["median_ms"] == fastest[c] else x for x, c in zip(cells, columns, strict=True)]
        peak = mine[columns[-1]]["peak_rss_mb"]
        lines.append(f"| {name} | {' | '.join(cells)} | {peak:.0f} MB |")
    versions = ", ".join(f"{name} {facts[name]}" for name in PACKAGES if name in facts)
    machine_line = f"Median ms per image on {facts['cpu']}, {facts['threads']} threads; {versions}."
    return "\n".join([machine_line, "", *lines])


def into_readme(report, path):
    """Replace what stands between the two marks in a Markdown file."""
    before, _, rest = Path(path).read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    Path(path).write_text(f"{before}{MARKS[0]}\n{markdown(report)}\n{MARKS[1]}{after}")
