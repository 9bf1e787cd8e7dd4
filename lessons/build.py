"""Write the notebook of every lesson: `python lessons/build.py`; with --check only say which ones are out of date.

A lesson is a Python file in percent format: "# %%" starts a cell of code, "# %% [markdown]" a cell of text.  What
stands between "### BEGIN SOLUTION" and "### END SOLUTION" is left out of the notebook.  The same source gives the same
bytes: no outputs, and cell ids are hashes of the content.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
CELL = re.compile(r"^# %%(.*)\n", re.MULTILINE)
SOLUTION = re.compile(r"^ *### BEGIN SOLUTION\n.*?^ *### END SOLUTION\n", re.MULTILINE | re.DOTALL)


def cells(source):
    """The cells of a lesson, solutions included: a list of (kind, text); kind is "[markdown]" or "" for code."""
    _, *parts = CELL.split(source)
    return [(kind.strip(), text.strip("\n")) for kind, text in zip(parts[::2], parts[1::2], strict=True)]


def notebook(source):
    """The text of the .ipynb file that belongs to the text of a lesson."""
    found = [cell(i, kind, text) for i, (kind, text) in enumerate(cells(SOLUTION.sub("", source)))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    content = {"cells": found, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def cell(index, kind, text):
    """One cell as nbformat 4.5 wants it."""
    name = hashlib.sha256(f"{index}\n{text}".encode()).hexdigest()[:12]
    if kind == "[markdown]":
        text = re.sub("^# ?", "", text, flags=re.MULTILINE)
        special = {"cell_type": "markdown"}
    else:
        special = {"cell_type": "code", "execution_count": None, "outputs": []}
    return {"id": name, "metadata": {}, "source": text.splitlines(keepends=True), **special}


def lessons():
    """{notebook path: the text it should have} of every lesson."""
    sources = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
    return {path.with_suffix(".ipynb"): notebook(path.read_text(encoding="utf-8")) for path in sources}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a notebook is out of date")
    args = parser.parse_args(argv)
    wanted = lessons()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if not args.check:
            path.write_text(wanted[path], encoding="utf-8", newline="\n")
        print(f"{path.name}: {'out of date, run lessons/build.py' if args.check else 'written'}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
