"""What people see in a terminal does nothing to it."""

import pytest

from flows.cli import show


@pytest.mark.parametrize(
    ("cell", "seen"),
    [
        ("a\x1b[31m", r"a\x1b[31m"),
        ("a\x9b31m", r"a\x9b31m"),
        ("a\r\b\x07b", r"a\r\x08\x07b"),
        ("abc\u202edef", r"abc\u202edef"),
        ("café [bold]", "café [bold]"),
        ("two\nlines", "lines"),
    ],
)
def test_a_cell_is_shown_as_it_is_with_control_characters_spelled_out(capsys, cell, seen):
    show.table("of cells", ("column",), [[cell]])
    said = capsys.readouterr().out
    assert seen in said
    assert said.replace("\n", "").isprintable()
