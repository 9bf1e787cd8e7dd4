"""What a person sees while a command works, and what Ctrl-C leaves on the terminal."""

import io
import sys

from minivit import cli
from minivit.commands import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal_of(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    return sys.stderr


def lines(terminal):
    return terminal.getvalue().split("\r\033[K")[1:]


def test_a_count_tells_how_long_the_rest_takes_once_it_can_know(monkeypatch):
    terminal = terminal_of(monkeypatch)
    show = progress.counter("pictures")
    for now, done in ((100.0, 32), (100.5, 64), (102.0, 96), (110.0, 352)):
        monkeypatch.setattr(progress.time, "perf_counter", lambda now=now: now)
        show(done, 352)
    # 64 pictures in two seconds; the first 32, with all that has to be compiled, do not count
    assert lines(terminal) == [
        *("32 / 352 pictures", "64 / 352 pictures", "96 / 352 pictures, 8 s left", "352 / 352 pictures\n"),
    ]


def test_a_count_that_begins_again_forgets_the_last_one(monkeypatch):
    terminal = terminal_of(monkeypatch)
    show = progress.counter("steps")
    for now, done in ((0.0, 1), (50.0, 2), (60.0, 1), (62.0, 2)):
        monkeypatch.setattr(progress.time, "perf_counter", lambda now=now: now)
        show(done, 4)
    assert lines(terminal)[2:] == ["1 / 4 steps", "2 / 4 steps, 4 s left"]


def test_nothing_is_counted_where_nobody_looks(capsys):
    progress.counter("pictures")(1, 2)
    assert capsys.readouterr().err == ""


def test_ctrl_c_ends_the_line_of_a_terminal(monkeypatch):
    terminal = terminal_of(monkeypatch)

    def interrupted(asked):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build", interrupted)
    assert cli.main(["doctor"]) == 130 and terminal.getvalue() == "\n"
