"""What a run writes down and says."""

import io
import re

import numpy as np
import pytest

from minivit.errors import InputError
from minivit.train import log

COLUMNS = ("step", "loss")


def test_rows_are_in_the_file_at_once(tmp_path):
    written = log.Log(tmp_path / "log.csv", COLUMNS)
    written.add(step=1, loss=0.5)
    written.add(step=2, loss=0.25)
    assert (tmp_path / "log.csv").read_text() == "step,loss\n1,0.5\n2,0.25\n"


def test_a_resumed_log_forgets_what_will_be_done_again(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n1,0.5\n2,0.4\n3,0.3\n4,0.")
    resumed = log.Log(path, COLUMNS, until=2)
    resumed.add(step=3, loss=0.25)
    assert resumed.column("step") == [1, 2, 3] and path.read_text() == "step,loss\n1,0.5\n2,0.4\n3,0.25\n"


def test_half_a_row_is_left_out(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"step,loss\n1,0.5\n2\n,\n3,x\n\xff\n")
    assert log.read(path, COLUMNS) == [{"step": 1, "loss": 0.5}]


def test_a_log_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*log\.csv: No such file or directory"):
        log.Log(tmp_path / "none" / "log.csv", COLUMNS)


def test_without_a_terminal_there_is_one_line_per_test():
    stream = io.StringIO()
    progress = log.Progress(4, batch=8, stream=stream)
    for _ in range(2):
        progress.step(1, 0.7)
    assert not stream.getvalue()
    progress.test(1, 0.7, 0.5)
    line = stream.getvalue()
    assert re.fullmatch(r"epoch 1  step 2/4  loss 0\.7000  accuracy 50\.00%  .* steps/s, .* images/s, .* left\n", line)


def test_on_a_terminal_a_line_is_written_anew():
    stream = io.StringIO()
    stream.isatty = lambda: True
    progress = log.Progress(1, batch=8, stream=stream)
    progress.step(1, 0.7)
    assert stream.getvalue().startswith("\r\033[Kstep 1/1  epoch 1  loss 0.7000") and "\n" not in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (7500, "2 h 05 min")]
)
def test_durations_are_told_as_people_do(seconds, text):
    assert log.duration(seconds) == text


def test_the_curves_are_drawn(tmp_path):
    steps, tests = log.Log(tmp_path / "log.csv", log.STEPS), log.Log(tmp_path / "tests.csv", log.TESTS)
    for step in range(1, 41):
        steps.add(step=step, epoch=1 + step // 20, loss=2 / step, rate=0.1, gradient_norm=1.0, seconds=1.0)
    for epoch in (1, 2):
        tests.add(step=20 * epoch, epoch=epoch, loss=0.1, test_loss=0.2, accuracy=0.4 * epoch, seconds=2.0)
    plot = log.figure(steps, tests)
    plot.save(tmp_path / "curve.png")
    loss, accuracy, rate = plot.figure.axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), steps.column("loss"))
    np.testing.assert_allclose(loss.lines[1].get_ydata()[-1], np.mean(steps.column("loss")[-25:]))
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), [40, 80])
    assert (tmp_path / "curve.png").stat().st_size > 10_000 and rate.get_title() == "learning rate"
