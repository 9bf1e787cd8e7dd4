"""Write what students get, and what instructors get."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from ..errors import InputError
from . import answers, assignments, handout, leaks, source
from .cases.inside import OFFICIAL

GOLDEN = [
    f"tests/golden/{case}/{name}"
    for case in OFFICIAL.values()
    for name in ("case.json", "inputs.npz", "tensors.npz", "weights.npz")
]
LIBRARY = (
    *("pyproject.toml", "README.md", "LICENSE", "weights/minivit-cifar10.safetensors", "lessons/assignments.toml"),
    *GOLDEN,
)
SUFFIXES = (".py", ".toml", ".css", ".html", ".js")

README = """# Assignments of the course "the Vision Transformer from scratch", version {version}

Once, in this folder (Python 3.10 to 3.13; on Windows `py` for `python3` and `.venv\\Scripts\\` for `.venv/bin/`):

    python3 -m venv .venv
    .venv/bin/pip install './library[lessons]'

Then, whenever you work:

    .venv/bin/jupyter lab             # open A1, A2, …; or edit the .py files, if you got those
    .venv/bin/minivit grade .         # points, and what is wrong; this is what your instructor runs, too

{mode}Hand in the files A1… to A8…, with their names as they are.
"""
STRICT = "The library lacks the functions that you are going to write; until then it cannot run a model.\n\n"

SETUP = """#!/usr/bin/env bash
# Gradescope runs this once, when the image is built
set -e
python3 -m pip install '/autograder/source/library[sim]'
"""
RUN = """#!/usr/bin/env bash
# Gradescope runs this for every submission
results=/autograder/results/results.json
said=$(minivit grade /autograder/submission --hidden /autograder/source/hidden.json --gradescope "$results" 2>&1)
[ -s "$results" ] || python3 -c 'import json, sys
json.dump({"score": 0, "output": sys.argv[1]}, open(sys.argv[2], "w"))' "$said" "$results"
"""


#: Modules of models/ whose functions look like the taught ones
RELATIVES = ("hybrid", "hybrid_backward", "masked", "mixer", "mixer_backward")


def students(folder, strict=False, scripts=False):
    """Write the students' bundle: the assignments, a library to install, and how to begin.

    strict: the library lacks the taught functions.  Raises InputError where it cannot be made, or if something leaks.
    """
    with _new(folder) as place:
        _students(place, strict, scripts, None)


def instructors(folder, strict=False, scripts=False, seed=None):
    """Write the instructor's bundle: the students', nbgrader sources with solutions, hidden tests, Gradescope's zip."""
    seed = secrets.randbelow(10**12) + 10**12 if seed is None else seed
    with _new(folder) as place:
        _students(place / "students", strict, scripts, seed)
        (place / "source").mkdir()
        for assignment in assignments.table()[1]:
            text = handout.notebook(handout.cells(assignment, strict, seed))
            _write(place / "source" / f"{handout.file_name(assignment)}.ipynb", text)
        hidden = json.dumps({"version": assignments.table()[0], "seed": seed, "commit": _commit()}, indent=1) + "\n"
        _write(place / "hidden.json", hidden)
        for name in ("INSTRUCTORS.md", "CHANGELOG.md"):
            shutil.copyfile(clone() / "lessons" / name, place / name)
        _gradescope(place / "gradescope.zip", hidden)


def _students(place, strict, scripts, seed):
    place.mkdir(exist_ok=True)
    for assignment in assignments.table()[1]:
        made = handout.cells(assignment, strict)
        name, write = handout.file_name(assignment), handout.script if scripts else handout.notebook
        _write(place / f"{name}.{'py' if scripts else 'ipynb'}", write(made))
    _write(place / "README.md", README.format(version=assignments.table()[0], mode=STRICT if strict else ""))
    for name, path in library():
        target = place / "library" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if strict:
        _take_out(place / "library")
    if found := leaks.scan(place, strict, seed):
        raise InputError(f"not written: {len(found)} leak{'s' * (len(found) > 1)} in the students' bundle: {found[0]}")


def clone():
    """The folder of the repository: where minivit runs from, or the current one.  Raises InputError without one."""
    for root in (Path(__file__).parents[2], Path.cwd()):
        if all((root / name).is_file() for name in LIBRARY):
            return root
    raise InputError("bundles are made in a clone of the repository: go to its folder")


def library():
    """(name, path) of every file that makes the library: nothing that was made on the way."""
    root = clone()
    yield from ((name, root / name) for name in LIBRARY)
    for path in sorted((root / "minivit").rglob("*")):
        if path.suffix in SUFFIXES and path.is_file():
            yield path.relative_to(root).as_posix(), path


def _take_out(place):
    """Make a copied library strict: no taught bodies, nothing that repeats them, answers as arrays.

    Planted mistakes quote solutions, and the relatives of the Vision Transformer are written like it.
    """
    tasks, taught = assignments.table()[2].values(), {}
    for task in tasks:
        taught.setdefault(task.module, {}).update(dict.fromkeys(task.taught, source.message(task)))
    for module, messages in taught.items():
        path = place.joinpath(*module.split(".")).with_suffix(".py")
        _write(path, source.without(module, messages))
    for name in RELATIVES:
        (place / "minivit" / "models" / f"{name}.py").unlink()
    course = place / "minivit" / "course"
    for path in (course / "misconceptions").glob("*.toml"):
        path.unlink()
    (course / answers.RECORDED.name).mkdir()
    answers.record(course / answers.RECORDED.name, tasks)


def _gradescope(path, hidden):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", SETUP), ("run_autograder", RUN), ("hidden.json", hidden)):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16  # to be executed
            archive.writestr(entry, text)
        for name, source_path in library():
            archive.write(source_path, f"library/{name}")


class _new:
    """A folder that appears when all is done, or not at all."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __enter__(self):
        if answers.strict():
            raise InputError("this is a student's minivit, without solutions; bundles are made from a complete one")
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise InputError(f"{self.folder} is there already, expected a new or empty folder")
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.place = Path(tempfile.mkdtemp(prefix=f".{self.folder.name}-", dir=self.folder.parent))
        except OSError as error:
            raise InputError(f"cannot write {self.folder}: {error.strerror}") from error
        return self.place

    def __exit__(self, kind, error, trace):
        if kind:
            shutil.rmtree(self.place)
            return
        self.place.chmod(0o755)
        if self.folder.exists():
            self.folder.rmdir()
        os.replace(self.place, self.folder)


def changed():
    """What git says was changed in the library or the assignments since the last commit: paths, or [] without git."""
    said = _git("status", "--porcelain", "--", "minivit", "lessons/assignments.toml")
    return [line[3:] for line in said.splitlines()]


def _commit():
    return _git("rev-parse", "HEAD").strip() or None


def _git(*arguments):
    try:
        done = subprocess.run(["git", "-C", str(clone()), *arguments], capture_output=True, text=True)
    except OSError:  # no git
        return ""
    return done.stdout if done.returncode == 0 else ""


def _write(path, text):
    path.write_text(text, encoding="utf-8", newline="\n")
