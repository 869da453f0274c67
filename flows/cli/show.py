"""What people see: tables on stdout, one bar or plain lines on stderr."""

import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import click
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tasks.records.reasons import printable

LINE_EVERY_SECONDS = 30.0
MOST_ROWS = 50
FOLDED, UNBROKEN = 24, 32
"""Characters of a column that are not folded: of the first more, for it is what one looks for, and copies."""


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout; cells are shown as they are, whatever they contain, and do nothing to a terminal.

    Long texts are folded, and nothing else is: where that does not make it fit, each row stands as a block of lines.
    """
    from rich.text import Text

    shown = [[cell(value) for value in row] for row in rows]
    widths = [max(map(len, (name, *cells))) for name, *cells in zip(columns, *shown, strict=True)]
    least = [min(width, FOLDED if number else UNBROKEN) for number, width in enumerate(widths)]
    needed = sum(least) + 3 * len(least)
    console = _console(needed)
    if needed > console.width:
        _blocks(title, columns, shown)
        return
    made = Table(title=title, title_justify="left", header_style="bold", show_edge=False)
    for name, width in zip(columns, least, strict=True):
        made.add_column(name, overflow="fold", min_width=width)
    for row in shown:
        made.add_row(*map(Text, row))
    console.print(made)


def _console(needed: int) -> Console:
    """A terminal as wide as it is; what is no terminal is wide enough."""
    return Console() if sys.stdout.isatty() else Console(soft_wrap=True, width=max(200, needed))


def _blocks(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Each row in lines of its own, without what it has not."""
    click.echo(title)
    wide = max(map(len, columns))
    for first, *rest in rows:
        click.echo(f" {columns[0]:<{wide + 2}}  {first}")
        for name, value in zip(columns[1:], rest, strict=True):
            if value != "-":
                click.echo(f"   {name:<{wide}}  {value}")


def cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NaT or value is pd.NA:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def more(rows: int, command: str) -> None:
    """Where a table of MOST_ROWS has not shown all: how many are left, and what shows them."""
    if rows > MOST_ROWS:
        click.echo(f"... and {rows - MOST_ROWS} more: {command}")


def amount(found: Sequence[Any]) -> str:
    """How many objects, and how large they are together."""
    objects = "1 object" if len(found) == 1 else f"{len(found):,} objects"
    return f"{objects}, {sum(one.size for one in found) / 1e6:,.1f} MB"


def say(text: str) -> None:
    """A line on stderr, whether somebody still reads it or not: a run goes on without."""
    with suppress(OSError):
        click.echo(text, err=True)


def as_json(value: Any) -> None:
    """The value, and nothing else, on stdout."""
    click.echo(json.dumps(plain(value), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """The value in JSON's types: tables become lists of objects, what is missing null, times ISO 8601."""
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        items = value if isinstance(value, list | tuple) else value.tolist()
        return [plain(v) for v in items] if isinstance(items, list | tuple) else plain(items)
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, datetime) else value if isinstance(value, int | bool) else str(value)


class Meter:
    """Progress of `total` steps: one bar on a terminal, a plain line every half minute elsewhere (stderr)."""

    def __init__(self, total: int, what: str) -> None:
        self._total, self._what, self._done = total, what, 0
        self._said = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (
                TextColumn(what),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(what, total=total, note="")

    def __enter__(self) -> "Meter":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        self.note(note)

    def note(self, note: str) -> None:
        self._total = max(self._total, self._done)  # a long track is several times what one segment takes
        if self._bar is not None:
            self._bar.update(self._task, total=self._total, completed=self._done, note=note)
        elif time.monotonic() - self._said >= LINE_EVERY_SECONDS:
            self._said = time.monotonic()
            say(f"{self._what} {self._done}/{self._total} {note}".rstrip())
