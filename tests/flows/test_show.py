"""What people see in a terminal does nothing to it."""

import pytest
from rich.console import Console

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


@pytest.fixture
def terminal(monkeypatch):
    """80 columns wide."""
    monkeypatch.setattr(show, "_console", lambda needed: Console(width=80))


COLUMNS = ("pair_id", "reason", "content_loss", "style_loss", "style_loss_heldout", "seconds_total")


def test_in_a_narrow_terminal_rows_are_blocks_and_no_number_is_broken(capsys, terminal):
    show.table("results", COLUMNS, [["a-pair-with-a-long-name", None, 0.3596, 0.3265, 0.3228, 4.183]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "results",
        " pair_id               a-pair-with-a-long-name",
        "   content_loss        0.3596",
        "   style_loss          0.3265",
        "   style_loss_heldout  0.3228",
        "   seconds_total       4.183",
    ]


def test_where_folding_a_long_text_makes_it_fit_it_is_a_table(capsys, terminal):
    show.table("pairs", ("pair", "reason", "message"), [["a-pair-with-a-long-name", "decode_error", "word " * 40]])
    lines = capsys.readouterr().out.splitlines()
    assert any("a-pair-with-a-long-name" in line and "decode_error" in line for line in lines)
    assert max(map(len, lines)) <= 80
