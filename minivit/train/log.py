"""What a run says while it learns: CSV files, a line on the terminal, a picture of the curves."""

import contextlib
import csv
import sys
import time

from ..errors import InputError

STEPS = ("step", "epoch", "loss", "rate", "gradient_norm", "seconds")
TESTS = ("step", "epoch", "loss", "test_loss", "accuracy", "seconds")
WHOLE = ("step", "epoch")  # columns of whole numbers


class Log:
    """A CSV file with one row per call of `add`, written at once, so that it can be read while the run goes on.

    until: rows of an earlier start are kept up to this step; what came after it is done again.
    """

    def __init__(self, path, columns, until=0):
        self.path, self.columns = path, columns
        self.rows = [row for row in read(path, columns) if row["step"] <= until]
        with _writing(path, "w") as writer:
            writer.writerows([columns, *(row.values() for row in self.rows)])

    def add(self, **row):
        """Append a row: a number for every column.  Raises InputError if it cannot be written."""
        with _writing(self.path, "a") as writer:
            writer.writerow([row[name] for name in self.columns])
        self.rows.append(row)

    def column(self, name):
        """All numbers of a column."""
        return [row[name] for row in self.rows]


def read(path, columns):
    """The rows of a log as dicts; none if there is no file.  A row cut off by a crash is left out."""
    if not path.exists():
        return []
    rows = []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for cells in csv.reader(file):
            with contextlib.suppress(ValueError):  # the header, or half a row
                pairs = zip(columns, cells, strict=True)
                rows.append({name: int(cell) if name in WHOLE else float(cell) for name, cell in pairs})
    return rows


@contextlib.contextmanager
def _writing(path, mode):
    try:
        with path.open(mode, newline="", encoding="utf-8") as file:
            yield csv.writer(file, lineterminator="\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; free some space and resume the run") from error


class Progress:
    """How far a run is: on a terminal a line that is written anew several times a second, elsewhere a line per test."""

    def __init__(self, total, batch, done=0, stream=None):
        self.total, self.batch, self.done = total, batch, done
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self._pace, self._last, self._drawn = None, time.perf_counter(), 0.0

    def step(self, epoch, loss):
        """Note that a step is done."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self._pace = seconds if self._pace is None else 0.95 * self._pace + 0.05 * seconds
        self.done += 1
        if self.live and (now - self._drawn > 0.2 or self.done == self.total):
            self._drawn = now
            self._write(f"\r\033[Kstep {self.done:,}/{self.total:,}  epoch {epoch}  loss {loss:.4f}  {self.speed()}")

    def test(self, epoch, loss, accuracy):
        """Tell the result of a test; the time that it took is not the steps'."""
        head = "\r\033[K" if self.live else ""
        learned = f"epoch {epoch}  step {self.done:,}/{self.total:,}  loss {loss:.4f}"
        self._write(f"{head}{learned}  accuracy {accuracy:.2%}  {self.speed()}\n")
        self.resume()

    def resume(self):
        """Start the clock of the next step."""
        self._last = time.perf_counter()

    def speed(self):
        """ "5.3 steps/s, 680 images/s, 1 h 58 min left" """
        pace = max(self._pace or 0, 1e-9)
        left = duration(pace * (self.total - self.done))
        return f"{1 / pace:.3g} steps/s, {self.batch / pace:,.0f} images/s, {left} left"

    def say(self, text):
        """A line of its own."""
        self._write(f"\r\033[K{text}\n" if self.live else f"{text}\n")

    def _write(self, text):
        self.stream.write(text)
        self.stream.flush()


def duration(seconds):
    """ "45 s", "12 min", "2 h 05 min" """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def figure(steps, tests):
    """A Plot of a run: the loss of its steps, the accuracy of its tests, the learning rate.  Both are Logs."""
    from ..viz import panels

    step = steps.column("step")
    learned = panels.curves(
        step, {"one batch": steps.column("loss"), "mean of 25": smooth(steps.column("loss"))}, "training loss", "step"
    )
    rate = panels.curves(step, {"rate": steps.column("rate")}, "learning rate", "step")
    tested = panels.curves(
        tests.column("epoch"), {"accuracy": [100 * a for a in tests.column("accuracy")]}, "test accuracy in %", "epoch"
    )
    return panels.row(learned, tested, rate)


def smooth(values, window=25):
    """A running mean of a list of numbers."""
    # -> the mean of each value and those before it, at most `window`
    return [sum(values[max(0, i - window + 1) : i + 1]) / min(i + 1, window) for i in range(len(values))]
