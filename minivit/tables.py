"""Tables for people: aligned columns in a terminal or a notebook, with the same rows as dicts for programs."""


class Table:
    """Columns and rows (dicts).  `str(table)` and its repr are the aligned text; `table.rows` is the data."""

    footer = ""

    def __init__(self, columns, rows):
        self.columns, self.rows = tuple(columns), list(rows)

    def __str__(self):
        lines = [self.columns, *([_text(row[c]) for c in self.columns] for row in self.rows)]
        columns = list(zip(*lines, strict=True))
        widths = [max(map(len, cells)) for cells in columns]
        numeric = [any(_is_number(row[c]) for row in self.rows) for c in self.columns]
        aligned = [
            [cell.rjust(width) if right else cell.ljust(width) for cell in cells]
            for cells, width, right in zip(columns, widths, numeric, strict=True)
        ]
        text = ["  ".join(line).rstrip() for line in zip(*aligned, strict=True)]
        text.insert(1, "─" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join([*text, self.footer] if self.footer else text)

    __repr__ = __str__


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "OK" if value else "NOT OK"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return "×".join(map(str, value)) or "scalar"
    return str(value)
