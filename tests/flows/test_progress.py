"""Progress as people see it: a bar on a terminal, a line now and then where there is none."""

import os
import pty
import subprocess
import sys

import pytest

from flows.cli import show
from flows.cli.show import Meter

STEPS = """
from flows.cli.show import Meter
with Meter(3, "pairs") as meter:
    meter.advance(note="refine, 2 pairs in hand")
    meter.advance()
"""


def seen_by_a_person(code):
    """What a terminal of its own is written by a Python process."""
    ours, terminal = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stderr=terminal, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(terminal)
        said = b""
        try:
            while found := os.read(ours, 4_096):
                said += found
        except OSError:  # Linux tells the end of a terminal so
            pass
        finally:
            os.close(ours)
    assert process.returncode == 0, said
    return said.decode()


def test_on_a_terminal_a_bar_says_how_many_of_how_many_and_leaves_nothing_behind():
    said = seen_by_a_person(STEPS)
    assert "━" in said
    assert "2/3" in said
    assert "pairs 2/3" not in said, "no line beside the bar"
    assert said.rstrip().endswith("\x1b[2K"), "the line is cleared"


@pytest.mark.parametrize(("seconds", "lines"), [(0.0, ["pairs 1/3 refine, 2 pairs in hand", "pairs 2/3"]), (30.0, [])])
def test_elsewhere_a_plain_line_says_so_as_often_as_it_should(capsys, monkeypatch, seconds, lines):
    monkeypatch.setattr(show, "LINE_EVERY_SECONDS", seconds)
    with Meter(3, "pairs") as meter:
        meter.advance(note="refine, 2 pairs in hand")
        meter.advance()
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()) == ("", lines)


def test_more_steps_than_were_thought_of_are_more_in_all(capsys, monkeypatch):
    monkeypatch.setattr(show, "LINE_EVERY_SECONDS", 0.0)
    Meter(2, "evaluations").advance(3)
    assert capsys.readouterr().err == "evaluations 3/3\n"
