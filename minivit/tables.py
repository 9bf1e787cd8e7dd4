"""Tables for people: aligned columns in a terminal or a notebook, with the same rows as dicts for programs."""


class Table:
    """Columns and rows (dicts).  `str(table)` and its repr are the aligned text; `table.rows` is the data."""

    footer = ""

    def __init__(self, columns, rows):
        self.columns, self.rows = tuple(columns), list(rows)

    def __str__(self):
        cells = [self.columns, *([_cell(row[c]) for c in self.columns] for row in self.rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]
        right = [bool(self.rows) and all(isinstance(r[c], (int, float)) and r[c] is not True for r in self.rows) for c in self.columns]
        lines = ["  ".join(t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right)).rstrip() for line in cells]
        lines.insert(1, "─" * max(map(len, lines)))
        return "\n".join(lines + ([self.footer] if self.footer else []))

    __repr__ = __str__


def _cell(value):
    if isinstance(value, bool):
        return "OK" if value else "NOT OK"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return "×".join(map(str, value)) or "scalar"
    return "" if value is None else str(value)
