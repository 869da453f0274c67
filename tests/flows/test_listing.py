"""A table of pairs says each thing once."""

import pandas as pd
import pytest

from flows.cli import listing, show
from tasks.records.pair import Input, Pair
from tasks.records.parameters import Parameters


@pytest.fixture
def tables(monkeypatch):
    """What is shown as tables: title, columns and rows of each."""
    shown = []
    monkeypatch.setattr(show, "table", lambda title, columns, rows: shown.append((title, columns, list(rows))))
    return shown


def left(*of):
    rows = [
        {"pair_id": name, "manifest_row": n, "status": "failed", "reason": reason, "message": message}
        for n, (name, reason, message) in enumerate(of)
    ]
    return pd.DataFrame(rows).assign(quarantined=False, withdrawn=False)


def test_pairs_that_failed_alike_share_a_line(tables, capsys):
    alike = [(f"p{n}", "input_missing", "rain.mp3: no such file") for n in range(6)]
    listing.failures(left(*alike[:2], ("q", "input_missing", "hail.mp3: no such file"), *alike[2:]), "r1", "music")
    [(_, _, rows)] = tables
    assert rows == [
        ("p0, p1, p2 and 3 more", "input_missing", "rain.mp3: no such file"),
        ("q", "input_missing", "hail.mp3: no such file"),
    ]
    assert capsys.readouterr().out.count("put the file there") == 1


def test_of_many_pairs_that_failed_differently_the_rest_is_named_with_its_command(tables, capsys):
    of = [(f"p{n}", "input_missing", f"rain-{n}.mp3: no such file") for n in range(show.MOST_ROWS + 7)]
    listing.failures(left(*of), "r1", "music")
    [(_, _, rows)] = tables
    assert len(rows) == show.MOST_ROWS
    assert "and 7 more: gramophone status r1 --root music --json" in capsys.readouterr().out


def test_a_dry_run_names_slices_every_style_and_what_is_not_the_default(tables):
    inputs = (
        Input("content", "tune.ogg", start=1.5, seconds=2.0, etag="1"),
        Input("style", "rain.mp3", etag="2"),
        Input("style", "hail.mp3", seconds=3.0, etag="3"),
    )
    submission = type("Submission", (), {})()
    submission.plan = type("Plan", (), {"pairs": [], "skipped": [], "shards": [1]})()
    submission.plan.pairs = [Pair(0, "p", inputs, "optimise", Parameters(strength=0.5))]
    assert listing.dry_run(submission, as_json=False) == 0
    [(_, _, [(name, content, style, own)])] = tables
    assert name == "p"
    assert content == "'tune.ogg' from 1.5 s, 2 s"
    assert style == "'rain.mp3'\n'hail.mp3' from 0 s, 3 s"
    assert own == "strength=0.5"
